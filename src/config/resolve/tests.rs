//! The layers against each other, and the shipped sample against the defaults.

use std::fs;

use super::*;
use crate::config::{OnChange, Placed};
use crate::paths::UserDirectories;

const SAMPLE: &str = include_str!("../../../config/hushd.toml");

/// A home of its own.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        crate::paths::write_private_new(&path, text.as_bytes()).unwrap();
        path
    }

    fn load(&self, variables: &[(&str, &str)], flags: &Flags) -> Result<Loaded, ConfigError> {
        let home = self.0.path().to_owned();
        let user = UserDirectories { config: home.clone(), data: home.join("data"), state: home.join("state") };
        let environment = Environment::new(Some(user), 1, variables.iter().copied());
        Loaded::load(&environment, flags, Role::Client)
    }
}

fn source<'a>(loaded: &'a Loaded, key: &str) -> &'a Source {
    &loaded.settings.iter().find(|setting| setting.key == key).unwrap().source
}

/// The sample with every key that it names in force.
fn uncommented() -> String {
    let is_key =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    SAMPLE.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let home = Home::new();
    let namespace = |loaded: &Loaded| loaded.config.client.namespace.to_string();
    let loaded = home.load(&[], &Flags::default()).unwrap();
    assert_eq!((namespace(&loaded), source(&loaded, "client.namespace")), ("default".to_owned(), &Source::Default));

    let path = home.write("config.toml", "[client]\nnamespace = \"from/file\"\n");
    let loaded = home.load(&[], &Flags::default()).unwrap();
    assert_eq!(
        (namespace(&loaded), source(&loaded, "client.namespace")),
        ("from/file".to_owned(), &Source::File(path))
    );

    let variables = [("HUSHD_NAMESPACE", "from/environment")];
    let loaded = home.load(&variables, &Flags::default()).unwrap();
    assert_eq!(namespace(&loaded), "from/environment");
    assert_eq!(source(&loaded, "client.namespace"), &Source::Environment("HUSHD_NAMESPACE"));

    let flags = Flags { namespace: Some("from/flag".parse().unwrap()), ..Flags::default() };
    let loaded = home.load(&variables, &flags).unwrap();
    assert_eq!(namespace(&loaded), "from/flag");
    assert_eq!(source(&loaded, "client.namespace"), &Source::Flag("--namespace"));
}

#[test]
fn a_credential_is_taken_from_the_nearest_layer_and_never_shown() {
    let home = Home::new();
    home.write("config.toml", "[client]\ntoken-file = \"/from/file\"\n");
    let token = |variables: &[(&str, &str)], flags: &Flags| home.load(variables, flags).unwrap().config.client.token;
    let file = |path: &str| Some(TokenSource::File(path.into()));
    let both = [("HUSHD_TOKEN", "ik_marker"), ("HUSHD_TOKEN_FILE", "/from/variable")];
    assert_eq!(token(&[], &Flags::default()), file("/from/file"));
    let inline = Some(TokenSource::Environment(SecretValue::new("ik_marker".to_owned())));
    assert_eq!(token(&both[..1], &Flags::default()), inline);
    assert_eq!(token(&both, &Flags::default()), file("/from/variable"));
    let flags = Flags { token_file: Some("/from/flag".into()), ..Flags::default() };
    assert_eq!(token(&both, &flags), file("/from/flag"));

    let loaded = home.load(&both[..1], &Flags::default()).unwrap();
    assert!(!format!("{loaded:?}").contains("ik_marker"));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let home = Home::new();
    let missing = home.0.path().join("missing.toml");
    let flags = Flags { config: Some(missing.clone()), ..Flags::default() };
    assert!(matches!(home.load(&[], &flags), Err(ConfigError::Unreadable { .. })));
    let variables = [("HUSHD_CONFIG", missing.to_str().unwrap())];
    assert!(matches!(home.load(&variables, &Flags::default()), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_file_that_any_user_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let path = home.write("config.toml", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
    let error = home.load(&[], &Flags::default()).unwrap_err();
    assert_eq!(error.hint().unwrap(), format!("chmod o-w {}", path.display()));
}

#[test]
fn a_wrong_variable_is_named() {
    let home = Home::new();
    for (name, value) in [("HUSHD_ADDR", "tcp://x"), ("HUSHD_NAMESPACE", "A"), ("HUSHD_LOG", "loud")] {
        let error = home.load(&[(name, value)], &Flags::default()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
    }
}

#[test]
fn the_sample_says_every_key_and_with_all_of_them_in_force_nothing_changes() {
    let paths = Paths::system();
    let path = Path::new("config/hushd.toml");
    let nothing = FromEnvironment::default();
    for text in [SAMPLE.to_owned(), uncommented()] {
        let file = file::parse(path, &text).unwrap();
        let (config, settings) = resolve(file, Some(path), &Flags::default(), &nothing, &paths);
        assert_eq!(config, Config::defaults(&paths));
        config.check_listeners().unwrap();
        let said = settings.iter().filter(|setting| setting.source == Source::File(path.to_owned())).count();
        // A policy has no default, nor has a credential or a rendered file: the sample shows each in a comment of its own.
        assert_eq!(said, if text == SAMPLE { 0 } else { settings.len() - 3 }, "{settings:#?}");
    }
    let lines: Vec<&str> =
        SAMPLE.lines().skip_while(|line| *line != "# [[policy]]").filter_map(|line| line.get(2..)).collect();
    // Between the two there are words.
    let is_code = |line: &&str| line.starts_with("[[") || line.contains(" = ");
    let text = lines.into_iter().filter(is_code).collect::<Vec<_>>().join("\n");
    let file = file::parse(path, &text).unwrap();
    let config = resolve(file, Some(path), &Flags::default(), &nothing, &paths).0;
    let places = |placed: &[Placed]| placed.iter().map(|p| (p.text.clone(), p.line, p.column)).collect::<Vec<_>>();
    assert_eq!(places(&config.policies[0].allow), [("read shop/prod/*".to_owned(), 3, 11)]);
    assert_eq!(config.policies[0].line, 1);
    let unit = |index: usize| config.credentials[index].unit.as_ref().map(|unit| (unit.text.as_str(), unit.line));
    assert_eq!([unit(0), unit(1)], [Some(("shop.service", 6)), Some(("shop@*.service", 11))]);
    assert_eq!(config.credentials[0].line, 5);
    let render = &config.renders[0];
    assert_eq!((render.line, render.namespace.as_str(), render.then.len()), (14, "shop/prod", 3));
    assert_eq!([config.credentials[0].on_change, config.credentials[1].on_change], [Some(OnChange::Restart), None]);
}
