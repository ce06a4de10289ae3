//! What the bench was asked for.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

const USAGE: &str = "\
usage: cargo bench [-- OPTIONS]
  --quick        a look, in under a minute
  --million      1,000,000 secrets as well; takes minutes more
  --only A,B     only these sections
  --json FILE    saves all figures
  --svg FILE     saves a plot
  --keep         keeps the directories with the vaults";

/// As what the program runs.
pub enum Mode {
    /// The bench itself.
    Bench(Arguments),
    /// The server that answers a constant; the bench starts itself so.
    Limit {
        /// Its Unix socket.
        socket: PathBuf,
    },
}

/// How the bench runs.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Fewer and shorter rounds, smaller vaults.
    pub quick: bool,
    /// A million secrets as well.
    pub million: bool,
    /// Sections to run; all where it is empty.
    pub only: Vec<String>,
    /// Where the figures are saved.
    pub json: Option<PathBuf>,
    /// Where the plot is saved.
    pub svg: Option<PathBuf>,
    /// Whether the vaults are kept.
    pub keep: bool,
}

impl Arguments {
    /// Reads the command line. `--bench` is what cargo adds.
    pub fn read() -> Result<Mode> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--bench" => {}
                "--limit" => return Ok(Mode::Limit { socket: value()?.into() }),
                "--quick" => arguments.quick = true,
                "--million" => arguments.million = true,
                "--keep" => arguments.keep = true,
                "--only" => arguments.only = value()?.split(',').map(str::to_owned).collect(),
                "--json" => arguments.json = Some(value()?.into()),
                "--svg" => arguments.svg = Some(value()?.into()),
                _ => return Err(format!("unknown option {word}\n{USAGE}").into()),
            }
        }
        Ok(Mode::Bench(arguments))
    }

    /// One of two, by whether only a look is wanted.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How often everything is measured.
    pub fn rounds(&self) -> usize {
        self.pick(3, 15)
    }

    /// How long one measurement takes.
    pub fn window(&self) -> Duration {
        self.pick(Duration::from_millis(60), Duration::from_millis(250))
    }
}
