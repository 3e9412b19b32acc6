//! What is known of a part of a file: the small file beside it.

use sha2::{Digest as _, Sha256};

use super::{Address, Validator};

/// The one form there is.
const VERSION: u32 = 1;

/// What `.NAME.part.toml` says about `.NAME.part`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// sha256 of the URL: the URL itself may hold a token.
    source: String,
    /// Which version of the file the bytes are of.
    pub validator: Validator,
    /// Bytes of it that are on the disk, from its beginning.
    pub kept: u64,
}

impl State {
    /// Nothing kept yet.
    pub(super) fn new(source: &Address, validator: Validator) -> Self {
        Self {
            version: VERSION,
            source: fingerprint(source),
            validator,
            kept: 0,
        }
    }

    /// Reads what [`State::render`] wrote; `None` when it is anything else,
    /// which is no error: the file is downloaded from its beginning then.
    pub fn parse(text: &str) -> Option<Self> {
        let state: Self = toml::from_str(text).ok()?;
        (state.version == VERSION).then_some(state)
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let Self {
            version,
            source,
            validator,
            kept,
        } = self;
        let text = |text: &str| toml::Value::from(text);
        format!(
            "version = {version}\nsource = {}\nvalidator = {}\nkept = {kept}\n",
            text(source),
            text(validator.as_str()),
        )
    }

    /// Whether it is about this URL.
    pub(super) fn is_of(&self, source: &Address) -> bool {
        self.source == fingerprint(source)
    }
}

fn fingerprint(source: &Address) -> String {
    base16ct::lower::encode_string(&Sha256::digest(source.url().as_str()))
}

#[cfg(test)]
mod tests {
    use ureq::http::{HeaderMap, header::ETAG};

    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_only_so() {
        let address = |text| Address::parse(text, &[]).expect("URL");
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, "\"a\\b 'c\"".parse().expect("value"));
        let validator = Validator::of(&headers).expect("strong");
        let mut state = State::new(&address("https://u:hunter2@h/a?b=1"), validator);
        state.kept = 5;
        let text = state.render();
        assert!(!text.contains("hunter2"));
        assert_eq!(State::parse(&text), Some(state.clone()));
        assert!(state.is_of(&address("https://h/a?b=1")));
        assert!(!state.is_of(&address("https://h/a?b=2")));
        for wrong in [
            "",
            "version = 1",
            &text.replace("version = 1", "version = 2"),
            &text.replace("kept = 5", "kept = -5"),
            &format!("{text}more = 1\n"),
        ] {
            assert_eq!(State::parse(wrong), None, "{wrong}");
        }
    }
}
