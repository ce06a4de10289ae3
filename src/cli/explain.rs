//! `hushd list --explain`: what a command would get, and where each variable comes from; no value is read for it.

use serde::Serialize;

use crate::cli::environment::{self, Source};
use crate::cli::table::{self, Cell, Column};
use crate::cli::{CliError, Globals, Session, Style};
use crate::model::Namespace;

const COLUMNS: [Column; 5] = [
    Column { title: "VARIABLE", spare: 0 },
    Column { title: "SECRET", spare: 2 },
    Column { title: "FROM", spare: 1 },
    Column { title: "HIDES", spare: 3 },
    Column { title: "NOTE", spare: 4 },
];

#[derive(Serialize)]
struct Document<'a> {
    namespaces: Vec<&'a str>,
    variables: Vec<Row<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the document")]
struct Row<'a> {
    variable: &'a str,
    key: &'a str,
    namespace: Option<&'a str>,
    hides: Vec<&'a str>,
    default: bool,
    required: bool,
    description: Option<&'a str>,
    is_template: bool,
    file: bool,
}

/// Prints the table.
///
/// # Errors
///
/// Those of every call to the daemon.
pub(super) fn run(globals: &Globals) -> Result<(), CliError> {
    let output = &globals.output;
    let mut session = Session::of_project(globals)?;
    let namespaces = session.namespaces();
    let sources = environment::explain(&mut session)?;
    if output.is_json() {
        let namespaces = namespaces.iter().map(Namespace::as_str).collect();
        return output.json(&Document { namespaces, variables: sources.iter().map(document).collect() });
    }
    if sources.is_empty() {
        output.note(format_args!("no secrets in the namespace {}", session.namespace));
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = sources.iter().map(row).collect();
    output.data(table::render(output, &COLUMNS, &rows).as_bytes())
}

fn document(source: &Source) -> Row<'_> {
    let mut places = source.namespaces.iter().map(Namespace::as_str);
    Row {
        variable: &source.name,
        key: source.key.as_str(),
        namespace: places.next(),
        hides: places.collect(),
        default: source.namespaces.is_empty() && source.has_default,
        required: source.required,
        description: source.description.as_deref(),
        is_template: source.is_template,
        file: source.file,
    }
}

fn row(source: &Source) -> Vec<Cell> {
    let mut places = source.namespaces.iter().map(Namespace::as_str);
    let from = match places.next() {
        Some(namespace) => Cell::from(namespace),
        None if source.has_default && !source.required => Cell::from("default value"),
        None => Cell { text: "nowhere".to_owned(), style: if source.required { Style::Warning } else { Style::Plain } },
    };
    let missing = source.namespaces.is_empty() && source.required;
    let notes = [("missing", missing), ("template", source.is_template), ("file", source.file)];
    let notes = notes.into_iter().filter(|(_, holds)| *holds).map(|(note, _)| note);
    let notes: Vec<&str> = notes.chain(source.description.as_deref()).collect();
    vec![
        source.name.clone().into(),
        source.key.as_str().into(),
        from,
        places.collect::<Vec<_>>().join(",").into(),
        notes.join(", ").into(),
    ]
}
