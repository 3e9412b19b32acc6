//! K3s' tokens: a full one that is read is written as the same.

#![no_main]

use imgbuild::pki::{CaHash, Credentials, Token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(token) = Token::parse(&text) else {
        return;
    };
    assert!(token.hash.is_empty() || token.hash.len() == 64);
    let Credentials::User { name, password } = &token.credentials else {
        return;
    };
    assert!(!password.expose().is_empty());
    if let Some(hash) = CaHash::parse(&token.hash) {
        assert_eq!(Token::full(&hash, name, password).expose(), text);
    }
});
