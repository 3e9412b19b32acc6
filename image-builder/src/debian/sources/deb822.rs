//! `Types`, `URIs`, `Suites` and so on: a stanza stands for each combination.

use anyhow::Context as _;

use super::{Place, SignedBy, Source, checked, refuse_trusted};
use crate::debian::stanza::{Field, Stanza, is_no, stanzas};

pub(super) fn parse(file: &str, text: &str) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for stanza in stanzas(text) {
        let stanza = stanza.with_context(|| format!("reading {file} of the image"))?;
        sources.extend(parse_stanza(file, &stanza)?);
    }
    Ok(sources)
}

fn parse_stanza(file: &str, stanza: &Stanza<'_>) -> anyhow::Result<Vec<Source>> {
    let place = |line| Place {
        file: file.to_owned(),
        line,
    };
    let need = |name: &str| {
        let field = stanza.field(name);
        field.with_context(|| format!("{}: the source has no {name}", place(stanza.line)))
    };
    if stanza.value("Enabled").is_some_and(is_no) || !need("Types")?.words().any(|t| t == "deb") {
        return Ok(Vec::new());
    }
    if stanza.is_yes("Trusted") {
        let line = stanza
            .field("Trusted")
            .map_or(stanza.line, |field| field.line);
        return Err(refuse_trusted(&place(line), "Trusted: yes"));
    }
    let list = |name: &str| -> Option<Vec<String>> {
        let words: Vec<String> = stanza.field(name)?.words().map(str::to_owned).collect();
        Some(words).filter(|words| !words.is_empty())
    };
    let uris = need("URIs")?;
    let suites = need("Suites")?;
    let mut sources = Vec::new();
    for uri in uris.words() {
        for suite in suites.words() {
            sources.push(checked(Source {
                place: place(uris.line),
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                components: list("Components").unwrap_or_default(),
                architectures: list("Architectures"),
                signed_by: signed_by(stanza.field("Signed-By")),
            })?);
        }
    }
    Ok(sources)
}

/// Paths, or a key block whose empty lines are written as a dot.
fn signed_by(field: Option<Field<'_>>) -> SignedBy {
    let Some(field) = field.filter(|field| field.words().next().is_some()) else {
        return SignedBy::Trusted;
    };
    if !field.words().any(|word| word == "PGP") {
        let words = field.words().flat_map(|word| word.split(','));
        let files = words.filter(|file| !file.is_empty()).map(str::to_owned);
        return SignedBy::Files(files.collect());
    }
    let lines = field.lines().skip_while(|line| line.is_empty());
    let block = lines.map(|line| {
        if line == "." {
            "\n".to_owned()
        } else {
            format!("{line}\n")
        }
    });
    SignedBy::Block(block.collect())
}
