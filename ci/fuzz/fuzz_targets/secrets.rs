//! The decrypted secrets: what is read can be written and is read again as the same,
//! every part of it can be used, and what is refused is not quoted.

#![no_main]

use imgbuild::secrets::Secrets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let secrets = match Secrets::parse(&text) {
        Ok(secrets) => secrets,
        Err(error) => {
            // No run of key material is as short as the words of a message.
            let said = error.to_string();
            assert!(
                said.split_whitespace().all(|word| word.len() < 70),
                "{said}"
            );
            return;
        }
    };
    let rendered = secrets.render();
    let again = Secrets::parse(&rendered).expect("ours");
    assert_eq!(*again.render(), *rendered);
    for entry in secrets.entries().expect("checked") {
        assert!(secrets.entry(&entry.name).is_ok());
    }
});
