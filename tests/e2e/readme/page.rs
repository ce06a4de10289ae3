//! The README as a list of commands with what it says that they print.

/// A command as it is typed, with what the page shows below it.
#[derive(Debug)]
pub struct Step {
    /// The line of the page, from 1 on.
    pub line: usize,
    /// What is typed, continuation lines included.
    pub command: String,
    /// What is shown; empty where the page shows nothing.
    pub shown: String,
}

/// The commands of all `console` blocks, in order.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (first, block) in fenced(page, "console") {
        let mut goes_on = false;
        for (number, line) in (first..).zip(block.lines()) {
            if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                steps.push(Step { line: number, command: command.to_owned(), shown: String::new() });
                goes_on = continues(command);
                continue;
            }
            let step = steps.last_mut().unwrap();
            if goes_on {
                step.command = format!("{}\n{line}", step.command);
                goes_on = continues(line);
            } else if !is_comment(line) {
                step.shown += line;
                step.shown.push('\n');
            }
        }
    }
    for step in &mut steps {
        step.shown = step.shown.trim().to_owned();
    }
    steps
}

/// The blocks of one language, each with the number of its first line.
pub fn fenced<'p>(page: &'p str, language: &str) -> Vec<(usize, &'p str)> {
    let opening = format!("\n```{language}\n");
    let mut found = Vec::new();
    for (at, _) in page.match_indices(&opening) {
        let start = at + opening.len();
        let length = page[start..].find("```\n").unwrap();
        found.push((page[..start].matches('\n').count() + 1, &page[start..start + length]));
    }
    found
}

fn continues(line: &str) -> bool {
    [" \\", "; do"].iter().any(|end| line.ends_with(end))
}

/// The rest of a comment that began beside a command.
fn is_comment(line: &str) -> bool {
    line.starts_with("    ") && !line.trim_start().starts_with(|c: char| c.is_ascii_digit())
}
