//! Names of environment variables that secrets are given under.
//!
//! Invariant: a [`VariableName`] is one that every shell can use, and none that hushd's own credential is in.

use std::fmt;
use std::str::FromStr;

use crate::model::Key;

/// Variables that no child ever gets: hushd's own credential.
pub const CREDENTIAL_VARIABLES: [&str; 2] = ["HUSHD_TOKEN", "HUSHD_TOKEN_FILE"];

/// The name of an environment variable (POSIX, "Environment Variable Definition"): letters, digits and underscores, not
/// beginning with a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VariableName(String);

/// The text is not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariableName {
    /// Other characters.
    #[error("a variable has letters, digits and underscores only, and does not begin with a digit")]
    Characters,
    /// A variable with hushd's own credential.
    #[error("HUSHD_TOKEN and HUSHD_TOKEN_FILE are hushd's own, and no command gets them")]
    Credential,
}

impl VariableName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The variable of a secret's own name; `None` where that is none for a variable.
    pub fn of_key(key: &Key) -> Option<Self> {
        key.as_str().parse().ok()
    }
}

impl FromStr for VariableName {
    type Err = InvalidVariableName;

    fn from_str(text: &str) -> Result<Self, InvalidVariableName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if text.is_empty() || text.as_bytes()[0].is_ascii_digit() || !text.bytes().all(allowed) {
            return Err(InvalidVariableName::Characters);
        }
        if CREDENTIAL_VARIABLES.contains(&text) {
            return Err(InvalidVariableName::Credential);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_what_a_shell_can_name_and_never_the_credential() {
        for good in ["A", "_", "http_proxy", "A1"] {
            assert_eq!(good.parse::<VariableName>().unwrap().as_str(), good);
        }
        for bad in ["", "1A", "A-B", "A=B", "Ä", "A\0"] {
            assert_eq!(bad.parse::<VariableName>(), Err(InvalidVariableName::Characters), "{bad}");
        }
        assert_eq!("HUSHD_TOKEN".parse::<VariableName>(), Err(InvalidVariableName::Credential));
    }
}
