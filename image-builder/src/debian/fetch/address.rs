//! A source's URI to an address that can be read from here. A mirror list
//! (apt-transport-mirror(1)) stands for its first such line.

use anyhow::Context as _;

use crate::debian::Repository;
use crate::debian::sources::{Source, shown};
use crate::overlay::{BaseView, Part};

const MAX_LIST: u64 = 1 << 20;

/// With a slash at the end; `None` when only the node could read it.
pub(super) fn of(
    source: &Source,
    base: &dyn BaseView,
    repository: &dyn Repository,
) -> anyhow::Result<Option<String>> {
    let uri = &source.uri;
    let list = match mirror_list(uri) {
        None => return Ok(is_web(uri).then(|| with_slash(uri))),
        Some(list) => list,
    };
    let context = || format!("{}: reading the mirror list {}", source.place, shown(&list));
    let bytes = match list.strip_prefix("file:") {
        Some(path) => {
            let path = format!("/{}", path.trim_start_matches('/'));
            let bytes = base.read(Part::Root, &path).with_context(context)?;
            bytes
                .context("the image has no such file")
                .with_context(context)?
        }
        None if is_web(&list) => repository.get(&list, MAX_LIST).with_context(context)?,
        None => return Ok(None),
    };
    let text = String::from_utf8(bytes).with_context(context)?;
    // Behind a tab a line may say which files the mirror is good for.
    let mirrors = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let first = mirrors
        .into_iter()
        .find(|mirror| is_web(mirror) && !mirror.contains('@'));
    let first = first
        .context("it names no mirror by http or https")
        .with_context(context)?;
    Ok(Some(with_slash(first)))
}

/// Where the list is, when the URI names one.
fn mirror_list(uri: &str) -> Option<String> {
    if let Some(list) = uri.strip_prefix("mirror+") {
        return Some(list.to_owned());
    }
    Some(format!("http:{}", uri.strip_prefix("mirror:")?))
}

/// With a host: the slash that a bare scheme lacks would be taken from its own.
fn is_web(uri: &str) -> bool {
    let rest = uri.strip_prefix("https://").or(uri.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty())
}

fn with_slash(uri: &str) -> String {
    format!("{}/", uri.trim_end_matches('/'))
}
