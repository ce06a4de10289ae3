//! "each tool on the machine reaches just what it needs": tokens with a scope, and policies.

use std::fs;
use std::thread;

use rustix::process::{Signal, getuid};
use serde_json::{Value, json};

use crate::harness::api::{Answer, secret};
use crate::harness::{Api, Daemon, Transport, Vault, jwt};

over_both!(
    a_scope_limits_every_route,
    what_is_outside_of_the_scope_is_403_whether_it_exists_or_not,
    lists_show_what_may_be_seen,
    a_token_is_listed_without_its_text_and_revoked_at_once,
    uses_are_counted_exactly,
    a_scope_that_is_none_says_where_and_what_was_meant,
    a_jwt_with_a_scope_is_limited_to_it,
    a_minted_jwt_is_revoked_by_its_jti,
);

/// A token with these rules, and its identifier.
fn issue(api: &Api, scope: &[&str], more: Value) -> (String, String) {
    let mut body = json!({"scope": scope, "ttlSeconds": 600});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = api.post("/api/tokens", body).is(201).json();
    let text = |field: &str| answer[field].as_str().unwrap().to_owned();
    assert!(text("token").starts_with("hushd_"), "{answer}");
    (text("token"), text("id"))
}

fn at(namespace: &str, key: &str) -> String {
    format!("/api/secrets/{key}?namespace={namespace}")
}

fn fill(api: &Api) {
    for (namespace, key) in
        [("shop/dev", "A"), ("shop/dev", "B"), ("shop/prod", "A"), ("shop/prod", "STRIPE_KEY"), ("other", "A")]
    {
        let target = format!("/api/secrets?namespace={namespace}");
        api.post(&target, json!({"key": key, "value": format!("{namespace} {key}")})).is(201);
    }
}

fn send(api: &Api, token: &str, method: &str, target: &str, body: Value) -> Answer {
    let call = api.bare(method, target).bearer(token);
    if body.is_null() { call.send() } else { call.json(body).send() }
}

/// Every call with what it needs; each is allowed with that and refused with everything else.
fn a_scope_limits_every_route(api: &Api) {
    fill(api);
    let put = json!({"value": "2"});
    let routes: Vec<(&str, &str, String, Value)> = vec![
        ("read", "GET", at("shop/dev", "A"), Value::Null),
        ("read", "GET", "/api/environment?namespace=shop/dev".to_owned(), Value::Null),
        ("read", "GET", "/api/environment?namespace=shop/dev&keys=A,B".to_owned(), Value::Null),
        ("write", "PUT", at("shop/dev", "A"), put),
        ("write", "POST", "/api/secrets?namespace=shop/dev".to_owned(), json!({"key": "NEW", "value": "1"})),
        ("write", "POST", "/api/secrets/A/rollback?namespace=shop/dev".to_owned(), json!({"revision": 1})),
        ("write", "DELETE", at("shop/dev", "B"), Value::Null),
        ("list", "GET", "/api/secrets?namespace=shop/dev".to_owned(), Value::Null),
        ("list", "GET", "/api/secrets/A/revisions?namespace=shop/dev".to_owned(), Value::Null),
        ("list", "GET", "/api/namespaces".to_owned(), Value::Null),
        ("verify", "POST", "/api/secrets/A/verify?namespace=shop/dev".to_owned(), json!({"value": "x"})),
        ("admin", "GET", "/api/status".to_owned(), Value::Null),
        ("admin", "GET", "/api/check".to_owned(), Value::Null),
        ("admin", "GET", "/api/tokens".to_owned(), Value::Null),
        ("admin", "POST", "/api/tokens".to_owned(), json!({"scope": ["read **"], "ttlSeconds": 60})),
        ("admin", "POST", "/api/secrets/anon-key/rotate".to_owned(), json!({})),
    ];
    let rule = |verb: &str| if verb == "admin" { "admin".to_owned() } else { format!("{verb} shop/dev/*") };
    for verb in ["read", "write", "list", "verify", "admin"] {
        let (only, _) = issue(api, &[&rule(verb)], json!({}));
        let others: Vec<String> = ["write", "admin"].iter().filter(|other| **other != verb).map(|v| rule(v)).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).chain(["read other/**"]).collect();
        let (without, _) = issue(api, &others, json!({}));
        for (_, method, target, body) in routes.iter().filter(|route| route.0 == verb) {
            if *target != "/api/namespaces" {
                send(api, &without, method, target, body.clone()).refuses(403, "FORBIDDEN");
            }
            let status = send(api, &only, method, target, body.clone()).status;
            assert!(matches!(status, 200 | 201), "{verb}: {method} {target}: {status}");
        }
        for (needed, method, target, body) in routes.iter().filter(|route| route.0 != verb) {
            let implied = verb == "read" && matches!(*needed, "list" | "verify");
            let filtered = target == "/api/namespaces" && verb == "admin";
            if !implied && !filtered && target != "/api/namespaces" {
                send(api, &only, method, target, body.clone()).refuses(403, "FORBIDDEN");
            }
        }
    }
    // A backup holds everything.
    let (reader, _) = issue(api, &["read **", "write **"], json!({}));
    send(api, &reader, "GET", "/api/backup", Value::Null).fails(403, "FORBIDDEN", "Missing scope: admin");
}

/// "For a name outside its scope a caller gets 403 whether it exists or not."
fn what_is_outside_of_the_scope_is_403_whether_it_exists_or_not(api: &Api) {
    fill(api);
    let (token, _) = issue(api, &["read,write,list,verify shop/dev/A"], json!({}));
    for (method, path, body) in [
        ("GET", "", Value::Null),
        ("PUT", "", json!({"value": "2"})),
        ("DELETE", "", Value::Null),
        ("GET", "/revisions", Value::Null),
        ("POST", "/verify", json!({"value": "2"})),
        ("POST", "/rollback", json!({"revision": 1})),
    ] {
        let answers = ["STRIPE_KEY", "NOTHING_HERE"].map(|key| {
            let target = format!("/api/secrets/{key}{path}?namespace=shop/prod");
            let answer = send(api, &token, method, &target, body.clone()).refuses(403, "FORBIDDEN");
            answer.message().replace(key, "KEY")
        });
        assert_eq!(answers[0], answers[1]);
    }
    for namespace in ["shop/prod", "nothing/here"] {
        send(api, &token, "GET", &format!("/api/secrets?namespace={namespace}"), Value::Null).refuses(403, "FORBIDDEN");
    }
    for keys in ["A,B", "B", "NOTHING_HERE", "A,NOTHING_HERE"] {
        let target = format!("/api/environment?namespace=shop/dev&keys={keys}");
        send(api, &token, "GET", &target, Value::Null).refuses(403, "FORBIDDEN");
    }
    // Within the scope it is the contract's 404.
    api.delete(&format!("{}&purge=true", at("shop/dev", "A"))).is(200);
    send(api, &token, "GET", &at("shop/dev", "A"), Value::Null).refuses(404, "NOT_FOUND");
    // Wildcards and ways up in a request are names like others, and none of them is one.
    let (wide, _) = issue(api, &["read shop/dev/*"], json!({}));
    for target in [
        "/api/secrets/*?namespace=shop/dev",
        "/api/secrets/%2A?namespace=shop/dev",
        "/api/secrets/A?namespace=shop/dev/../prod",
        "/api/secrets/A?namespace=shop/dev%2F..%2Fprod",
        "/api/secrets/A?namespace=shop%2F*",
        "/api/secrets/A?namespace=**",
        "/api/secrets/..%2FA?namespace=shop/dev",
    ] {
        let status = send(api, &wide, "GET", target, Value::Null).status;
        assert!(matches!(status, 400 | 403 | 404), "{target}: {status}");
    }
    send(api, &wide, "GET", "/api/secrets/STRIPE_KEY?namespace=shop%2Fprod", Value::Null).refuses(403, "FORBIDDEN");
    send(api, &wide, "GET", "/api/secrets/B?namespace=shop%2Fdev", Value::Null).is(200);
}

fn lists_show_what_may_be_seen(api: &Api) {
    fill(api);
    let (token, _) = issue(api, &["read shop/prod/STRIPE_*", "read shop/dev/*"], json!({}));
    let keys = |namespace: &str| -> Vec<String> {
        let list = send(api, &token, "GET", &format!("/api/secrets?namespace={namespace}"), Value::Null).is(200).json();
        let mut keys: Vec<_> = list["secrets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|secret| secret["key"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys("shop/prod"), ["STRIPE_KEY"]);
    assert_eq!(keys("shop/dev"), ["A", "B"]);
    let namespaces = send(api, &token, "GET", "/api/namespaces", Value::Null).is(200).json();
    assert_eq!(
        namespaces["namespaces"],
        json!([{"namespace": "shop/dev", "active": 2, "total": 2}, {"namespace": "shop/prod", "active": 1, "total": 1}])
    );
    let environment = send(api, &token, "GET", "/api/environment?namespace=shop/prod", Value::Null).is(200).json();
    assert_eq!(environment["environment"], json!({"STRIPE_KEY": "shop/prod STRIPE_KEY"}));
    // Whoever wrote it stands in the revisions by the token's id.
    let (writer, id) = issue(api, &["write shop/dev/A"], json!({}));
    send(api, &writer, "PUT", &at("shop/dev", "A"), json!({"value": "new"})).is(200);
    let revisions = api.get("/api/secrets/A/revisions?namespace=shop/dev").is(200).json();
    assert_eq!(revisions["revisions"][0]["createdBy"], format!("token:{id}"));
}

fn a_token_is_listed_without_its_text_and_revoked_at_once(api: &Api) {
    fill(api);
    let (token, id) = issue(api, &["read shop/**"], json!({"reason": "the deploy", "uses": 5}));
    let list = api.get("/api/tokens").is(200);
    assert!(!String::from_utf8_lossy(&list.body).contains(&token));
    let listed = list.json()["tokens"][0].clone();
    for (field, expected) in [
        ("id", json!(id)),
        ("kind", json!("scoped")),
        ("scope", json!(["read shop/**"])),
        ("reason", json!("the deploy")),
        ("uses", json!(5)),
        ("usesLeft", json!(5)),
        ("bindUid", Value::Null),
        ("revoked", json!(false)),
    ] {
        assert_eq!(listed[field], expected, "{field}: {listed}");
    }
    let mut connection = api.connect();
    let request = api.bare("GET", &at("shop/dev", "A")).bearer(&token).request();
    assert_eq!(connection.send(&request).unwrap().status, 200);
    api.delete(&format!("/api/tokens/{id}")).is(200);
    assert_eq!(connection.send(&request).unwrap().status, 401, "also over a connection that was there before");
    api.delete(&format!("/api/tokens/{id}")).refuses(404, "NOT_FOUND");
    api.delete("/api/tokens/nothing-of-the-kind").refuses(404, "NOT_FOUND");
    assert_eq!(api.get("/api/tokens").json()["tokens"], json!([]));
}

/// "`--uses` exact under concurrency"
fn uses_are_counted_exactly(api: &Api) {
    fill(api);
    let (token, _) = issue(api, &["read shop/**"], json!({"uses": 7}));
    let done: usize = thread::scope(|scope| {
        let ask = || usize::from(send(api, &token, "GET", &at("shop/dev", "A"), Value::Null).status == 200);
        let threads: Vec<_> = (0..24).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(done, 7);
    send(api, &token, "GET", &at("shop/dev", "A"), Value::Null).refuses(401, "AUTH_INVALID_CREDENTIALS");
    assert_eq!(api.get("/api/tokens").json()["tokens"][0]["usesLeft"], 0);
}

fn a_scope_that_is_none_says_where_and_what_was_meant(api: &Api) {
    let refused = |body: Value, words: &[&str]| {
        let message = api.post("/api/tokens", body).refuses(400, "INVALID_INPUT").message();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    let scope = |scope: Value| json!({"scope": scope, "ttlSeconds": 60});
    refused(scope(json!(["read a/*", "raed shop/**"])), &["line 2, column 1", "read shop/**"]);
    refused(scope(json!("read a/*; read shop")), &["line 2, column 6", "read shop/*"]);
    refused(scope(json!([])), &["at least one rule"]);
    refused(scope(json!(7)), &["scope"]);
    refused(json!({"scope": ["read **"], "ttlSeconds": 0}), &["ttlSeconds"]);
    refused(json!({"scope": ["read **"], "ttlSeconds": 60, "uses": 0}), &["uses"]);
    refused(json!({"scope": ["read **"], "ttlSeconds": 60, "bindUnit": "shop"}), &["shop.service"]);
    refused(json!({"scope": ["read **"], "admin": true, "ttlSeconds": 60}), &["either"]);
    refused(json!({"admin": true, "uses": 1, "ttlSeconds": 60}), &["uses"]);
    refused(json!({"ttlSeconds": 60}), &["scope or admin"]);
    api.bare("GET", "/api/secrets").bearer("hushd_nothing").send().refuses(401, "AUTH_INVALID_CREDENTIALS");
}

/// "JWTs may carry `scope` and are then limited to it"
fn a_jwt_with_a_scope_is_limited_to_it(api: &Api) {
    fill(api);
    for scope in [json!("read shop/dev/*; verify other/*"), json!(["read shop/dev/*", "verify other/*"])] {
        let token = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"scope": scope})));
        send(api, &token, "GET", &at("shop/dev", "A"), Value::Null).is(200);
        send(api, &token, "GET", &at("shop/prod", "A"), Value::Null).refuses(403, "FORBIDDEN");
        send(api, &token, "PUT", &at("shop/dev", "A"), json!({"value": "1"})).refuses(403, "FORBIDDEN");
        send(api, &token, "POST", "/api/secrets/A/verify?namespace=other", json!({"value": "1"})).is(200);
        send(api, &token, "GET", "/api/status", Value::Null).refuses(403, "FORBIDDEN");
    }
    // An administrator's role does not save one whose scope cannot be read, or is empty.
    for scope in [json!("openid profile"), json!(["read"]), json!(1), json!({"a": 1})] {
        let token = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"scope": scope})));
        send(api, &token, "GET", "/api/secrets", Value::Null).refuses(401, "AUTH_INVALID_CREDENTIALS");
    }
    let token = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"scope": ""})));
    send(api, &token, "GET", "/api/secrets", Value::Null).refuses(403, "FORBIDDEN");
}

fn a_minted_jwt_is_revoked_by_its_jti(api: &Api) {
    let minted = api.post("/api/tokens", json!({"admin": true, "ttlSeconds": 600})).is(201).json();
    let (token, id) = (minted["token"].as_str().unwrap(), minted["id"].as_str().unwrap());
    assert_eq!(jwt::read(token)["jti"], id);
    send(api, token, "GET", "/api/secrets", Value::Null).is(200);
    let listed = api.get("/api/tokens").json()["tokens"][0].clone();
    assert_eq!((&listed["id"], &listed["kind"], &listed["revoked"]), (&json!(id), &json!("jwt"), &json!(false)));
    api.delete(&format!("/api/tokens/{id}")).is(200);
    send(api, token, "GET", "/api/secrets", Value::Null).refuses(401, "AUTH_INVALID_CREDENTIALS");
    assert_eq!(api.get("/api/tokens").json()["tokens"][0]["revoked"], true);
    // One that somebody else signed, whose jti was seen.
    let foreign = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"jti": "of somebody else"})));
    api.delete("/api/tokens/of%20somebody%20else").refuses(404, "NOT_FOUND");
    send(api, &foreign, "GET", "/api/secrets", Value::Null).is(200);
    api.delete("/api/tokens/of%20somebody%20else").is(200);
    send(api, &foreign, "GET", "/api/secrets", Value::Null).refuses(401, "AUTH_INVALID_CREDENTIALS");
}

/// Tokens, what is left of their uses, and revocations survive kill -9; expired ones do not let anybody in.
#[test]
fn tokens_survive_and_stay_revoked() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let (kept, _) = issue(&api, &["read shop/**"], json!({"uses": 3}));
    let (gone, id) = issue(&api, &["read shop/**"], json!({}));
    let minted = api.post("/api/tokens", json!({"admin": true, "ttlSeconds": 600})).is(201).json();
    let (short, _) = issue(&api, &["read shop/**"], json!({"ttlSeconds": 1}));
    let jwt = minted["token"].as_str().unwrap();
    send(&api, &kept, "GET", &at("shop/dev", "A"), Value::Null).is(200);
    api.delete(&format!("/api/tokens/{id}")).is(200);
    api.delete(&format!("/api/tokens/{}", minted["id"].as_str().unwrap())).is(200);
    let api = Api::serve(api.kill(), Transport::Unix);
    send(&api, &kept, "GET", &at("shop/dev", "A"), Value::Null).is(200);
    send(&api, &kept, "GET", &at("shop/dev", "A"), Value::Null).is(200);
    send(&api, &kept, "GET", &at("shop/dev", "A"), Value::Null).is(401);
    send(&api, &gone, "GET", &at("shop/dev", "A"), Value::Null).is(401);
    send(&api, jwt, "GET", &at("shop/dev", "A"), Value::Null).is(401);
    let expired = (0..600).any(|_| {
        let answer = send(&api, &short, "GET", &at("shop/dev", "A"), Value::Null);
        if answer.status == 200 {
            thread::sleep(std::time::Duration::from_millis(50));
        }
        answer.status == 401 && answer.json()["error"] == "AUTH_TOKEN_EXPIRED"
    });
    assert!(expired, "a token of a second is valid for half a minute");
    api.stop();
}

/// "bound to uid or unit it is worthless elsewhere"
#[test]
fn a_bound_token_is_worthless_elsewhere() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let own = getuid().as_raw();
    let target = at("shop/dev", "A");
    let (mine, _) = issue(&api, &["read shop/**"], json!({"bindUid": own}));
    let (others, _) = issue(&api, &["read shop/**"], json!({"bindUid": own + 1}));
    let (units, _) = issue(&api, &["read shop/**"], json!({"bindUnit": "shop.service"}));
    send(&api, &mine, "GET", &target, Value::Null).is(200);
    for token in [&others, &units] {
        send(&api, token, "GET", &target, Value::Null).refuses(401, "AUTH_INVALID_CREDENTIALS");
    }
    let (daemon, vault) = api.into_parts();
    let tcp = Api::adopt(daemon, vault, Transport::Tcp);
    send(&tcp, &mine, "GET", &target, Value::Null).refuses(401, "AUTH_INVALID_CREDENTIALS");
    tcp.stop();
}

/// A vault whose configuration has this policy for whoever runs the tests.
fn vault_with(policy: &str) -> Vault {
    let vault = Vault::init();
    write_policy(&vault, policy);
    vault
}

fn write_policy(vault: &Vault, policy: &str) {
    let policy = policy.replace("UID", &getuid().as_raw().to_string());
    // As editors do it: another file in its place.
    let (new, path) = (vault.sandbox.config().join("new.toml"), vault.sandbox.config().join("config.toml"));
    fs::write(&new, policy).unwrap();
    fs::rename(new, path).unwrap();
}

/// Waits until the daemon's log has this many lines with these words.
fn logged(api: &Api, words: &str, times: usize) {
    for _ in 0..1200 {
        if api.daemon().log().matches(words).count() >= times {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{words:?} is not in the log {times} times");
}

#[test]
fn a_policy_holds_for_peers_and_is_replaced_by_sighup() {
    let vault = vault_with("[[policy]]\nuid = UID\ndeny = [\"read shop/prod/**\", \"write **\"]\n");
    let api = Api::serve(vault, Transport::Unix);
    fill(&api);
    let read = |namespace: &str| api.bare("GET", &at(namespace, "A")).send().status;
    assert_eq!((read("shop/dev"), read("shop/prod")), (200, 403));
    api.bare("PUT", &at("shop/dev", "A")).json(json!({"value": "1"})).send().refuses(403, "FORBIDDEN");
    let answer = api.bare("GET", &at("shop/prod", "A")).send();
    answer.fails(403, "FORBIDDEN", "Missing scope: read shop/prod/A");
    // "a log line on refusal names the rule, never the client's answer"
    logged(&api, "deny read shop/prod/** (policy 1, line 3)", 1);
    assert_eq!(api.bare("GET", "/api/status").send().is(200).json()["policy"], json!({"policies": 1, "problem": null}));

    // A broken file keeps the old one and says so.
    write_policy(&api.vault, "[[policy]]\nuid = UID\nallow = [\"raed **\"]\n");
    api.daemon().signal(Signal::HUP);
    logged(&api, "the old policies stay in force", 1);
    assert_eq!((read("shop/dev"), read("shop/prod")), (200, 403));
    let problem = api.get("/api/status").json()["policy"]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains(":3:11: \"raed\" is no verb"), "{problem}");
    let status = api.vault.sandbox.run(&["status"]);
    status.fails(1, "the newest configuration is not in force", "hushd config check");

    // A good one holds from then on, also for connections that are there.
    let mut connection = api.connect();
    let request = api.bare("GET", &at("shop/prod", "A")).request();
    assert_eq!(connection.send(&request).unwrap().status, 403);
    write_policy(&api.vault, "[[policy]]\nuid = UID\ndeny = [\"read shop/dev/*\"]\n");
    api.daemon().signal(Signal::HUP);
    logged(&api, "its policies are in force", 1);
    assert_eq!(connection.send(&request).unwrap().status, 200);
    assert_eq!((read("shop/dev"), read("shop/prod")), (403, 200));
    assert_eq!(api.get("/api/status").json()["policy"]["problem"], Value::Null);
    // Whoever is asked by a token is not asked as a peer.
    assert_eq!(api.get(&at("shop/dev", "A")).status, 200);
    api.stop();
}

#[test]
fn a_policy_denies_something_to_tokens_and_widens_no_scope() {
    let vault = vault_with(
        "[[policy]]\ntoken = \"ci\"\nallow = [\"read,write **\"]\ndeny = [\"read shop/prod/*\"]\n\
         [[policy]]\ntoken = \"e2e\"\ndeny = [\"read other/*\"]\n",
    );
    let api = Api::serve(vault, Transport::Unix);
    let secret_of = |changes: Value| jwt::hs256(&api.vault.jwt_secret, &jwt::claims(changes));
    fill(&api);
    let plain = secret_of(json!({"sub": "ci", "role": null}));
    let status = |token: &str, namespace: &str| send(&api, token, "GET", &at(namespace, "A"), Value::Null).status;
    assert_eq!((status(&plain, "shop/dev"), status(&plain, "shop/prod")), (200, 403));
    let scoped = secret_of(json!({"sub": "ci", "role": null, "scope": "read shop/*/*"}));
    let all = [status(&scoped, "shop/dev"), status(&scoped, "shop/prod"), status(&scoped, "other")];
    assert_eq!(all, [200, 403, 403]);
    // Also an administrator's.
    assert_eq!((api.get(&at("other", "A")).status, api.get(&at("shop/dev", "A")).status), (403, 200));
    assert_eq!(api.get(&secret("NOTHING")).status, 404);
    api.stop();
}

#[test]
fn a_policy_that_cannot_be_used_stops_the_start_and_the_check() {
    for (policy, words) in [
        ("[[policy]]\nuid = 1\nallow = [\n  \"read shop/**\",\n  \"raed shop/**\",\n]\n", ":5:4: \"raed\" is no verb"),
        ("[[policy]]\nuser = \"nobody-of-the-kind\"\nallow = [\"read **\"]\n", ":2:9: there is no user"),
        ("[[policy]]\ngroup = \"no-group-of-the-kind\"\nallow = [\"read **\"]\n", ":2:10: there is no group"),
        ("[[policy]]\nallow = [\"read **\"]\n", "a policy for nobody"),
        ("[[policy]]\nusr = \"ada\"\n", ":2:1: unknown key policy[0].usr"),
    ] {
        let vault = vault_with(policy);
        let config = vault.sandbox.config().join("config.toml");
        vault.sandbox.run(&["config", "check", config.to_str().unwrap()]).fails(78, words, "");
        let failure = Daemon::launch(&vault.sandbox, Daemon::command(&vault.sandbox)).err().unwrap();
        assert!(failure.code == 78 && failure.stderr.contains(words), "{failure:?}");
    }
    let vault = vault_with("[[policy]]\nunit = \"no-unit-of-the-kind.service\"\nallow = [\"read **\"]\n");
    let checked = vault.sandbox.run(&["config", "check"]).exits(0);
    assert!(checked.stderr.contains("there is no unit"), "{checked:?}");
    Daemon::start(&vault).stop_cleanly();
}

#[test]
fn policy_check_says_what_would_be_said_and_which_rule_says_it() {
    let vault = vault_with(
        "[[policy]]\nuid = 4711\nallow = [\"read shop/**\"]\ndeny = [\"read shop/prod/*\"]\n\
         [[policy]]\nunit = \"shop.service\"\nallow = [\"verify **\"]\n",
    );
    let check = |arguments: &[&str]| vault.sandbox.run(&[&["policy", "check"], arguments].concat());
    let output = check(&["--peer", "uid:4711", "--key", "shop/dev/A"]).exits(0);
    assert!(output.stdout.contains("allow  read shop/dev/A"), "{output:?}");
    assert!(output.stdout.contains("rule   allow read shop/** (policy 1, line 3)"), "{output:?}");
    check(&["--peer", "uid:4711", "--key", "shop/prod/A"]).fails(77, "uid:4711 may not read shop/prod/A", "[[policy]]");
    let output = check(&["--peer", "uid:4711", "--key", "A", "--namespace", "shop/prod", "--json"]).exits(77);
    assert_eq!(
        output.json(),
        json!({"allowed": false, "verb": "read", "namespace": "shop/prod", "key": "A", "principal": "uid:4711",
            "rule": "deny read shop/prod/* (policy 1, line 4)"})
    );
    let verify = ["--peer", "uid:9,unit:shop.service", "--key", "a/B", "--verb", "verify"];
    assert!(check(&verify).exits(0).stdout.contains("policy 2"));
    let own = format!("uid:{}", getuid().as_raw());
    assert!(
        check(&["--peer", &own, "--key", "A", "--verb", "admin"]).exits(0).stdout.contains("the daemon's own user")
    );
    check(&["--peer", "uid:9", "--key", "A"]).fails(77, "nobody may not read default/A", "");
    check(&["--peer", "ada", "--key", "A"]).fails(2, "does not say what it is", "uid:1000");
    check(&["--peer", "uid:9", "--key", "a/b"]).fails(2, "did you mean B?", "");
}

#[test]
fn the_command_line_makes_lists_and_revokes_tokens() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let sandbox = &api.vault.sandbox;
    let made =
        sandbox.run(&["token", "create", "--scope", "read shop/dev/*", "--ttl", "8h", "--uses", "2", "--reason", "x"]);
    let made = made.exits(0);
    let token = made.stdout.trim_end();
    let file = sandbox.key_file("token", token);
    let get = || sandbox.run(&["get", "A", "--namespace", "shop/dev", "--token-file", file.to_str().unwrap()]);
    assert_eq!(get().exits(0).stdout, "shop/dev A\n");
    let listed = sandbox.run(&["token", "list", "--json"]).exits(0).json();
    assert_eq!((&listed["tokens"][0]["usesLeft"], &listed["tokens"][0]["reason"]), (&json!(1), &json!("x")));
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    let table = sandbox.run(&["token", "list"]).exits(0).stdout;
    assert!(table.contains(id) && table.contains("read shop/dev/*"), "{table}");
    sandbox.run(&["token", "revoke", id]).exits(0);
    get().fails(77, "invalid token", "");
    sandbox.run(&["token", "revoke", id]).fails(66, "token not found", "hushd token list");
    sandbox.run(&["token", "create", "--scope", "read shop"]).fails(
        2,
        "column 6: a pattern is NAMESPACE/KEY",
        "did you mean --scope 'read shop/*'?",
    );
    api.stop();
}

/// Tokens are part of a backup, with what is left of them.
#[test]
fn a_restored_vault_knows_its_tokens() {
    let api = Api::start(Transport::Unix);
    fill(&api);
    let (token, _) = issue(&api, &["read shop/**"], json!({"uses": 2}));
    let minted = api.post("/api/tokens", json!({"admin": true, "ttlSeconds": 600})).is(201).json();
    api.delete(&format!("/api/tokens/{}", minted["id"].as_str().unwrap())).is(200);
    send(&api, &token, "GET", &at("shop/dev", "A"), Value::Null).is(200);
    let file = api.vault.sandbox.path("backup.age");
    let file = file.to_str().unwrap();
    api.vault.sandbox.run(&["backup", "-o", file]).exits(0);
    api.vault.sandbox.run(&["backup", "verify", file]).exits(0);
    let vault = api.stop();
    fs::rename(vault.sandbox.data(), vault.sandbox.path("old")).unwrap();
    vault.sandbox.run(&["restore", file, "--same-identity"]).exits(0);
    let api = Api::serve(vault, Transport::Unix);
    send(&api, &token, "GET", &at("shop/dev", "A"), Value::Null).is(200);
    send(&api, &token, "GET", &at("shop/dev", "A"), Value::Null).is(401);
    send(&api, minted["token"].as_str().unwrap(), "GET", "/api/secrets", Value::Null).is(401);
    let checked = api.vault.sandbox.run(&["check"]);
    assert!(matches!(checked.code, 0 | 1), "{checked:?}");
    api.stop();
}
