//! Where the image's apt takes packages from: sources.list(5), both forms.

mod deb822;
mod one_line;

use std::fmt;

use anyhow::{Context as _, bail};

use crate::overlay::{BaseView, Part};

const LIST: &str = "/etc/apt/sources.list";
const PARTS: &str = "/etc/apt/sources.list.d";

/// One address and suite, with the parts of it that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) place: Place,
    /// As written.
    pub(super) uri: String,
    /// A suite, or a path that ends with a slash: a repository without `dists/`.
    pub(super) suite: String,
    /// None where the suite is a path.
    pub(super) components: Vec<String>,
    /// `None`: those of the image.
    pub(super) architectures: Option<Vec<String>>,
    pub(super) signed_by: SignedBy,
}

/// Whose signature a source must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SignedBy {
    /// One of the image's trusted keys.
    Trusted,
    /// A key of these files.
    Files(Vec<String>),
    /// This armored key block.
    Block(String),
}

/// A file of the image, and a line of it counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The sources of the image, in the order in which apt reads them.
pub(super) fn read(base: &dyn BaseView) -> anyhow::Result<Vec<Source>> {
    let mut files = vec![LIST.to_owned()];
    let parts = base.list(Part::Root, PARTS);
    for name in parts.with_context(|| format!("listing {PARTS} of the image"))? {
        if is_read_by_apt(&name) {
            files.push(format!("{PARTS}/{name}"));
        }
    }
    let mut sources = Vec::new();
    for file in files {
        let context = || format!("reading {file} of the image");
        let Some(bytes) = base.read(Part::Root, &file).with_context(context)? else {
            continue;
        };
        let text = String::from_utf8(bytes).with_context(context)?;
        sources.extend(parse(&file, &text)?);
    }
    if sources.is_empty() {
        bail!("the image has no package source: neither {LIST} nor a file in {PARTS} names one");
    }
    Ok(sources)
}

/// The sources a file names; its ending says in which form.
///
/// # Errors
/// With file and line.
pub(super) fn parse(file: &str, text: &str) -> anyhow::Result<Vec<Source>> {
    if file.ends_with(".sources") {
        deb822::parse(file, text)
    } else {
        one_line::parse(file, text)
    }
}

/// apt passes over files with other endings or other letters in their names.
fn is_read_by_apt(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (name.ends_with(".list") || name.ends_with(".sources")) && name.chars().all(fits)
}

/// Settings that change what a source is trusted for.
fn refuse_trusted(place: &Place, setting: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{place}: `{setting}` makes apt take packages without checking who signed them; \
         remove it, and name the repository's key with Signed-By"
    )
}

/// Checks what both forms have in common, and puts the source together.
fn checked(source: Source) -> anyhow::Result<Source> {
    let Source {
        place,
        uri,
        suite,
        components,
        ..
    } = &source;
    let (_, rest) = uri
        .split_once(':')
        .with_context(|| format!("{place}: `{}` is no address of a repository", shown(uri)))?;
    let host = rest.trim_start_matches('/').split('/').next();
    if host.is_some_and(|host| host.contains('@')) {
        bail!(
            "{place}: the address holds a user name or password, and the lock would publish it; \
             take a repository that can be read without one"
        );
    }
    if suite.contains("..") || suite.starts_with('/') && suite != "/" {
        bail!("{place}: `{suite}` is no suite");
    }
    match (suite.ends_with('/'), components.is_empty()) {
        (true, false) => bail!("{place}: the suite `{suite}` is a path, so it has no components"),
        (false, true) => {
            bail!("{place}: no component is named after the suite `{suite}`, as in `main`")
        }
        _ => {}
    }
    if let SignedBy::Files(files) = &source.signed_by {
        for file in files {
            if !crate::overlay::is_normal(file) {
                bail!(
                    "{place}: Signed-By names `{file}`, which is no absolute path of a key file; \
                     fingerprints are not supported"
                );
            }
        }
    }
    Ok(source)
}

/// An address for messages: without what stands before an `@`.
pub(super) fn shown(uri: &str) -> String {
    match (uri.find("://"), uri.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://{}", &uri[..scheme], &uri[at + 1..])
        }
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests;
