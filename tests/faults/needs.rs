//! What the tests need of the machine; and the numbers that say how long they run.

use std::path::Path;

/// Whether the tests can run here: as root, with these programs. Says why not; with `CI` set that is a failure.
#[must_use]
pub fn met(programs: &[&str]) -> bool {
    let Some(reason) = missing(programs) else { return true };
    assert!(std::env::var_os("CI").is_none(), "with CI set nothing is skipped: {reason}");
    eprintln!("skipped: {reason}");
    false
}

fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it must be root".to_owned());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |program: &&&str| path.split(':').any(|directory| Path::new(directory).join(program).is_file());
    let absent = programs.iter().find(|program| !found(program))?;
    Some(format!("{absent} is not installed"))
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Numbers that look random and come again with the same seed.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// With the seed of `HUSHD_TEST_SEED`, or another one each time, which is shown.
    pub fn new() -> Self {
        let seed = setting("HUSHD_TEST_SEED", u64::from(std::process::id()));
        eprintln!("HUSHD_TEST_SEED={seed}");
        Self(seed)
    }

    /// Others, which depend on these.
    pub fn branch(&mut self) -> Self {
        Self(self.below(u64::from(u32::MAX)))
    }

    /// The next number, below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
