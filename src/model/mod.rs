//! The nouns: names, values and metadata, without any I/O.
//!
//! Invariant: a value of one of these types is valid; nobody inside checks again.

mod metadata;
mod names;
mod progress;
pub mod reference;
mod request_id;
mod template;
mod value;
mod variable;

pub use metadata::{Metadata, RevisionInfo, SecretId};
pub use names::{InvalidKey, InvalidNamespace, Key, Namespace};
pub use progress::Progress;
pub use request_id::RequestId;
pub use template::{Template, TemplateError};
pub use value::SecretValue;
pub use variable::{CREDENTIAL_VARIABLES, InvalidVariableName, VariableName};
