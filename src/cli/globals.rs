//! What every verb gets: the global options, the environment, and the way to print.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use clap_complete::ArgValueCompleter;

use crate::cli::{CliError, Output, Verbosity, complete, parse};
use crate::config::{ClientAddress, Config, ConfigError, Flags, ListenAddress, Loaded, LogFilter, LogFormat, Project};
use crate::model::Namespace;
use crate::paths::{Environment, Role};

/// The options that every verb takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Namespace of the secrets [default: default]
    #[arg(
        long,
        global = true,
        value_name = "NS",
        value_parser = parse::namespace,
        add = ArgValueCompleter::new(complete::namespaces)
    )]
    namespace: Option<Namespace>,
    /// Where the daemon is: unix:///PATH or http://127.0.0.1:PORT
    #[arg(long, global = true, value_name = "ADDR")]
    addr: Option<ClientAddress>,
    /// File with the credential: a token, an API key or the anon key
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Profile of the project's file, .hushd.toml
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    profile: Option<String>,
    /// Do without the project's file
    #[arg(long, global = true)]
    no_project: bool,
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,
    /// Print data and errors only
    #[arg(long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short = 'v', long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

impl GlobalArgs {
    /// What decides about the daemon and the namespace in a line that is still being typed.
    pub(super) fn of_words(words: impl Iterator<Item = String>) -> Self {
        let words: Vec<String> = words.collect();
        let value = |name: &str| {
            let next = words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).map(String::as_str);
            let joined = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            joined.or(next)
        };
        Self {
            namespace: value("--namespace").and_then(|text| text.parse().ok()),
            addr: value("--addr").and_then(|text| text.parse().ok()),
            token_file: value("--token-file").map(PathBuf::from),
            profile: value("--profile").map(str::to_owned),
            no_project: words.iter().any(|word| word == "--no-project"),
            config: value("--config").map(PathBuf::from),
            quiet: true,
            ..Self::default()
        }
    }
}

/// What every verb gets.
#[derive(Clone, Debug)]
pub struct Globals {
    /// What the process was started with.
    pub environment: Environment,
    /// What the command line says.
    pub flags: Flags,
    /// Whether a project's file is not looked for.
    pub no_project: bool,
    profile: Option<String>,
    /// Whether a daemon may be started where none runs and the configuration says so.
    pub autostart: bool,
    /// The way to print.
    pub output: Output,
}

impl Globals {
    pub(super) fn new(args: GlobalArgs, environment: Environment) -> Self {
        let (verbosity, level) = match (args.quiet, args.verbose) {
            (true, _) => (Verbosity::Quiet, Some(("warn", "--quiet"))),
            (false, 0) => (Verbosity::Normal, None),
            (false, 1) => (Verbosity::Verbose, Some(("debug", "--verbose"))),
            (false, _) => (Verbosity::Verbose, Some(("trace", "--verbose"))),
        };
        let output = Output::new(&environment, args.json, verbosity);
        let flags = Flags {
            config: args.config,
            addr: args.addr,
            namespace: args.namespace,
            project: None,
            token_file: args.token_file,
            log: level.and_then(|(level, flag)| Some((level.parse::<LogFilter>().ok()?, flag))),
            log_format: None,
            listen: Vec::new(),
        };
        let (profile, no_project) = (args.profile, args.no_project);
        Self { environment, flags, no_project, profile, autostart: true, output }
    }

    /// The profile of a project's file that was asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::cli::ErrorKind::Configuration) for a name that is no text.
    pub fn profile(&self) -> Result<Option<&str>, CliError> {
        match &self.profile {
            Some(profile) => Ok(Some(profile)),
            None => Ok(self.environment.text("HUSHD_PROFILE")?),
        }
    }

    /// Whether a namespace is named, so that a project's does not matter.
    pub fn names_namespace(&self) -> bool {
        self.flags.namespace.is_some() || self.environment.get("HUSHD_NAMESPACE").is_some()
    }

    /// The effective configuration of a client in a project.
    ///
    /// # Errors
    ///
    /// As [`Globals::load`].
    pub fn load_in(&self, project: Option<&Project>) -> Result<Loaded, CliError> {
        let named = project.and_then(|project| Some((project.namespace.clone()?, project.path.clone())));
        self.load_with(&Flags { project: named, ..self.flags.clone() }, Role::Client)
    }

    /// The effective configuration for this role.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::cli::ErrorKind::Configuration), with the place that is wrong.
    pub fn load(&self, role: Role) -> Result<Loaded, CliError> {
        self.load_with(&self.flags, role)
    }

    fn load_with(&self, flags: &Flags, role: Role) -> Result<Loaded, CliError> {
        let loaded = Loaded::load(&self.environment, flags, role)?;
        if let Some(file) = &loaded.file {
            self.output.detail(format_args!("configuration: {}", file.display()));
        }
        if let Some(note) = &loaded.paths.runtime_note {
            self.output.detail(note);
        }
        Ok(loaded)
    }

    /// The effective configuration of the daemon, with listeners that it can use; those that are named replace the
    /// configured ones.
    ///
    /// # Errors
    ///
    /// As [`Globals::load`].
    pub fn load_daemon(&self, listen: Vec<ListenAddress>, log_format: Option<LogFormat>) -> Result<Loaded, CliError> {
        Ok(self.load_for_daemon(listen, log_format)?)
    }

    /// The same, once more: what the file says now.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn reload_daemon(
        &self,
        listen: Vec<ListenAddress>,
        log_format: Option<LogFormat>,
    ) -> Result<Config, ConfigError> {
        Ok(self.load_for_daemon(listen, log_format)?.config)
    }

    fn load_for_daemon(
        &self,
        listen: Vec<ListenAddress>,
        log_format: Option<LogFormat>,
    ) -> Result<Loaded, ConfigError> {
        let flags = Flags { log_format, listen, ..self.flags.clone() };
        let loaded = Loaded::load(&self.environment, &flags, Role::Daemon)?;
        loaded.config.check_listeners()?;
        Ok(loaded)
    }
}
