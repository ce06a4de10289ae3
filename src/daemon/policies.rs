//! The policies of the configuration: put in force at the start, and again whenever the configuration is read anew.
//!
//! Invariant: a configuration that cannot be used changes nothing; it is in the log and in the status until one can.

use crate::auth::{Policies, Policy, PolicyError, PolicyWarning};
use crate::config::{Config, ConfigError};
use crate::daemon::accounts::System;
use crate::daemon::check::full_text;
use crate::daemon::rendering::{self, Rendering};
use crate::daemon::{DaemonError, Reread};

/// The policy of a configuration, with what may be wrong with it.
///
/// # Errors
/// [`DaemonError::Config`] with the place in the file.
pub fn policy(config: &Config, reread: &Reread<'_>) -> Result<(Policy, Vec<PolicyWarning>), DaemonError> {
    let made = Policy::new(&config.policies, &System);
    let made = made.and_then(|(policy, warnings)| Ok((policy.with_credentials(&config.credentials)?, warnings)));
    made.map_err(|error| invalid(error, reread))
}

fn invalid(error: PolicyError, reread: &Reread<'_>) -> DaemonError {
    let PolicyError { line, column, message, hint } = error;
    let path = reread.file.map(ToOwned::to_owned).unwrap_or_default();
    DaemonError::Config(ConfigError::Invalid { path, line, column, message, hint })
}

/// Makes the policies of the start, and tells what may be wrong with them.
pub(super) fn first(config: &Config, reread: &Reread<'_>) -> Result<Policies, DaemonError> {
    let (policy, warnings) = policy(config, reread)?;
    tell(&warnings);
    Ok(Policies::new(policy))
}

/// Reads the configuration anew and puts its policies in force; where it cannot be used the old ones stay.
pub(super) fn again(started: &Config, policies: &Policies, rendering: &Rendering, reread: &Reread<'_>) {
    let read = (reread.read)().map_err(DaemonError::Config);
    let read = read.and_then(|config| Ok((policy(&config, reread)?, rendering::jobs(&config, reread)?, config)));
    match read {
        Ok(((policy, warnings), jobs, config)) => {
            rendering.replace(jobs);
            tell(&warnings);
            let (count, credentials) = (policy.count(), policy.credentials().count());
            policies.replace(policy);
            tracing::info!(policies = count, credentials, "the configuration was read anew; its policies are in force");
            let same = Config {
                policies: started.policies.clone(),
                credentials: started.credentials.clone(),
                renders: started.renders.clone(),
                ..config
            };
            if same != *started {
                tracing::warn!(
                    "only policies, credentials and rendered files are taken over while the daemon runs; restart it for the \
                     other changes"
                );
            }
        }
        Err(error) => {
            let problem = full_text(&error);
            tracing::error!(problem, "the configuration cannot be used; the old policies stay in force");
            policies.keep(problem);
        }
    }
}

fn tell(warnings: &[PolicyWarning]) {
    for warning in warnings {
        let PolicyWarning { line, column, message, hint } = warning;
        tracing::warn!(line, column, message, hint = hint.as_deref().unwrap_or_default(), "a policy may be wrong");
    }
}
