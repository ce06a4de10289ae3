//! The command line (CLI contract): its grammar, one file per verb, one way to print, one mapping to exit codes.
//!
//! Invariants: a verb gets what was typed and the [`Globals`], and returns a [`CliError`]; nothing but `output` prints and
//! nothing but `exit` names an exit code.

mod anon_key;
mod answer;
mod api_key;
mod audit;
mod autostart;
mod backup;
mod bar;
mod changes;
mod check;
mod clipboard;
mod compact;
mod complete;
mod completions;
mod config;
mod consumers;
mod copy;
mod credential;
mod delete;
mod diff;
mod dotenv;
mod edit;
mod env;
mod environment;
mod error;
mod exit;
mod explain;
mod formats;
#[cfg(fuzzing)]
pub mod fuzzing;
mod generate;
mod get;
mod globals;
mod history;
mod identity;
mod import;
mod init;
mod input;
mod install;
mod list;
mod man;
mod offline;
mod output;
mod parse;
mod passphrase;
mod policy;
mod project;
mod recipient;
mod render;
mod report;
mod restore;
mod restore_keys;
mod rotate;
mod run;
mod seal;
mod serve;
mod session;
mod set;
mod shell_hook;
mod status;
mod table;
mod token;
mod trust;
mod undelete;
mod unseal;
mod usage;
mod watch;

pub use bar::{Bar, Unit};
pub use error::{CliError, ErrorKind};
pub use globals::Globals;
pub use output::{Output, Style, Verbosity};
pub use session::Session;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::paths::Environment;

/// Keeps this machine's secrets: a daemon with an encrypted vault, and the commands that talk to it
#[derive(Debug, Parser)]
#[command(name = "hushd", version, arg_required_else_help = true, after_long_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    globals: globals::GlobalArgs,
}

/// The grammar of one of the verbs that are called in loops and before every program: of a tree of one verb a fraction has to
/// be built of what the whole one takes.
#[derive(Debug, Parser)]
#[command(name = "hushd", version)]
struct Short<V: Subcommand> {
    #[command(subcommand)]
    verb: V,
    #[command(flatten)]
    globals: globals::GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum OnlyGet {
    Get(get::GetArgs),
}

#[derive(Debug, Subcommand)]
enum OnlyRun {
    Run(run::RunArgs),
}

impl Cli {
    /// Reads what was typed. A short grammar knows nothing that the whole one does not, and what it does not know is read by
    /// that, which then has the say about help and errors.
    fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let first = words.iter().skip(1).find(|word| *word == "get" || *word == "run");
        match first.and_then(|word| word.to_str()) {
            Some("get") => Short::try_parse_from(words)
                .map(|Short { verb: OnlyGet::Get(args), globals }| Self { verb: Verb::Get(args), globals }),
            Some("run") => Short::try_parse_from(words)
                .map(|Short { verb: OnlyRun::Run(args), globals }| Self { verb: Verb::Run(args), globals }),
            _ => return Self::try_parse_from(words),
        }
        .or_else(|_| Self::try_parse_from(words))
    }
}

const AFTER_HELP: &str = "\
Environment:
  HUSHD_ADDR, HUSHD_NAMESPACE, HUSHD_TOKEN_FILE, HUSHD_CONFIG
               as the options of these names
  HUSHD_TOKEN  the credential itself, where no file is named
  HUSHD_PROFILE
               as --profile
  HUSHD_REASON why, for the audit trail
  HUSHD_LOG    what the daemon logs: info, debug, or a list such as info,hushd::store=debug
  NO_COLOR     no colours
An option beats the environment, which beats the project's file (.hushd.toml), which beats the
configuration file.

Exit codes:
  0   done                    70  internal
  1   other failure           73  already exists or revision conflict
  2   usage                   75  sealed, or try again
  65  bad data                77  not permitted
  66  not found               78  configuration
  69  daemon unreachable
  hushd run: as the command ends; 126 where it cannot be executed, 127 where there is none

Values and data go to standard output, everything else to standard error. With --json every verb
prints one JSON document whose fields stay: its --help shows them.";

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::InitArgs),
    Serve(serve::ServeArgs),
    Status(status::StatusArgs),
    Set(set::SetArgs),
    Get(get::GetArgs),
    List(list::ListArgs),
    Delete(delete::DeleteArgs),
    Undelete(undelete::UndeleteArgs),
    Env(env::EnvArgs),
    Export(env::ExportArgs),
    Import(import::ImportArgs),
    History(history::HistoryArgs),
    Rollback(history::RollbackArgs),
    Copy(copy::CopyArgs),
    Rename(copy::RenameArgs),
    Diff(diff::DiffArgs),
    Generate(generate::GenerateArgs),
    Edit(edit::EditArgs),
    Render(render::RenderArgs),
    Credential(credential::CredentialArgs),
    Watch(watch::WatchArgs),
    Run(run::RunArgs),
    Trust(trust::TrustArgs),
    ShellHook(shell_hook::ShellHookArgs),
    #[command(hide = true)]
    ShellEnv(shell_hook::ShellEnvArgs),
    #[command(hide = true)]
    RunOnTerminal(run::session::SessionArgs),
    Token(token::TokenArgs),
    ApiKey(api_key::ApiKeyArgs),
    AnonKey(anon_key::AnonKeyArgs),
    Seal(seal::SealArgs),
    Unseal(unseal::UnsealArgs),
    Recipient(recipient::RecipientArgs),
    Rotate(rotate::RotateArgs),
    Identity(identity::IdentityArgs),
    Audit(audit::AuditArgs),
    Consumers(consumers::ConsumersArgs),
    Report(report::ReportArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Check(check::CheckArgs),
    Compact(compact::CompactArgs),
    Policy(policy::PolicyArgs),
    Config(config::ConfigArgs),
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    ClearClipboard(clipboard::ClearArgs),
    #[command(hide = true)]
    Answer(answer::AnswerArgs),
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let environment = Environment::read();
    match run(environment) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            Output::failure(&error);
            exit::exit_code(error.kind())
        }
    }
}

fn run(environment: Environment) -> Result<(), CliError> {
    match completions::answer() {
        Ok(false) => {}
        Ok(true) => return Ok(()),
        Err(error) => return usage::answer(&error),
    }
    let cli = match Cli::read(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&error),
    };
    let environment = if matches!(cli.verb, Verb::Serve(_)) { environment.without_credential() } else { environment };
    let globals = Globals::new(cli.globals, environment);
    let globals = &globals;
    match cli.verb {
        Verb::Init(args) => init::run(args, globals),
        Verb::Serve(args) => serve::run(&args, globals),
        Verb::Status(args) => status::run(args, globals),
        Verb::Set(args) => set::run(args, globals),
        Verb::Get(args) => get::run(args, globals),
        Verb::List(args) => list::run(args, globals),
        Verb::Delete(args) => delete::run(args, globals),
        Verb::Undelete(args) => undelete::run(args, globals),
        Verb::Env(args) => env::run(args, globals),
        Verb::Export(args) => env::export(args, globals),
        Verb::Import(args) => import::run(args, globals),
        Verb::History(args) => history::run(args, globals),
        Verb::Rollback(args) => history::roll_back(args, globals),
        Verb::Copy(args) => copy::run(args, globals),
        Verb::Rename(args) => copy::rename(args, globals),
        Verb::Diff(args) => diff::run(args, globals),
        Verb::Generate(args) => generate::run(args, globals),
        Verb::Edit(args) => edit::run(args, globals),
        Verb::Render(args) => render::run(args, globals),
        Verb::Credential(args) => credential::run(args, globals),
        Verb::Watch(args) => watch::run(args, globals),
        Verb::Run(args) => run::run(args, globals),
        Verb::Trust(args) => trust::run(args, globals),
        Verb::ShellHook(args) => shell_hook::run(args, globals),
        Verb::ShellEnv(args) => shell_hook::run_env(args, globals),
        Verb::RunOnTerminal(args) => run::session::run(&args),
        Verb::Token(args) => token::run(args, globals),
        Verb::ApiKey(args) => api_key::run(args, globals),
        Verb::AnonKey(args) => anon_key::run(args, globals),
        Verb::Seal(args) => seal::run(args, globals),
        Verb::Unseal(args) => unseal::run(&args, globals),
        Verb::Recipient(args) => recipient::run(args, globals),
        Verb::Rotate(args) => rotate::run(args, globals),
        Verb::Identity(args) => identity::run(args, globals),
        Verb::Audit(args) => audit::run(args, globals),
        Verb::Consumers(args) => consumers::run(args, globals),
        Verb::Report(args) => report::run(args, globals),
        Verb::Backup(args) => backup::run(args, globals),
        Verb::Restore(args) => restore::run(args, globals),
        Verb::Check(args) => check::run(args, globals),
        Verb::Compact(args) => compact::run(args, globals),
        Verb::Policy(args) => policy::run(args, globals),
        Verb::Config(args) => config::run(args, globals),
        Verb::Completions(args) => completions::run(args, globals),
        Verb::ClearClipboard(args) => clipboard::clear(args, globals),
        Verb::Install(args) => install::install(args, globals),
        Verb::Uninstall(args) => install::uninstall(args, globals),
        Verb::Man(args) => man::run(args, globals),
        Verb::Answer(args) => answer::run(args, globals),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
        Short::<OnlyGet>::command().debug_assert();
        Short::<OnlyRun>::command().debug_assert();
    }

    #[test]
    fn the_short_grammar_reads_what_the_whole_one_reads() {
        let lines = [
            "get A",
            "get A --json --namespace shop",
            "--namespace get get A",
            "--namespace run get run",
            "--addr=http://127.0.0.1:1 get --no-newline A",
            "run -- true",
            "run --keys A,B --redact --watch -- set get run --help",
            "set get",
            "get",
            "get A --no-such-option",
            "run",
            "get --help",
            "help get",
            "--version run",
            "list",
        ];
        for line in lines {
            let words: Vec<OsString> = ["hushd"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
            let short = format!("{:?}", Cli::read(&words).map_err(|error| error.to_string()));
            let whole = format!("{:?}", Cli::try_parse_from(&words).map_err(|error| error.to_string()));
            assert_eq!(short, whole, "{line}");
        }
        let words = |line: &'static str| ["hushd"].into_iter().chain(line.split(' '));
        for line in ["get A", "--namespace shop get A"] {
            assert!(Short::<OnlyGet>::try_parse_from(words(line)).is_ok(), "{line}");
        }
        for line in ["run -- true", "run --redact -- get"] {
            assert!(Short::<OnlyRun>::try_parse_from(words(line)).is_ok(), "{line}");
        }
    }
}
