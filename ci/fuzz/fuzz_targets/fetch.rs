//! What servers and leftovers say about downloads. The input is a kind, a line
//! break, and the text: `range`, `retry`, `state`, or anything else for a
//! URL.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use imgbuild::fetch::{Address, ContentRange, State, retry_after};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Some((kind, text)) = text.split_once('\n') else {
        return;
    };
    match kind {
        "range" => {
            if let Some(range) = ContentRange::parse(text) {
                assert!(range.first <= range.last, "{range:?}");
                assert!(
                    range.total.is_none_or(|total| range.last < total),
                    "{range:?}"
                );
            }
        }
        "retry" => {
            let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
            let _ = retry_after(text, now);
        }
        "state" => {
            if let Some(state) = State::parse(text) {
                assert_eq!(State::parse(&state.render()), Some(state));
            }
        }
        _ => url(text),
    }
});

/// A password, and a token in a query, are shown in no form.
fn url(text: &str) {
    const SECRET: &str = "hunter2-7d1f";
    // What comes before them must not make a path of them.
    let name: String = text
        .chars()
        .filter(|char| !r"/\?#".contains(*char))
        .collect();
    for text in [
        text.to_owned(),
        format!("https://me:{SECRET}@{text}"),
        format!("https://me:{SECRET}?{SECRET}@{text}"),
        format!("https://{name}:{SECRET}@host/"),
        format!("https://host/{text}?{SECRET}"),
    ] {
        let shown = match Address::parse(&text, &[]) {
            Ok(address) => match address.redirected(&text) {
                Ok(next) => format!("{address} {address:?} {next}"),
                Err(error) => format!("{address} {error} {error:?}"),
            },
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
