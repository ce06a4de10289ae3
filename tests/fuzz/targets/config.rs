//! Configuration files, those of projects and those of the daemon: taken, or refused with a place.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use hushd::config::{Flags, Loaded, PROJECT_FILE, ProjectText};
use hushd::paths::{Environment, Role};
use tempfile::TempDir;

static PLACE: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::Builder::new().prefix("hushd-fuzz-").tempdir_in("/dev/shm").expect("there is room"));

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let path = |name: &str| -> PathBuf { PLACE.path().join(name) };
    fs::write(path("config.toml"), text).expect("it is written");
    fs::write(path(PROJECT_FILE), text).expect("it is written");
    let variables = [("HOME", "/nowhere"), ("XDG_RUNTIME_DIR", "/nowhere")];
    let environment = Environment::new(None, 1, variables);
    let flags = Flags { config: Some(path("config.toml")), ..Flags::default() };
    for role in [Role::Daemon, Role::Client] {
        match Loaded::load(&environment, &flags, role) {
            Ok(loaded) => {
                let _problems = loaded.config.check_listeners();
                let settings = loaded.settings.iter().map(|setting| format!("{setting:?}")).collect::<String>();
                assert!(!settings.is_empty());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(Some(project)) = ProjectText::find(PLACE.path()) {
        let profiles = project.profiles();
        let parsed = project.parse(None);
        assert!(parsed.is_err() || !project.digest().is_empty());
        for profile in profiles {
            let _parsed = project.parse(Some(&profile));
        }
    }
});
