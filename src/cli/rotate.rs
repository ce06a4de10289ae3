//! `hushd rotate`: new keys for the vault itself.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::offline::{Place, reencrypt};
use crate::cli::{CliError, Globals};

/// Replace the vault's own keys
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct RotateArgs {
    #[command(subcommand)]
    verb: RotateVerb,
}

#[derive(Debug, Subcommand)]
enum RotateVerb {
    DataKey(DataKeyArgs),
    JwtSecret(JwtSecretArgs),
}

/// Make a new data key, and re-encrypt all records under it
#[derive(Debug, Args)]
#[command(after_long_help = DATA_KEY_HELP)]
struct DataKeyArgs {
    /// Do not wait until all records are re-encrypted; a daemon goes on with it
    #[arg(long)]
    no_wait: bool,
}

const DATA_KEY_HELP: &str = "\
The daemon serves and takes writes meanwhile. Interrupting this command stops only the waiting; the
daemon goes on, also after a restart. The old key is dropped when no record is under it any more.

With --json: {\"epoch\": N, \"done\": BOOL}.";

/// Make a new secret that signs administrators' tokens; the old one verifies them for a while
#[derive(Debug, Args)]
#[command(after_long_help = JWT_SECRET_HELP)]
struct JwtSecretArgs {
    /// How many hours tokens stay valid that were signed until now: 0 to 720
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(i64).range(0..=720))]
    grace_hours: i64,
}

const JWT_SECRET_HELP: &str = "\
With --grace-hours 0 all tokens until now are worthless at once, those in an earlier grace period
too. Other software that signs tokens with the old secret can do so until the grace period ends.

With --json: {\"oldSecretExpiresAt\"}.";

/// Runs the verb below `rotate`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`](crate::cli::ErrorKind::NotPermitted) for whoever is no administrator.
pub fn run(args: RotateArgs, globals: &Globals) -> Result<(), CliError> {
    let mut place = Place::find(globals)?;
    let output = &globals.output;
    match args.verb {
        RotateVerb::DataKey(args) => {
            let epoch = match &mut place {
                Place::Here(vault) => vault.rotate_data_key()?,
                Place::There(session) => {
                    session.client.rotate_data_key().map_err(|error| session.explain(error))?.epoch
                }
            };
            if !args.no_wait {
                reencrypt(&mut place, globals)?;
            }
            if output.is_json() {
                return output.json(&json!({ "epoch": epoch, "done": !args.no_wait }));
            }
            let state =
                if args.no_wait { "; the records follow: see hushd status" } else { "; all records are under it" };
            output.note(format_args!("data key {epoch} is in force{state}"));
        }
        RotateVerb::JwtSecret(args) => {
            let until = match &mut place {
                Place::Here(vault) => vault.rotate_jwt_secret(Some(args.grace_hours))?,
                Place::There(session) => {
                    let rotated = session.client.rotate_jwt_secret(Some(args.grace_hours));
                    rotated.map_err(|error| session.explain(error))?.old_secret_expires_at
                }
            };
            if output.is_json() {
                return output.json(&json!({ "oldSecretExpiresAt": until }));
            }
            output.note(format_args!("tokens that were signed until now are valid until {until}"));
        }
    }
    Ok(())
}
