//! Configuration files, those of projects and those of the daemon: all that they say is taken, or they are refused with the
//! place that is wrong.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use hushd::config::{ConfigError, Flags, Loaded, PROJECT_FILE, ProjectText};
use hushd::paths::{Environment, Role, UserDirectories};
use tempfile::TempDir;
use toml::Value;

static PLACE: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::Builder::new().prefix("hushd-fuzz-").tempdir_in("/dev/shm").expect("there is room"));

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let path = |name: &str| -> PathBuf { PLACE.path().join(name) };
    fs::write(path("config.toml"), text).expect("it is written");
    fs::write(path(PROJECT_FILE), text).expect("it is written");
    let nowhere = || PathBuf::from("/nowhere");
    let user = UserDirectories { config: nowhere(), data: nowhere(), state: nowhere() };
    let environment = Environment::new(Some(user), 1, [("XDG_RUNTIME_DIR", "/nowhere")]);
    let flags = Flags { config: Some(path("config.toml")), ..Flags::default() };
    for role in [Role::Daemon, Role::Client] {
        match Loaded::load(&environment, &flags, role) {
            Ok(loaded) => {
                let _problems = loaded.config.check_listeners();
                nothing_is_passed_over(text, &loaded);
            }
            Err(error) => has_its_place(text, &error),
        }
    }
    match ProjectText::find(PLACE.path()) {
        Ok(project) => {
            let project = project.expect("it was written");
            for profile in project.profiles().iter().map(|name| Some(name.as_str())).chain([None]) {
                if let Err(error) = project.parse(profile) {
                    has_its_place(text, &error);
                }
            }
        }
        Err(error) => has_its_place(text, &error),
    }
});

/// Each key of an accepted file is a setting that comes from it.
fn nothing_is_passed_over(text: &[u8], loaded: &Loaded) {
    let text = std::str::from_utf8(text).expect("it was accepted");
    let table: toml::Table = text.parse().expect("it was accepted");
    let keys = table.iter().flat_map(|(section, value)| match value {
        Value::Table(keys) => keys.keys().map(|key| format!("{section}.{key}")).collect(),
        // Rules and the like, which are no settings.
        Value::Array(entries) if entries.iter().any(Value::is_table) => Vec::new(),
        _ => vec![section.clone()],
    });
    for key in keys {
        let setting = loaded.settings.iter().find(|setting| setting.key == key);
        let source = setting.map(|setting| setting.source.to_string()).unwrap_or_default();
        assert!(source.contains("config.toml"), "{key} comes from {source:?}");
    }
}

/// The line is one that the file has.
fn has_its_place(text: &[u8], error: &ConfigError) {
    match error {
        ConfigError::Invalid { line, column, .. } => {
            let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(line) && *column >= 1, "{error}");
        }
        error => panic!("{error}"),
    }
}
