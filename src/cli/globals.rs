//! What every verb gets: the global options, the environment, and the way to print.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::cli::{CliError, Output, Verbosity, parse};
use crate::config::{ClientAddress, Config, ConfigError, Flags, ListenAddress, Loaded, LogFilter, LogFormat};
use crate::model::Namespace;
use crate::paths::{Environment, Role};

/// The options that every verb takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Namespace of the secrets [default: default]
    #[arg(long, global = true, value_name = "NS", value_parser = parse::namespace)]
    namespace: Option<Namespace>,
    /// Where the daemon is: unix:///PATH or http://127.0.0.1:PORT
    #[arg(long, global = true, value_name = "ADDR")]
    addr: Option<ClientAddress>,
    /// File with the credential: a token, an API key or the anon key
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
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

/// What every verb gets.
#[derive(Debug)]
pub struct Globals {
    /// What the process was started with.
    pub environment: Environment,
    /// What the command line says.
    pub flags: Flags,
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
            token_file: args.token_file,
            log: level.and_then(|(level, flag)| Some((level.parse::<LogFilter>().ok()?, flag))),
            log_format: None,
            listen: Vec::new(),
        };
        Self { environment, flags, output }
    }

    /// The effective configuration for this role.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::cli::ErrorKind::Configuration), with the place that is wrong.
    pub fn load(&self, role: Role) -> Result<Loaded, CliError> {
        let loaded = Loaded::load(&self.environment, &self.flags, role)?;
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
