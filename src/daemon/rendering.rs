//! The files that the daemon keeps rendered (`[[render]]`): at the start, after an unseal, when a secret of theirs changes, and
//! when the configuration is read anew.
//!
//! Invariants: a file is written only when its text has changed, as a whole, and after what it reveals stands in the audit
//! trail; what cannot be rendered leaves the old file as it is, is told, and is tried again; the command runs without a shell,
//! without the daemon's environment, for half a minute at most, and leaves no process behind.

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::api::RenderStatus;
use crate::auth::{Accounts as _, Caller, Principal, Scope};
use crate::clock::Timestamp;
use crate::config::{Config, ConfigError, FileMode, RenderConfig};
use crate::daemon::accounts::System;
use crate::daemon::check::full_text;
use crate::daemon::{DaemonError, Reread};
use crate::http::RenderReport;
use crate::metrics::COUNTS;
use crate::model::reference::{self, Stored};
use crate::model::{Key, Namespace, SecretValue, Template};
use crate::paths::{Ownership, replace_rendered};
use crate::vault::{Begin, Event, Events, Found, Gate, Position, Selection, Vault};

/// How long after a change others are waited for.
const QUIET: Duration = Duration::from_millis(200);
/// How long after the vault was sealed, or was not open, it is looked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_mins(1);
/// Events that are read at once.
const MOST: usize = 256;
/// Largest template, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A file that is kept rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    template: PathBuf,
    output: PathBuf,
    namespace: Namespace,
    whose: Ownership,
    then: Vec<String>,
}

/// Whether the `[[render]]` of a configuration can be gone by.
///
/// # Errors
/// [`DaemonError::Config`] with the line: two with one output, a user that there is not, a directory that is not there or that
/// others can write to.
pub fn check(config: &Config, reread: &Reread<'_>) -> Result<(), DaemonError> {
    jobs(config, reread).map(drop)
}

/// The jobs of a configuration.
pub(super) fn jobs(config: &Config, reread: &Reread<'_>) -> Result<Vec<Job>, DaemonError> {
    let mut outputs = BTreeSet::new();
    let mut jobs = Vec::with_capacity(config.renders.len());
    for render in &config.renders {
        let made = if outputs.insert(&render.output) {
            Job::of(render, config)
        } else {
            Err(("another [[render]] writes it too".to_owned(), "give each its own output"))
        };
        jobs.push(made.map_err(|(message, hint)| {
            let path = reread.file.map(ToOwned::to_owned).unwrap_or_default();
            let message = format!("{}: {message}", render.output.display());
            let (line, hint) = (render.line, Some(hint.to_owned()));
            DaemonError::Config(ConfigError::Invalid { path, line, column: 1, message, hint })
        })?);
    }
    Ok(jobs)
}

impl Job {
    fn of(render: &RenderConfig, config: &Config) -> Result<Self, (String, &'static str)> {
        let account = |name: &Option<String>, kind: &str, find: fn(&System, &str) -> std::io::Result<Option<u32>>| {
            let Some(name) = name else { return Ok(None) };
            match name.parse().map_or_else(|_| find(&System, name), |number: u32| Ok(Some(number))) {
                Ok(Some(number)) => Ok(Some(number)),
                Ok(None) => Err((format!("there is no {kind} {name}"), "name one of this machine, or a number")),
                Err(error) => Err((format!("the {kind} {name} cannot be looked up: {error}"), "try again")),
            }
        };
        let owner = account(&render.owner, "user", System::user)?;
        let group = account(&render.group, "group", System::group)?;
        let directory = render.output.parent().unwrap_or(Path::new("/"));
        let found = fs::metadata(directory).map_err(|error| {
            let hint = "make it, readable for who needs the file and writable for nobody else";
            (format!("its directory cannot be used: {}", error.to_string().to_lowercase()), hint)
        })?;
        // Who checks a configuration may be another than who serves by it.
        let vault = fs::metadata(&config.vault.data_dir).map(|vault| vault.uid()).ok();
        let mut known = [0, rustix::process::geteuid().as_raw()].into_iter().chain(owner).chain(vault);
        let ours = known.any(|uid| uid == found.uid());
        if !found.is_dir() || found.mode() & 0o022 != 0 || !ours {
            return Err((
                "others can write to its directory, and so put something else in the file's place".to_owned(),
                "take one that belongs to root or to the daemon's user, of mode 0755 or less",
            ));
        }
        if render.template == render.output {
            return Err(("it would write over its own template".to_owned(), "give the output another name"));
        }
        let whose = Ownership { mode: render.mode.map(FileMode::bits), owner, group };
        let RenderConfig { template, output, namespace, then, .. } = render.clone();
        Ok(Self { template, output, namespace, whose, then })
    }

    fn status(&self) -> RenderStatus {
        RenderStatus {
            output: self.output.display().to_string(),
            namespace: self.namespace.to_string(),
            rendered_at: None,
            changed_at: None,
            problem: None,
        }
    }

    /// Renders it. Says whether the file was written; it blocks.
    fn render(&self, vault: &Vault) -> Result<bool, String> {
        let text = self.text(vault)?;
        replace_rendered(&self.output, text.expose_secret().as_bytes(), self.whose).map_err(|error| full_text(&error))
    }

    fn text(&self, vault: &Vault) -> Result<SecretValue, String> {
        let name = self.template.display();
        let template = read(&self.template).map_err(|error| format!("the template {name} cannot be read: {error}"))?;
        let template = Template::parse(&template).map_err(|error| format!("the template {name}: {error}"))?;
        let wanted = template.keys();
        let stored = self.stored(vault, &wanted)?;
        let mut values = BTreeMap::new();
        for key in wanted.into_iter().filter(|key| stored.contains_key(key)) {
            let value = reference::resolve(&key, &stored).map_err(|error| error.to_string())?;
            values.insert(key, value);
        }
        template.render(&values).map_err(|missing| {
            let names: Vec<_> = missing.iter().map(Key::as_str).collect();
            format!("secret not found in {}: {}", self.namespace, names.join(", "))
        })
    }

    /// The values that are wanted, and those that they refer to.
    fn stored(&self, vault: &Vault, wanted: &BTreeSet<Key>) -> Result<BTreeMap<Key, Stored>, String> {
        let scope = Scope::parse(&[format!("read {}/*", self.namespace)]).map_err(|error| error.to_string())?;
        let caller = Caller::new(Principal::job(format!("render:{}", self.output.display()), &scope));
        let mut stored = BTreeMap::new();
        let mut newest: Vec<Key> = wanted.iter().cloned().collect();
        let mut asked: BTreeSet<Key> = wanted.clone();
        while !newest.is_empty() {
            let selection = Selection { keys: Some(newest), prefix: None, partial: true };
            let found = Handle::current().block_on(vault.environment(&caller, &self.namespace, &selection));
            let found = found.map_err(|error| full_text(&error))?;
            newest = Vec::new();
            for (name, value) in found.values {
                let Ok(key) = name.parse::<Key>() else { continue };
                let is_template = found.templates.contains(&name);
                if is_template {
                    let referred = reference::keys(value.expose_secret());
                    let referred = referred.map_err(|what| format!("the template {key} {what}"))?;
                    newest.extend(referred.into_iter().filter(|key| asked.insert(key.clone())));
                }
                stored.insert(key, Stored { value, is_template });
            }
        }
        Ok(stored)
    }
}

/// Reads a template.
fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string().to_lowercase())?;
    let mut text = Zeroizing::new(String::new());
    let length = file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string().to_lowercase())?;
    if length as u64 > LARGEST { Err(format!("it has more than {LARGEST} bytes")) } else { Ok(text) }
}

/// All jobs, and how they are.
#[derive(Debug)]
pub(super) struct Rendering {
    jobs: Mutex<Vec<Job>>,
    report: RenderReport,
    renewed: Notify,
    /// Files that were written without the success of their command.
    owed: Mutex<BTreeSet<PathBuf>>,
}

impl Rendering {
    /// Gets ready.
    pub(super) fn new(jobs: Vec<Job>) -> Arc<Self> {
        let report = RenderReport::default();
        *report.write() = jobs.iter().map(Job::status).collect();
        Arc::new(Self { jobs: Mutex::new(jobs), report, renewed: Notify::new(), owed: Mutex::default() })
    }

    /// What is known of the files.
    pub(super) fn report(&self) -> RenderReport {
        Arc::clone(&self.report)
    }

    /// Takes over the jobs of a configuration that was read anew, and renders all of them.
    pub(super) fn replace(&self, jobs: Vec<Job>) {
        let mut report = self.report.write();
        let known = std::mem::take(&mut *report);
        let status = |job: &Job| {
            let new = job.status();
            known
                .iter()
                .find(|known| known.output == new.output && known.namespace == new.namespace)
                .cloned()
                .unwrap_or(new)
        };
        *report = jobs.iter().map(status).collect();
        *self.jobs.lock() = jobs;
        drop(report);
        self.renewed.notify_one();
    }

    /// Keeps the files rendered, as long as the daemon runs.
    pub(super) async fn follow(self: Arc<Self>, gate: Arc<Gate>) {
        loop {
            // Not the vault itself, nor its events, which name secrets and would outlive a seal as long as they are held.
            let events = gate.vault().map(|vault| Arc::downgrade(vault.events()));
            if let Ok(events) = events {
                self.watch(&gate, &events).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Follows the events of an open vault to their end.
    async fn watch(&self, gate: &Arc<Gate>, events: &Weak<Events>) {
        let Some((mut newest, mut position)) = events.upgrade().map(|events| (events.watch(), end(&events))) else {
            return;
        };
        let mut what = Changed::All;
        loop {
            self.render(gate, &what).await;
            let failed = self.report.read().iter().any(|status| status.problem.is_some());
            let wait = if failed { RETRY } else { Duration::MAX };
            let seen = tokio::select! {
                changed = newest.changed() => changed.is_ok().then_some(()),
                () = self.renewed.notified() => { what = Changed::All; continue }
                () = tokio::time::sleep(wait) => { what = Changed::All; continue }
            };
            if seen.is_none() {
                return;
            }
            tokio::time::sleep(QUIET).await;
            match events.upgrade().and_then(|events| changed(&events, &mut position)) {
                Some(changed) => what = changed,
                None => return,
            }
        }
    }

    /// Renders what a change concerns.
    async fn render(&self, gate: &Arc<Gate>, what: &Changed) {
        let jobs: Vec<Job> = self.jobs.lock().iter().filter(|job| what.concerns(&job.namespace)).cloned().collect();
        for job in jobs {
            let Ok(vault) = gate.vault() else { return };
            let (done, now) = (job.clone(), gate.clock().now());
            let owed = self.owed.lock().contains(&job.output);
            // It waits for the disk, and for the command.
            let result = tokio::task::spawn_blocking(move || {
                let changed = done.render(&vault);
                drop(vault);
                let run = changed.as_ref().is_ok_and(|changed| *changed || owed);
                let told = if run { command::run(&done.then) } else { Ok(()) };
                (changed, told)
            });
            let (changed, told) = result.await.unwrap_or_else(|error| (Err(error.to_string()), Ok(())));
            match (&changed, &told) {
                // Whoever should know of the change does not: he is told again when it is tried again.
                (Ok(_), Err(_)) => drop(self.owed.lock().insert(job.output.clone())),
                (Ok(_), Ok(())) => drop(self.owed.lock().remove(&job.output)),
                (Err(_), _) => {}
            }
            let told = told.map_err(|error| format!("it was written, and its command failed: {error}"));
            self.note(&job, changed, told, now);
        }
    }

    fn note(&self, job: &Job, changed: Result<bool, String>, told: Result<(), String>, now: Timestamp) {
        let mut report = self.report.write();
        let output = job.output.display().to_string();
        let Some(status) = report.iter_mut().find(|status| status.output == output) else { return };
        if let Ok(changed) = changed {
            status.rendered_at = Some(now);
            if changed {
                COUNTS.renders.increment();
                status.changed_at = Some(now);
                tracing::info!(output, "a file was rendered");
            }
        }
        match changed.and(told) {
            Ok(()) => status.problem = None,
            Err(problem) => {
                COUNTS.render_failures.increment();
                if status.problem.as_ref() != Some(&problem) {
                    tracing::error!(output, problem, "a file is not as it should be");
                }
                status.problem = Some(problem);
            }
        }
    }
}

/// What has changed.
#[derive(Debug)]
enum Changed {
    /// Perhaps everything.
    All,
    /// Secrets of these namespaces.
    In(BTreeSet<Namespace>),
}

impl Changed {
    fn concerns(&self, namespace: &Namespace) -> bool {
        match self {
            Self::All => true,
            Self::In(namespaces) => namespaces.contains(namespace),
        }
    }
}

fn end(events: &Events) -> Position {
    let (Begin::At(end) | Begin::Restarted(end) | Begin::TooOld(end)) = events.begin(None);
    end
}

/// What the events after `position` say; `None` when there will be no more of them.
fn changed(events: &Events, position: &mut Position) -> Option<Changed> {
    let mut namespaces = BTreeSet::new();
    let mut all = false;
    loop {
        match events.read(*position, MOST) {
            Found::Events(found) if found.is_empty() => {
                return Some(if all { Changed::All } else { Changed::In(namespaces) });
            }
            Found::Events(found) => {
                for (after, event) in found {
                    *position = after;
                    if let Event::Secret { namespace, .. } = &*event {
                        namespaces.insert(namespace.clone());
                    }
                }
            }
            Found::Renewed(end) => {
                all = true;
                *position = end;
            }
            Found::Gone => {
                all = true;
                *position = end(events);
            }
            Found::Ended(_) => return None,
        }
    }
}
