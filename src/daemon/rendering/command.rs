//! The command that is run after a file was rendered.
//!
//! Invariants: no shell, no environment but `PATH`, nothing on its input, and nothing of what it says is kept, since it may say
//! values; what it started is killed with it when its time is over.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long it may take.
const LONGEST: Duration = Duration::from_secs(30);
/// How often it is looked whether it has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// Where it is looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it to its end; blocks.
///
/// # Errors
/// Why it could not be run, how it ended, or that it took too long.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    run_for(arguments, LONGEST)
}

#[expect(
    clippy::disallowed_methods,
    reason = "it limits how long another program takes, and decides nothing else by it"
)]
fn run_for(arguments: &[String], longest: Duration) -> Result<(), String> {
    let Some((program, arguments)) = arguments.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("{program}: {}", error.to_string().to_lowercase()))?;
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return verdict(program, status),
            Ok(None) if begun.elapsed() < longest => std::thread::sleep(GLANCE),
            Ok(None) => {
                end(&mut child);
                return Err(format!("{program} took more than {} s and was killed", longest.as_secs()));
            }
            Err(error) => {
                end(&mut child);
                return Err(format!("{program}: {error}"));
            }
        }
    }
}

fn verdict(program: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}")) }
}

/// Kills it with all that it started.
fn end(child: &mut Child) {
    // That it is gone already is no failure.
    kill_process_group(Pid::from_child(child), Signal::KILL).ok();
    child.wait().ok();
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "it waits for other programs")]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn how_it_ended_is_told() {
        run(&[]).unwrap();
        run(&words("true")).unwrap();
        assert_eq!(run(&words("false")).unwrap_err(), "false: exit status: 1");
        assert!(run(&words("/no/such/program")).unwrap_err().starts_with("/no/such/program: no such file"));
    }

    #[test]
    fn what_takes_too_long_is_killed_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("late");
        let script = format!("(sleep 1; touch {}) & wait", file.display());
        let begun = Instant::now();
        let error = run_for(&["sh".to_owned(), "-c".to_owned(), script], Duration::from_millis(200)).unwrap_err();
        assert!(error.starts_with("sh took more than 0 s and was killed"), "{error}");
        assert!(begun.elapsed() < Duration::from_millis(900));
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!file.exists(), "the child of the child lives on");
    }

    #[test]
    fn it_has_no_environment_of_the_daemons() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("env");
        let script = format!("env > {}", file.display());
        run(&["sh".to_owned(), "-c".to_owned(), script]).unwrap();
        let names: Vec<String> = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .filter_map(|line| line.split_once('=').map(|(name, _)| name.to_owned()))
            .filter(|name| !matches!(name.as_str(), "PWD" | "OLDPWD" | "SHLVL" | "_"))
            .collect();
        assert_eq!(names, ["PATH"]);
    }
}
