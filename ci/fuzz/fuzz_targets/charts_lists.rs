//! The small texts about charts. The input is a kind, a line break, and the text:
//! `wanted`, `lock`, `meta`, `manifest`, `tags`, `challenge`, or anything else for
//! a token.

#![no_main]

use imgbuild::charts::{Locked, Manifest, Meta, Tags, Wanted};
use imgbuild::edit::set_chart_version;
use imgbuild::fetch::{Challenge, token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Some((kind, text)) = text.split_once('\n') else {
        return;
    };
    match kind {
        "wanted" => wanted(text),
        "lock" => {
            if let Ok(locked) = Locked::parse(text) {
                assert_eq!(Locked::parse(&locked.render()).as_ref(), Ok(&locked));
                for chart in &locked.charts {
                    is_folder(&chart.name);
                }
            }
        }
        "meta" => {
            if let Ok(meta) = Meta::parse(text.as_bytes()) {
                is_folder(&meta.name);
                meta.dependencies.iter().for_each(|name| is_folder(name));
            }
        }
        "manifest" => {
            if let Ok(manifest) = Manifest::parse(text.as_bytes()) {
                assert_eq!(manifest.layer.len(), 64);
            }
        }
        "tags" => {
            let _ = Tags::parse(text.as_bytes());
        }
        "challenge" => {
            let _ = Challenge::parse(text);
        }
        _ => {
            if let Some(token) = token(text.as_bytes()) {
                assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
});

/// A list that can be read can be changed, and says the new version then; nothing
/// else of it is another.
fn wanted(text: &str) {
    let Ok(before) = Wanted::parse(text) else {
        return;
    };
    for (place, chart) in before.charts.iter().enumerate() {
        is_folder(&chart.name);
        let changed = set_chart_version(text, &chart.name, "9.8.7").expect("a list");
        let mut after = Wanted::parse(&changed).expect("still a list");
        assert_eq!(after.charts[place].version.as_str(), "9.8.7");
        assert_eq!(after.charts[place].known, None);
        after.charts[place] = chart.clone();
        assert_eq!(after, before);
    }
}

fn is_folder(name: &str) {
    assert!(
        !name.is_empty() && !name.starts_with('.') && !name.contains('/'),
        "{name:?}"
    );
}
