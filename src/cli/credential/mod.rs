//! `hushd credential`: the protocols by which git, docker, aws and age ask for what they need.
//!
//! Invariants: what is on standard output is the protocol's and nothing else; what is not there is answered as the protocol
//! answers that, so that its program goes on to ask somebody else.

mod aws;
mod docker;
mod git;
mod identity;
mod stored;

use clap::{Args, Subcommand};

use crate::cli::{CliError, Globals};

/// Answer git, docker, aws and age, by their own protocols
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_long_help = AFTER_HELP)]
pub struct CredentialArgs {
    #[command(subcommand)]
    verb: CredentialVerb,
}

#[derive(Debug, Subcommand)]
enum CredentialVerb {
    Git(git::GitArgs),
    Docker(docker::DockerArgs),
    Aws(aws::AwsArgs),
    Age(identity::AgeArgs),
}

const AFTER_HELP: &str = "\
What git and docker store is in the namespace credentials, or in that of --namespace; aws and age
read the namespace that every verb reads.";

/// Runs the verb below `credential`.
///
/// # Errors
///
/// Those of the protocol.
pub fn run(args: CredentialArgs, globals: &Globals) -> Result<(), CliError> {
    match args.verb {
        CredentialVerb::Git(args) => git::run(&args, globals),
        CredentialVerb::Docker(args) => docker::run(&args, globals),
        CredentialVerb::Aws(args) => aws::run(&args, globals),
        CredentialVerb::Age(args) => identity::run(&args, globals),
    }
}
