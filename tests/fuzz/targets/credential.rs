//! What a client shows: the two tokens and the two keys that were made here are accepted, and nothing else ever is.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hushd::auth::{ApiKey, Authenticator, Credential, KeyKind, KeyRing, Policy, SigningSecrets};
use hushd::clock::Timestamp;

const SECRET: &[u8] = b"a signing secret of the fuzzer's own, 48 bytes..";
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

struct Known {
    authenticator: Authenticator,
    policy: Arc<Policy>,
    accepted: Vec<String>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let signing = || SigningSecrets::new(SECRET, []);
    let mint = |subject| signing().mint(subject, NOW, Duration::from_secs(600)).expect("it is minted").token;
    let api = ApiKey::import(&format!("ik_{}", "0123456789abcdef".repeat(4))).expect("it is a key");
    let anon = ApiKey::generate(KeyKind::Anon).expect("it is made");
    let rings = [&api, &anon].map(|key| KeyRing::new(key.to_stored(NOW)));
    let accepted = [mint("one"), mint("two"), api.text().clone(), anon.text().clone()];
    let [api_keys, anon_keys] = rings;
    Known {
        authenticator: Authenticator::new(signing(), api_keys, anon_keys, 0),
        policy: Arc::new(Policy::default()),
        accepted: accepted.iter().map(|text| text.expose_secret().to_owned()).collect(),
    }
});

libfuzzer_sys::fuzz_target!(|input: (u16, u8, &str)| {
    let (place, change, text) = input;
    let known = &*KNOWN;
    let check = |text: &str| {
        let is_known = known.accepted.iter().any(|accepted| accepted == text);
        let is_accepted = [Credential::Bearer(text), Credential::ApiKey(text)]
            .into_iter()
            .any(|credential| known.authenticator.authenticate(credential, None, &known.policy, NOW).is_ok());
        assert_eq!(is_accepted, is_known, "{text:?}");
    };
    check(text);
    // What is nearly right: one of them with something put into it, or in the place of something.
    for accepted in &known.accepted {
        let at = usize::from(place) % accepted.len();
        let end = (at + usize::from(change) % 4).min(accepted.len());
        check(&format!("{}{text}{}", &accepted[..at], &accepted[end..]));
    }
});
