//! A backup that was changed is refused, and said to be.

use std::fs;

use super::{back_up, restore_in, verify};
use crate::harness::{Api, Sandbox, Transport, Vault, files};

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// "tampered backup refused and named (each of 200 random flips and cuts)"
#[test]
fn each_of_200_flips_and_cuts_is_refused_and_named() {
    let api = Api::start(Transport::Unix);
    for number in 0..20 {
        api.create(&format!("KEY_{number}"), &format!("value {number}"));
    }
    let path = back_up(&api);
    let vault = api.stop();
    verify(&vault, &path).exits(0);
    let whole = fs::read(&path).unwrap();
    let mut numbers = Numbers(7);
    for trial in 0..200 {
        let mut changed = whole.clone();
        let at = numbers.below(changed.len());
        let what = match trial % 4 {
            0 => {
                changed.truncate(at);
                "cut"
            }
            1 => {
                changed.insert(at, changed[at]);
                "longer"
            }
            _ => {
                changed[at] ^= 1 << numbers.below(8);
                "flipped"
            }
        };
        fs::write(&path, &changed).unwrap();
        let output = verify(&vault, &path);
        // One whose header was changed may look like one to somebody else, and is said to.
        assert!(matches!(output.code, 65 | 77), "{what} at {at}: {output:?}");
        assert!(output.stderr.contains("hushd: error: "), "{what} at {at}: {output:?}");
        assert!(
            ["damaged", "no whole age file", "does not open it"].iter().any(|words| output.stderr.contains(words)),
            "{what} at {at}: {output:?}"
        );
        assert!(!output.stderr.contains("panicked"), "{what} at {at}: {output:?}");
        assert_eq!(output.stdout, "", "{what} at {at}");
        if trial % 20 == 0 {
            leaves_nothing(&vault, &path);
        }
    }
}

/// A restore of a damaged backup leaves neither a vault nor a part of one.
fn leaves_nothing(vault: &Vault, path: &std::path::Path) {
    let sandbox = Sandbox::new();
    let output = restore_in(&sandbox, vault, path);
    assert!(matches!(output.code, 65 | 77), "{output:?}");
    assert_eq!(files::tree(&sandbox.path("data")).len(), 1);
    assert_eq!(files::tree(&sandbox.path("config")).len(), 1);
}
