//! Rules that hold together, and what they say.
//!
//! Invariants: a rule that denies beats all that allow, whatever their order; adding one that allows takes nothing away,
//! and adding one that denies gives nothing.

use std::sync::Arc;

use crate::auth::policy::decision::{Action, Decision, Refusal, Rule, Target};
use crate::auth::policy::pattern::Pattern;
use crate::auth::policy::rule::{ParsedRule, ScopeError, Verbs};

/// Rules of which each knows its name.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    allow: Vec<Entry>,
    deny: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    rule: ParsedRule,
    name: Rule,
}

/// What a token is limited to: rules that allow.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    texts: Vec<String>,
    rules: Rules,
}

/// Most rules of a scope.
const MAX_SCOPE: usize = 64;

impl Scope {
    /// Reads a list of rules.
    ///
    /// # Errors
    /// [`ScopeError`], whose line is the number of the rule.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, ScopeError> {
        if texts.len() > MAX_SCOPE {
            let message = format!("a scope has at most {MAX_SCOPE} rules");
            return Err(ScopeError { line: MAX_SCOPE + 1, column: 1, message, nearest: None });
        }
        let mut scope = Self::default();
        for (number, text) in texts.iter().enumerate() {
            let text = text.as_ref();
            let rule = ParsedRule::parse(text).map_err(|error| ScopeError { line: number + 1, ..error })?;
            scope.rules.allow.push(Entry { rule, name: Rule::Written(format!("scope: {text}").into()) });
            scope.texts.push(text.to_owned());
        }
        Ok(scope)
    }

    /// Reads rules from one text, divided by newlines or `;`.
    ///
    /// # Errors
    /// As [`Scope::parse`].
    pub fn parse_text(text: &str) -> Result<Self, ScopeError> {
        let texts: Vec<&str> = text.split(['\n', ';']).map(str::trim).filter(|rule| !rule.is_empty()).collect();
        Self::parse(&texts)
    }

    /// The rules as they were written.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }
}

impl Rules {
    /// What an administrator may: everything.
    pub(super) fn everything(name: &'static str) -> Self {
        // `list` and `verify` come with `read`, so that what may not be read is not listed either.
        let rule = ParsedRule { verbs: Verbs::ALL.without_implied(), pattern: Pattern::everything() };
        Self { allow: vec![Entry { rule, name: Rule::BuiltIn(name) }], deny: Vec::new() }
    }

    /// Adds a rule. The error's line is 1.
    pub(super) fn add(&mut self, allow: bool, text: &str, name: Arc<str>) -> Result<(), ScopeError> {
        let entry = Entry { rule: ParsedRule::parse(text)?, name: Rule::Written(name) };
        if allow {
            self.allow.push(entry);
        } else {
            self.deny.push(entry);
        }
        Ok(())
    }

    /// Adds all of the others.
    pub(super) fn extend(&mut self, others: &Self) {
        self.allow.extend_from_slice(&others.allow);
        self.extend_denials(others);
    }

    /// Adds those of the others that deny.
    pub(super) fn extend_denials(&mut self, others: &Self) {
        self.deny.extend_from_slice(&others.deny);
    }

    /// Whether nothing is allowed.
    pub(super) fn allow_nothing(&self) -> bool {
        self.allow.is_empty()
    }

    /// What they say.
    pub(super) fn decide(&self, action: Action, target: Target<'_>) -> Decision {
        match action {
            Action::Read => self.by(Verbs::READ_OR_LIST, Verbs::READ, target),
            Action::Write => self.by(Verbs::WRITE, Verbs::WRITE, target),
            Action::Admin | Action::Mint => self.by(Verbs::ADMIN, Verbs::ADMIN, Target::Vault),
            Action::List => self.by_name_or_by_reading(Verbs::LIST, target),
            Action::Verify => self.by_name_or_by_reading(Verbs::VERIFY, target),
        }
    }

    /// `list` and `verify`: allowed by their own name, or because reading is.
    fn by_name_or_by_reading(&self, verb: Verbs, target: Target<'_>) -> Decision {
        if let Some(rule) = self.denies(verb, target) {
            return deny(rule);
        }
        match self.allows(verb, target) {
            Some(rule) => Decision::Allow { rule },
            None => self.by(Verbs::READ_OR_LIST, Verbs::READ, target),
        }
    }

    fn by(&self, denied_by: Verbs, allowed_by: Verbs, target: Target<'_>) -> Decision {
        if let Some(rule) = self.denies(denied_by, target) {
            return deny(rule);
        }
        match self.allows(allowed_by, target) {
            Some(rule) => Decision::Allow { rule },
            None => deny(Rule::BuiltIn("no rule allows it")),
        }
    }

    fn allows(&self, verbs: Verbs, target: Target<'_>) -> Option<Rule> {
        let matches = |pattern: &Pattern| match target {
            Target::Secret(namespace, key) => pattern.matches(namespace, key),
            Target::Namespace(namespace) => pattern.matches_namespace(namespace),
            Target::Vault => true,
        };
        let found = self.allow.iter().find(|entry| entry.rule.verbs.has_one_of(verbs) && matches(&entry.rule.pattern));
        found.map(|entry| entry.name.clone())
    }

    /// A namespace, or the vault, is denied only as a whole: of what is in it, each name is asked for by itself.
    fn denies(&self, verbs: Verbs, target: Target<'_>) -> Option<Rule> {
        let matches = |pattern: &Pattern| match target {
            Target::Secret(namespace, key) => pattern.matches(namespace, key),
            Target::Namespace(namespace) => pattern.takes_every_key() && pattern.matches_namespace(namespace),
            Target::Vault => pattern.is_everything(),
        };
        let found = self.deny.iter().find(|entry| entry.rule.verbs.has_one_of(verbs) && matches(&entry.rule.pattern));
        found.map(|entry| entry.name.clone())
    }
}

fn deny(rule: Rule) -> Decision {
    Decision::Deny { rule, refusal: Refusal::OutOfScope }
}
