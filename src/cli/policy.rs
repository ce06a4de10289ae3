//! `hushd policy`: what the policy of the configuration says, and which rule says it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::auth::{Accounts as _, Action, Decision, Peer, Policy, Principal, Rule, Target, Unit, decide};
use crate::cli::{CliError, ErrorKind, Globals, parse};
use crate::daemon::{self, Reread, System};
use crate::model::{Key, Namespace};
use crate::paths::Role;

/// What the policy says, and which rule says it
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct PolicyArgs {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    Check(CheckArgs),
}

/// Say whether somebody may do something with a secret, and which rule decides
///
/// It reads the configuration file as it is now and asks no daemon.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_HELP)]
struct CheckArgs {
    /// Who asks: uid:1000, user:NAME, group:NAME, unit:shop.service, token:ID; repeatable, for all that holds of him
    #[arg(long, required = true, value_name = "WHO")]
    peer: Vec<String>,
    /// The secret: KEY, or NAMESPACE/KEY
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// What is to be done
    #[arg(long, value_enum, default_value_t = VerbName::Read)]
    verb: VerbName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VerbName {
    Read,
    Write,
    List,
    Verify,
    Admin,
}

const AFTER_HELP: &str = "\
The exit code is 0 where it is allowed, 77 where it is denied. user:NAME brings the user's groups
with it. Of a token only what policies say of it is looked at: its own scope is in `hushd token
list`.

With --json: {\"allowed\", \"verb\", \"namespace\", \"key\", \"principal\", \"rule\"}; without --key, namespace
and key are null.";

/// Runs the verb below `policy`.
///
/// # Errors
///
/// [`ErrorKind::NotPermitted`] where it is denied; [`ErrorKind::Configuration`] where the policy cannot be used.
pub fn run(args: PolicyArgs, globals: &Globals) -> Result<(), CliError> {
    match args.verb {
        PolicyVerb::Check(args) => check(&args, globals),
    }
}

fn check(args: &CheckArgs, globals: &Globals) -> Result<(), CliError> {
    let loaded = globals.load(Role::Daemon)?;
    let path = loaded.file.clone().unwrap_or_else(|| loaded.paths.config_file());
    let read = || Ok(loaded.config.clone());
    let (policy, warnings) = daemon::policy(&loaded.config, &Reread { read: &read, file: Some(&path) })?;
    for warning in &warnings {
        globals.output.note(format_args!("warning: {}:{warning}", path.display()));
    }
    let target = args.key.as_deref().map(|key| secret(key, &loaded.config.client.namespace)).transpose()?;
    let who = who(&args.peer, &policy, owner(&loaded.config.vault.data_dir))?;
    let action = match args.verb {
        VerbName::Read => Action::Read,
        VerbName::Write => Action::Write,
        VerbName::List => Action::List,
        VerbName::Verify => Action::Verify,
        VerbName::Admin => Action::Admin,
    };
    if target.is_none() && action != Action::Admin {
        return Err(
            CliError::new(ErrorKind::Usage, "--key is missing").hint("name the secret: --key shop/prod/STRIPE_KEY")
        );
    }
    let place = match (&target, action) {
        (Some((namespace, key)), Action::Read | Action::Write | Action::List | Action::Verify) => {
            Target::Secret(namespace, key)
        }
        (_, _) => Target::Vault,
    };
    let (allowed, rule) = match who.as_ref().map(|principal| decide(principal, action, place)) {
        Some(Decision::Allow { rule }) => (true, rule),
        Some(Decision::Deny { rule, .. }) => (false, rule),
        None => (false, Rule::BuiltIn("no policy is for this peer")),
    };
    let verb = format!("{:?}", args.verb).to_lowercase();
    let target = target.filter(|_| args.verb != VerbName::Admin);
    let name = target.as_ref().map(|(namespace, key)| format!(" {namespace}/{key}")).unwrap_or_default();
    let principal = who.map_or("nobody".to_owned(), |principal| principal.to_string());
    let output = &globals.output;
    if output.is_json() {
        let (namespace, key) = target.map(|(namespace, key)| (namespace.to_string(), key.to_string())).unzip();
        let rule = rule.to_string();
        output.json(&json!({ "allowed": allowed, "verb": verb, "namespace": namespace, "key": key,
            "principal": principal, "rule": rule }))?;
    } else {
        output.line(format_args!("{}  {verb}{name}", if allowed { "allow" } else { "deny " }))?;
        output.line(format_args!("who    {principal}"))?;
        output.line(format_args!("rule   {rule}"))?;
    }
    if allowed {
        return Ok(());
    }
    let hint = format!("add a rule to a [[policy]] in {}", path.display());
    Err(CliError::new(ErrorKind::NotPermitted, format!("{principal} may not {verb}{name}")).hint(hint))
}

/// The secret that is meant: in the namespace of the command where it names none itself.
fn secret(text: &str, namespace: &Namespace) -> Result<(Namespace, Key), CliError> {
    let usage = |message: String| CliError::new(ErrorKind::Usage, message);
    let (namespace, key) = match text.rsplit_once('/') {
        Some((namespace, key)) => (parse::namespace(namespace).map_err(usage)?, key),
        None => (namespace.clone(), text),
    };
    Ok((namespace, parse::key(key).map_err(usage)?))
}

/// The principal that the daemon would take them for; none where it would recognise nobody.
fn who(words: &[String], policy: &Policy, owner: u32) -> Result<Option<Principal>, CliError> {
    // Somebody of whom nothing else is known: no user has this number (credentials(7)).
    let mut peer = Peer::new(u32::MAX, u32::MAX);
    let mut token = None;
    let no = |message: String| CliError::new(ErrorKind::Usage, message);
    for word in words.iter().flat_map(|words| words.split(',')) {
        let (kind, name) = word.split_once(':').ok_or_else(|| {
            no(format!("{word:?} does not say what it is"))
                .hint("write uid:1000, user:ada, group:deploy, unit:shop.service or token:ID")
        })?;
        let looked_up = |found: std::io::Result<Option<u32>>| match found {
            Ok(Some(number)) => Ok(number),
            Ok(None) => Err(CliError::new(ErrorKind::NotFound, format!("there is no {kind} {name:?}"))),
            Err(error) => Err(CliError::from_error(ErrorKind::Other, &error)),
        };
        match kind {
            "uid" => peer.uid = name.parse().map_err(|_| no(format!("not the number of a user: {name:?}")))?,
            "gid" => peer.groups.push(name.parse().map_err(|_| no(format!("not the number of a group: {name:?}")))?),
            "user" => {
                peer.uid = looked_up(System.user(name))?;
                let (gid, groups) = System::groups_of(name);
                peer.gid = gid.unwrap_or(peer.gid);
                peer.groups.extend(groups);
            }
            "group" => peer.groups.push(looked_up(System.group(name))?),
            "unit" => {
                let unit: Unit = name.parse().map_err(|error: crate::auth::InvalidUnit| no(error.to_string()))?;
                peer.unit = Some(unit);
            }
            "token" => token = Some(name),
            _ => return Err(no(format!("{kind:?} is neither uid, user, gid, group, unit nor token"))),
        }
    }
    Ok(match token {
        Some(name) => Some(policy.bearer(name)),
        None => policy.peer(&peer, owner),
    })
}

/// Whose daemon it would be: the vault's owner, or whoever asks where there is none.
fn owner(data_dir: &Path) -> u32 {
    fs::metadata(data_dir).map_or_else(|_| rustix::process::geteuid().as_raw(), |metadata| metadata.uid())
}
