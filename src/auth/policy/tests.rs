//! The language, the decisions with the rule behind each, and their properties.

use std::io;
use std::sync::Arc;

use proptest::prelude::*;

use super::pattern::Pattern;
use super::rule::ParsedRule;
use super::*;
use crate::auth::{Peer, Principal, Unit};
use crate::config::{Placed, PolicyConfig};
use crate::model::{Key, Namespace};

struct Town;

impl Accounts for Town {
    fn user(&self, name: &str) -> io::Result<Option<u32>> {
        let known = ["ada", "ben", "cyd", "dan", "eve", "fay", "gil", "hal"];
        Ok(known.iter().zip(1000..).find(|(known, _)| **known == name).map(|(_, uid)| uid))
    }

    fn group(&self, name: &str) -> io::Result<Option<u32>> {
        Ok((name == "deploy").then_some(50))
    }

    fn knows_unit(&self, unit: &Unit) -> bool {
        unit.to_string() == "shop.service"
    }
}

fn placed(text: &str) -> Placed {
    Placed { text: text.to_owned(), line: 7, column: 10 }
}

fn config(subject: &[&str], allow: &[&str], deny: &[&str]) -> PolicyConfig {
    let mut config = PolicyConfig { line: 5, ..PolicyConfig::default() };
    for subject in subject {
        let (kind, name) = subject.split_once(':').unwrap();
        match kind {
            "user" => config.user = Some(placed(name)),
            "group" => config.group = Some(placed(name)),
            "uid" => config.uid = Some(name.parse().unwrap()),
            "unit" => config.unit = Some(placed(name)),
            "token" => config.token = Some(placed(name)),
            other => panic!("{other}"),
        }
    }
    config.allow = allow.iter().map(|text| placed(text)).collect();
    config.deny = deny.iter().map(|text| placed(text)).collect();
    config
}

const OWNER_UID: u32 = 1;

fn town() -> Policy {
    let policies = [
        config(&["user:ada"], &["read shop/**", "write shop/dev/*"], &["read shop/prod/MASTER_*"]),
        config(
            &["group:deploy"],
            &["read,write shop/prod/*", "list **"],
            &["write shop/prod/LOCKED", "list shop/prod/HIDDEN"],
        ),
        config(&["uid:1002"], &["verify shop/**", "list shop/*/API_*"], &["verify shop/prod/*"]),
        config(&["unit:shop.service"], &["read shop/prod/STRIPE_*", "read default/*"], &["read **/STRIPE_ROOT"]),
        config(&["user:dan"], &["read **"], &["read **"]),
        config(&["user:eve"], &["write **/*_TEMP", "read */dev/**"], &["write default/*"]),
        config(&["uid:1"], &[], &["read prod/**", "write prod/**"]),
        config(&["token:ci"], &["read,write ci/**"], &["read ci/secret/*"]),
        config(&["user:ada", "unit:shop.service"], &["admin"], &[]),
        config(&["user:fay"], &["admin"], &[]),
        config(&["user:gil"], &["admin"], &["admin"]),
        config(&["user:hal"], &["read,list,verify shop/*/*"], &["verify shop/dev/*", "list shop/test/*"]),
    ];
    Policy::new(&policies, &Town).unwrap().0
}

fn subject(policy: &Policy, name: &str) -> Option<Principal> {
    let peer = |uid, groups: &[u32], unit: Option<&str>| {
        let unit = unit.map(|unit| unit.parse().unwrap());
        Peer { groups: groups.to_vec(), unit, ..Peer::new(uid, uid) }
    };
    let peer = match name {
        "ada" => peer(1000, &[], None),
        "ben" => peer(1001, &[7, 50], None),
        "cyd" => peer(1002, &[], None),
        "dan" => peer(1003, &[], None),
        "eve" => peer(1004, &[], None),
        "fay" => peer(1005, &[], None),
        "gil" => peer(1006, &[], None),
        "hal" => peer(1007, &[], None),
        "owner" => peer(OWNER_UID, &[], None),
        "shop" => peer(2000, &[], Some("shop.service")),
        "forger" => peer(2000, &[], Some("user@2000.service/shop.service")),
        "ada+deploy" => peer(1000, &[50], None),
        "ada+shop" => peer(1000, &[], Some("shop.service")),
        "ci" => return Some(policy.bearer("ci")),
        "other" => return Some(policy.bearer("other")),
        other => panic!("{other}"),
    };
    policy.peer(&peer, OWNER_UID)
}

/// Who, what, and for `read`, `write`, `list`, `verify` and `admin` the rule that allows (`+`) or denies (`-`); `.` where no
/// rule allows it.
const TABLE: &str = "
ada        shop/A                   +read shop/** | . | +read shop/** | +read shop/** | .
ada        shop/dev/A               +read shop/** | +write shop/dev/* | +read shop/** | +read shop/** | .
ada        shop/dev/eu/A            +read shop/** | . | +read shop/** | +read shop/** | .
ada        shop/a/b/c/d/e/f/g/A     +read shop/** | . | +read shop/** | +read shop/** | .
ada        shop/prod/STRIPE         +read shop/** | . | +read shop/** | +read shop/** | .
ada        shop/prod/MASTER_KEY     -read shop/prod/MASTER_* | . | -read shop/prod/MASTER_* | -read shop/prod/MASTER_* | .
ada        shop/prod/MASTER_        -read shop/prod/MASTER_* | . | -read shop/prod/MASTER_* | -read shop/prod/MASTER_* | .
ada        shop/prod/MASTER         +read shop/** | . | +read shop/** | +read shop/** | .
ada        shop/dev/MASTER_KEY      +read shop/** | +write shop/dev/* | +read shop/** | +read shop/** | .
ada        shop/prod/eu/MASTER_KEY  +read shop/** | . | +read shop/** | +read shop/** | .
ada        shopping/A               . | . | . | . | .
ada        sho/A                    . | . | . | . | .
ada        default/A                . | . | . | . | .
ada        a/shop/A                 . | . | . | . | .
ben        shop/prod/A              +read,write shop/prod/* | +read,write shop/prod/* | +list ** | +read,write shop/prod/* | .
ben        shop/prod/LOCKED         +read,write shop/prod/* | -write shop/prod/LOCKED | +list ** | +read,write shop/prod/* | .
ben        shop/prod/LOCKED_        +read,write shop/prod/* | +read,write shop/prod/* | +list ** | +read,write shop/prod/* | .
ben        shop/prod/HIDDEN         -list shop/prod/HIDDEN | +read,write shop/prod/* | -list shop/prod/HIDDEN | -list shop/prod/HIDDEN | .
ben        shop/dev/A               . | . | +list ** | . | .
ben        shop/dev/HIDDEN          . | . | +list ** | . | .
ben        default/A                . | . | +list ** | . | .
ben        shop/prod/eu/A           . | . | +list ** | . | .
cyd        shop/A                   . | . | . | +verify shop/** | .
cyd        shop/dev/API_KEY         . | . | +list shop/*/API_* | +verify shop/** | .
cyd        shop/dev/KEY             . | . | . | +verify shop/** | .
cyd        shop/prod/API_KEY        . | . | +list shop/*/API_* | -verify shop/prod/* | .
cyd        shop/prod/KEY            . | . | . | -verify shop/prod/* | .
cyd        shop/dev/eu/API_KEY      . | . | . | +verify shop/** | .
cyd        default/API_KEY          . | . | . | . | .
shop       shop/prod/STRIPE_KEY     +read shop/prod/STRIPE_* | . | +read shop/prod/STRIPE_* | +read shop/prod/STRIPE_* | .
shop       shop/prod/STRIPE_ROOT    -read **/STRIPE_ROOT | . | -read **/STRIPE_ROOT | -read **/STRIPE_ROOT | .
shop       default/STRIPE_ROOT      -read **/STRIPE_ROOT | . | -read **/STRIPE_ROOT | -read **/STRIPE_ROOT | .
shop       other/STRIPE_ROOT        -read **/STRIPE_ROOT | . | -read **/STRIPE_ROOT | -read **/STRIPE_ROOT | .
shop       default/STRIPE_ROOTS     +read default/* | . | +read default/* | +read default/* | .
shop       shop/prod/XSTRIPE_KEY    . | . | . | . | .
shop       shop/STRIPE_KEY          . | . | . | . | .
shop       default/A                +read default/* | . | +read default/* | +read default/* | .
shop       default/dev/A            . | . | . | . | .
dan        shop/A                   -read ** | . | -read ** | -read ** | .
dan        default/A                -read ** | . | -read ** | -read ** | .
dan        a/b/c/d/e/f/g/h/A        -read ** | . | -read ** | -read ** | .
eve        a/b/X_TEMP               . | +write **/*_TEMP | . | . | .
eve        a/_TEMP                  . | +write **/*_TEMP | . | . | .
eve        a/X_TEMPO                . | . | . | . | .
eve        default/X_TEMP           . | -write default/* | . | . | .
eve        default/X                . | -write default/* | . | . | .
eve        default/a/X_TEMP         . | +write **/*_TEMP | . | . | .
eve        shop/dev/X               +read */dev/** | . | +read */dev/** | +read */dev/** | .
eve        shop/dev/X_TEMP          +read */dev/** | +write **/*_TEMP | +read */dev/** | +read */dev/** | .
eve        shop/dev/a/b/X           +read */dev/** | . | +read */dev/** | +read */dev/** | .
eve        dev/X                    . | . | . | . | .
eve        a/shop/dev/X             . | . | . | . | .
owner      default/A                +the daemon's own user | +the daemon's own user | +the daemon's own user | +the daemon's own user | +the daemon's own user
owner      prod/A                   -read prod/** | -write prod/** | -read prod/** | -read prod/** | +the daemon's own user
owner      prod/x/A                 -read prod/** | -write prod/** | -read prod/** | -read prod/** | +the daemon's own user
owner      production/A             +the daemon's own user | +the daemon's own user | +the daemon's own user | +the daemon's own user | +the daemon's own user
ci         ci/A                     +read,write ci/** | +read,write ci/** | +read,write ci/** | +read,write ci/** | .
ci         ci/secret/A              -read ci/secret/* | +read,write ci/** | -read ci/secret/* | -read ci/secret/* | .
ci         ci/secret/deep/A         +read,write ci/** | +read,write ci/** | +read,write ci/** | +read,write ci/** | .
ci         shop/A                   . | . | . | . | .
fay        shop/A                   . | . | . | . | +admin
gil        shop/A                   . | . | . | . | -admin
hal        shop/prod/A              +read,list,verify shop/*/* | . | +read,list,verify shop/*/* | +read,list,verify shop/*/* | .
hal        shop/dev/A               +read,list,verify shop/*/* | . | +read,list,verify shop/*/* | -verify shop/dev/* | .
hal        shop/test/A              -list shop/test/* | . | -list shop/test/* | +read,list,verify shop/*/* | .
hal        shop/A                   . | . | . | . | .
ada+deploy shop/prod/A              +read shop/** | +read,write shop/prod/* | +list ** | +read shop/** | .
ada+deploy shop/prod/MASTER_KEY     -read shop/prod/MASTER_* | +read,write shop/prod/* | +list ** | -read shop/prod/MASTER_* | .
ada+deploy shop/prod/HIDDEN         -list shop/prod/HIDDEN | +read,write shop/prod/* | -list shop/prod/HIDDEN | -list shop/prod/HIDDEN | .
ada+shop   shop/prod/STRIPE_ROOT    -read **/STRIPE_ROOT | . | -read **/STRIPE_ROOT | -read **/STRIPE_ROOT | +admin
ada+shop   shop/prod/MASTER_KEY     -read shop/prod/MASTER_* | . | -read shop/prod/MASTER_* | -read shop/prod/MASTER_* | +admin
ada+shop   default/A                +read default/* | . | +read default/* | +read default/* | +admin
";

const ACTIONS: [Action; 5] = [Action::Read, Action::Write, Action::List, Action::Verify, Action::Admin];

fn secret(text: &str) -> (Namespace, Key) {
    let (namespace, key) = text.rsplit_once('/').unwrap();
    (namespace.parse().unwrap(), key.parse().unwrap())
}

/// "A table-driven test has at least 200 (subject, key, verb) rows with the rule that decides each, among them every tie"
#[test]
fn every_row_is_decided_by_its_rule() {
    let policy = town();
    let mut rows = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let (head, cells) = line.split_at(36);
        let mut words = head.split_whitespace();
        let (who, target) = (words.next().unwrap(), words.next().unwrap());
        let (namespace, key) = secret(target);
        let principal = subject(&policy, who).unwrap();
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), ACTIONS.len(), "{line}");
        for (action, expected) in ACTIONS.into_iter().zip(cells) {
            rows += 1;
            let place = if action == Action::Admin { Target::Vault } else { Target::Secret(&namespace, &key) };
            let (allowed, rule) = match decide(&principal, action, place) {
                Decision::Allow { rule } => (true, rule.to_string()),
                Decision::Deny { rule, .. } => (false, rule.to_string()),
            };
            let found = match rule.split_once(" (policy ") {
                Some((rule, _)) if allowed => format!("+{}", rule.strip_prefix("allow ").unwrap()),
                Some((rule, _)) => format!("-{}", rule.strip_prefix("deny ").unwrap()),
                None if rule == "no rule allows it" && !allowed => ".".to_owned(),
                None => format!("+{rule}"),
            };
            assert_eq!(found, expected, "{who} {action:?} {target}");
        }
    }
    assert!(rows >= 200, "{rows}");
}

#[test]
fn nobody_is_taken_for_somebody_else() {
    let policy = town();
    // A unit of a user's own manager is not the system's of the same name.
    assert_eq!(subject(&policy, "forger"), None);
    assert_eq!(policy.peer(&Peer::new(4711, 4711), OWNER_UID), None);
    let names = ["ada", "shop", "ada+shop", "owner", "ci"].map(|who| subject(&policy, who).unwrap().to_string());
    assert_eq!(names, ["uid:1000", "unit:shop.service", "unit:shop.service", "uid:1", "token:ci"]);
    assert!(matches!(subject(&policy, "other"), Some(Principal::Token { is_admin: false, .. })));
    // Without a policy for him, the owner is an administrator, and nobody else is anybody.
    let none = Policy::default();
    assert_eq!(none.peer(&Peer::new(1, 1), OWNER_UID), Some(Principal::Owner { uid: 1 }));
    assert_eq!(none.peer(&Peer::new(2, 1), OWNER_UID), None);
}

#[test]
fn a_namespace_may_be_listed_where_some_key_of_it_may_be_and_not_where_all_are_denied() {
    let policy = town();
    for (who, namespace, allowed) in [
        ("ada", "shop", true),
        ("ada", "shop/none/yet", true),
        ("ada", "default", false),
        ("cyd", "shop/dev", true),
        ("cyd", "shop", false),
        ("dan", "shop", false),
        ("hal", "shop/test", false),
        ("fay", "shop", false),
    ] {
        let principal = subject(&policy, who).unwrap();
        let decision = decide(&principal, Action::List, Target::Namespace(&namespace.parse().unwrap()));
        assert_eq!(matches!(decision, Decision::Allow { .. }), allowed, "{who} {namespace}: {decision:?}");
    }
}

#[test]
fn only_a_pattern_with_every_key_denies_a_namespace_and_only_everything_is_the_daemons() {
    let mut rules = vec![(true, "read shop/**".to_owned()), (false, "read shop/ROOT".to_owned())];
    let namespace = "shop".parse().unwrap();
    let listed = |rules: &[(bool, String)]| {
        let decision = decide(&granted(rules), Action::List, Target::Namespace(&namespace));
        matches!(decision, Decision::Allow { .. })
    };
    assert!(listed(&rules));
    rules.push((false, "read shop/*".to_owned()));
    assert!(!listed(&rules));
    for (text, is_one) in
        [("admin", true), ("admin **", true), ("admin **/A", false), ("admin shop/*", false), ("admin a/**", false)]
    {
        assert_eq!(ParsedRule::parse(text).is_ok(), is_one, "{text}");
    }
}

#[test]
fn a_pattern_has_its_limits_and_one_way_to_say_any_parts() {
    let parts = |count: usize| format!("{}KEY", "a/".repeat(count));
    for (text, is_one) in [
        (parts(8), true),
        (parts(9), false),
        (format!("**/{}", parts(8)), true),
        (format!("**/{}", parts(9)), false),
        (format!("a/{}", "K".repeat(510)), true),
        (format!("a/{}", "K".repeat(511)), false),
        (format!("a/{}", "K".repeat(600)), false),
    ] {
        assert_eq!(Pattern::parse(&text).is_ok(), is_one, "{text}");
    }
    assert_eq!(Pattern::parse("a/**/**/KEY"), Pattern::parse("a/**/KEY"));
    assert_eq!(Pattern::parse("a/**/**"), Pattern::parse("a/**"));
    assert_ne!(Pattern::parse("**/KEY"), Pattern::parse("*/KEY"));
}

#[test]
fn what_is_no_rule_is_told_with_its_place_and_the_nearest_that_is_one() {
    for (text, column, nearest) in [
        ("", 1, Some("read **")),
        ("raed shop/**", 1, Some("read shop/**")),
        ("read,wirte shop/**", 6, Some("read,write shop/**")),
        ("get shop/prod/A", 1, Some("read shop/prod/A")),
        ("read", 5, Some("read **")),
        ("read shop", 6, Some("read shop/*")),
        ("read STRIPE_KEY", 6, Some("read default/STRIPE_KEY")),
        ("read shop/dev", 11, Some("read shop/dev/*")),
        ("read shop/", 11, Some("read shop/*")),
        ("read shop/stripe_key", 11, Some("read shop/STRIPE_KEY")),
        ("read Shop/KEY", 6, Some("read shop/KEY")),
        ("read shop//KEY", 11, Some("read shop/KEY")),
        ("read /shop/KEY", 6, Some("read shop/KEY")),
        ("read shop/a**/KEY", 12, Some("read shop/a*/KEY")),
        ("read shop/STRIPE_?", 18, Some("read shop/STRIPE_*")),
        ("read ../KEY", 6, None),
        ("read shop/../KEY", 11, None),
        ("read:shop/**", 1, Some("read shop/**")),
        ("shop/**", 1, Some("read shop/**")),
        ("read shop/A shop/B", 13, Some("read shop/A")),
        ("admin shop/**", 7, Some("admin")),
        ("read shop/%2e%2e/KEY", 11, None),
        ("read shöp/KEY", 8, Some("read shp/KEY")),
    ] {
        let error = ParsedRule::parse(text).unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
        if nearest.is_some() {
            assert_eq!(error.nearest.as_deref(), nearest, "{text}: {error}");
        }
        if let Some(nearest) = &error.nearest {
            assert!(ParsedRule::parse(nearest).is_ok(), "{text}: {nearest}");
        }
    }
    let error = Scope::parse(&["read shop/**", "write shop"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 7: a pattern is NAMESPACE/KEY, or ** for everything; did you mean \"write shop/*\"?"
    );
    assert_eq!(Scope::parse_text("read a/*\nwrite a/* ; ").unwrap().texts(), ["read a/*", "write a/*"]);
    let many = vec!["read **"; 65];
    assert!(Scope::parse(&many).is_err());
}

#[test]
fn a_policy_that_cannot_be_used_says_where_and_why() {
    for (subject, allow, place, message, hint) in [
        (&["user:ada"][..], "read shop", (7, 15), "a pattern is NAMESPACE/KEY", "did you mean \"read shop/*\"?"),
        (&["user:zoe"], "read **", (7, 10), "there is no user \"zoe\"", "getent passwd"),
        (&["user:1000"], "read **", (7, 10), "there is no user \"1000\"", "write uid = 1000"),
        (&["group:nil"], "read **", (7, 10), "there is no group \"nil\"", "getent group"),
        (&["unit:shop"], "read **", (7, 10), "not a unit", "did you mean \"shop.service\"?"),
        (&[], "read **", (5, 1), "a policy for nobody", "name its subject"),
        (&["user:ada", "uid:1000"], "read **", (5, 1), "names its user twice", "leave out"),
        (&["token:ci", "uid:1000"], "read **", (5, 1), "a policy for a token", "--bind-uid"),
    ] {
        let error = Policy::new(&[config(subject, &[allow], &[])], &Town).unwrap_err();
        assert_eq!((error.line, error.column), place, "{error}");
        assert!(error.message.contains(message) && error.hint.as_ref().unwrap().contains(hint), "{error:?}");
    }
    let (policy, warnings) = Policy::new(&[config(&["unit:ship.service"], &["read **"], &[])], &Town).unwrap();
    assert_eq!(policy.count(), 1);
    assert!(warnings[0].message.contains("there is no unit \"ship.service\""), "{warnings:?}");
}

fn part() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "abc", "a.b"]).prop_map(str::to_owned)
}

fn pattern_part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => part(),
        2 => Just("*".to_owned()),
        2 => Just("**".to_owned()),
        2 => prop::sample::select(vec!["a*", "*b", "a*c", "*a*"]).prop_map(str::to_owned),
    ]
}

fn names() -> impl Strategy<Value = (Namespace, Key)> {
    let key = prop::sample::select(vec!["A", "B", "AB", "ABC", "A_B"]);
    (prop::collection::vec(part(), 1..5), key)
        .prop_map(|(parts, key)| (parts.join("/").parse().unwrap(), key.parse().unwrap()))
}

fn pattern() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["A", "AB", "*", "**", "A*", "*B", "A*C", "*_*"]);
    (prop::collection::vec(pattern_part(), 1..5), key).prop_map(|(parts, key)| format!("{}/{key}", parts.join("/")))
}

fn rule(verbs: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::sample::subsequence(verbs.to_vec(), 1..=verbs.len()), pattern())
        .prop_map(|(verbs, pattern)| format!("{} {pattern}", verbs.join(",")))
}

const VERBS: &[&str] = &["read", "write", "list", "verify"];

fn rules(verbs: &'static [&'static str]) -> impl Strategy<Value = Vec<(bool, String)>> {
    prop::collection::vec((any::<bool>(), rule(verbs)), 0..6)
}

fn granted(rules: &[(bool, String)]) -> Principal {
    let mut all = Rules::default();
    for (allow, rule) in rules {
        all.add(*allow, rule, Arc::from(rule.as_str())).unwrap();
    }
    Principal::Granted(Arc::new(Granted::new("test", all)))
}

fn may(principal: &Principal, action: Action, (namespace, key): &(Namespace, Key)) -> bool {
    matches!(decide(principal, action, Target::Secret(namespace, key)), Decision::Allow { .. })
}

/// Patterns by the book: every way to divide the name is tried.
fn matches_naively(pattern: &[&str], name: &[&str]) -> bool {
    fn glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| glob(rest, &text[taken..])),
            Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
        }
    }
    match pattern.split_first() {
        None => name.is_empty(),
        // The last one is any key, below any number of parts.
        Some((&"**", [])) => !name.is_empty(),
        Some((&"**", rest)) => (0..name.len()).any(|taken| matches_naively(rest, &name[taken..])),
        Some((part, rest)) => {
            name.first().is_some_and(|first| glob(part.as_bytes(), first.as_bytes()))
                && matches_naively(rest, &name[1..])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// "adding an allow never removes access"
    #[test]
    fn adding_an_allow_never_removes_access(before in rules(VERBS), added in rule(VERBS), name in names()) {
        let mut after = before.clone();
        after.push((true, added));
        for action in ACTIONS {
            prop_assert!(!may(&granted(&before), action, &name) || may(&granted(&after), action, &name));
        }
    }

    /// "adding a deny never adds any"
    #[test]
    fn adding_a_deny_never_adds_any(before in rules(VERBS), added in rule(VERBS), name in names()) {
        let mut after = before.clone();
        after.push((false, added));
        for action in ACTIONS {
            prop_assert!(may(&granted(&before), action, &name) || !may(&granted(&after), action, &name));
        }
    }

    /// "listing shows exactly what reading allows", and what `list` was given for by that name
    #[test]
    fn listing_shows_exactly_what_reading_allows(rules in rules(VERBS), plain in rules(&["read", "write", "verify"]),
            name in names()) {
        let plain = granted(&plain);
        prop_assert_eq!(may_see(&plain, &name.0, &name.1), may(&plain, Action::Read, &name));
        let principal = granted(&rules);
        let (listed, readable) = (may_see(&principal, &name.0, &name.1), may(&principal, Action::Read, &name));
        prop_assert!(listed || !readable);
        let by_name: Vec<_> = rules.iter().filter(|(allow, rule)| *allow && rule.split(' ').next().unwrap().contains("list"))
            .cloned().collect();
        prop_assert!(listed == readable || may_see(&granted(&by_name), &name.0, &name.1));
    }

    /// Whoever may read a secret may list its namespace, and the whole.
    #[test]
    fn what_holds_a_readable_secret_may_be_listed(rules in rules(VERBS), name in names()) {
        let principal = granted(&rules);
        if may_see(&principal, &name.0, &name.1) {
            let whole = decide(&principal, Action::List, Target::Namespace(&name.0));
            prop_assert!(matches!(whole, Decision::Allow { .. }), "{:?}", whole);
            let everything = [decide(&principal, Action::List, Target::Vault), admit(&principal)];
            let allowed = everything.iter().all(|decision| matches!(decision, Decision::Allow { .. }));
            prop_assert!(allowed, "{:?}", everything);
        }
    }

    #[test]
    fn patterns_match_as_by_the_book(pattern in pattern(), name in names()) {
        let text = format!("{}/{}", name.0, name.1);
        let parts: Vec<&str> = pattern.split('/').collect();
        let expected = matches_naively(&parts, &text.split('/').collect::<Vec<_>>());
        prop_assert_eq!(Pattern::parse(&pattern).unwrap().matches(&name.0, &name.1), expected, "{} {}", pattern, text);
    }

    #[test]
    fn any_text_is_a_rule_or_has_a_nearest_that_is_one(text in "[a-zA-Z*/,. _%é?-]{0,40}") {
        if let Err(error) = ParsedRule::parse(&text) {
            prop_assert!(error.column <= text.chars().count() + 1);
            if let Some(nearest) = error.nearest {
                prop_assert!(ParsedRule::parse(&nearest).is_ok(), "{}: {}", text, nearest);
            }
        }
    }
}
