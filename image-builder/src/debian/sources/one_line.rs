//! `deb [option=value] uri suite component...`, one source a line.

use anyhow::{Context as _, bail};

use super::{Place, SignedBy, Source, checked, refuse_trusted};
use crate::debian::stanza::is_yes;

pub(super) fn parse(file: &str, text: &str) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = Place {
            file: file.to_owned(),
            line: index + 1,
        };
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else {
            if line.is_empty() {
                continue;
            }
            bail!("{place}: `{line}` alone is no source");
        };
        match kind {
            "deb" => sources.push(parse_line(place, rest.trim_start())?),
            "deb-src" => {}
            _ => bail!("{place}: a source starts with `deb` or `deb-src`, not with `{kind}`"),
        }
    }
    Ok(sources)
}

fn parse_line(place: Place, rest: &str) -> anyhow::Result<Source> {
    let (options, rest) = match rest.strip_prefix('[') {
        None => ("", rest),
        Some(rest) => rest
            .split_once(']')
            .with_context(|| format!("{place}: the options in `[` have no end"))?,
    };
    let mut architectures = None;
    let mut signed_by = SignedBy::Trusted;
    for option in options.split_whitespace() {
        let list = |value: &str| value.split(',').map(str::to_owned).collect();
        match option.split_once('=') {
            Some(("arch", value)) => architectures = Some(list(value)),
            Some(("signed-by", value)) => signed_by = SignedBy::Files(list(value)),
            Some(("trusted", value)) if is_yes(value) => {
                return Err(refuse_trusted(&place, option));
            }
            // How apt fetches and what for: nothing that changes the packages.
            Some(_) => {}
            None => bail!("{place}: the option `{option}` has no value"),
        }
    }
    let mut words = rest.split_whitespace();
    let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
        bail!("{place}: a source names an address and a suite");
    };
    checked(Source {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        components: words.map(str::to_owned).collect(),
        architectures,
        signed_by,
        place,
    })
}
