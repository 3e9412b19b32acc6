//! A commit that the agent pulls, and the signature in it. Whatever it is, reading it
//! ends, and nobody's key has signed what it did not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_config::handover::Trust;

#[path = "../../../firstboot-agent/src/pull/trust.rs"]
mod trust;

/// The key that signed the seed, and one that signed nothing.
const SIGNER: &str = include_str!("../found/agent_commit.pub");
const STRANGER: &str = include_str!("../../../cluster/keys/example.pub");

fuzz_target!(|data: &[u8]| {
    // Before the key there may be words about it.
    let line = |file: &str| file.lines().next_back().expect("a key").to_owned();
    let by = |file: &str| trust::signer(data, &Trust::Signers(vec![line(file)]));
    assert!(by(STRANGER).is_err());
    if let Ok(signer) = by(SIGNER) {
        assert!(signer.is_some_and(|key| key.starts_with("SHA256:")));
    }
    let named = trust::signer(data, &Trust::Commit("0a".repeat(20)));
    assert_eq!(named, Ok(None));
});
