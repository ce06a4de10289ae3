//! What is wanted, by the options and by the project.

use super::*;
use crate::config::ProjectVariable;

fn name(text: &str) -> VariableName {
    text.parse().unwrap()
}

fn mapping(text: &str) -> Mapping {
    let (variable, key) = text.split_once('=').unwrap();
    Mapping { name: name(variable), key: key.parse().unwrap() }
}

fn project() -> Project {
    let variable = |key: &str, required, default: Option<&str>| ProjectVariable {
        key: key.parse().unwrap(),
        required,
        description: None,
        default: default.map(str::to_owned),
        file: false,
    };
    let variables = [
        (name("DB"), variable("DATABASE_URL", true, None)),
        (name("PORT"), variable("PORT", false, Some("3000"))),
        (name("OPTIONAL"), variable("OPTIONAL", false, None)),
    ];
    Project { variables: Some(variables.into()), ..Project::default() }
}

/// `VARIABLE=SECRET`, with `!` where it must be there.
fn wanted(selection: &Selection, project: Option<&Project>) -> (Vec<String>, bool) {
    let wishes = wishes(selection, project).unwrap();
    let one = |(name, wish): (&VariableName, &Wish)| {
        let (required, file) = (if wish.required { "!" } else { "" }, if wish.file { " file" } else { "" });
        format!("{name}={}{required}{file}", wish.key)
    };
    (wishes.named.iter().map(one).collect(), wishes.rest)
}

#[test]
fn without_a_project_all_is_wanted_and_options_choose() {
    assert_eq!(wanted(&Selection::default(), None), (vec![], true));
    let only = Selection { only: vec![name("A"), name("B")], ..Selection::default() };
    assert_eq!(wanted(&only, None), (vec!["A=A!".to_owned(), "B=B!".to_owned()], false));
    let maps = Selection { maps: vec![mapping("X=A")], files: vec![mapping("F=C")], ..Selection::default() };
    assert_eq!(wanted(&maps, None), (vec!["F=C! file".to_owned(), "X=A!".to_owned()], true));
    let both = Selection { maps: vec![mapping("X=A")], ..only };
    assert_eq!(wanted(&both, None), (vec!["B=B!".to_owned(), "X=A!".to_owned()], false));
}

#[test]
fn a_project_names_what_is_wanted_and_options_choose_from_it() {
    let project = project();
    let all = ["DB=DATABASE_URL!", "OPTIONAL=OPTIONAL", "PORT=PORT"].map(str::to_owned).to_vec();
    assert_eq!(wanted(&Selection::default(), Some(&project)), (all, false));
    let only = Selection { only: vec![name("DB"), name("OTHER"), name("PORT")], ..Selection::default() };
    let chosen = ["DB=DATABASE_URL!", "OTHER=OTHER!", "PORT=PORT"].map(str::to_owned).to_vec();
    assert_eq!(wanted(&only, Some(&project)), (chosen, false));
    let prefix = Selection { prefix: Some("OPT".to_owned()), ..Selection::default() };
    assert_eq!(wanted(&prefix, Some(&project)), (vec!["OPTIONAL=OPTIONAL".to_owned()], false));
}

#[test]
fn what_must_be_there_is_what_is_said() {
    let project = project();
    let every = Selection { required: Required::Declared, ..Selection::default() };
    let all = ["DB=DATABASE_URL!", "OPTIONAL=OPTIONAL!", "PORT=PORT!"].map(str::to_owned).to_vec();
    assert_eq!(wanted(&every, Some(&project)).0, all);
    let named = Selection { required: Required::Named(vec![name("PORT"), name("NEW")]), ..Selection::default() };
    let all = ["DB=DATABASE_URL!", "NEW=NEW!", "OPTIONAL=OPTIONAL", "PORT=PORT!"].map(str::to_owned).to_vec();
    assert_eq!(wanted(&named, Some(&project)).0, all);
    let lower = Selection { only: vec![name("port")], ..Selection::default() };
    assert_eq!(wishes(&lower, None).unwrap_err().kind(), ErrorKind::Usage);
}
