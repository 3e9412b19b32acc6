//! Kubernetes labels of a node.

use std::collections::BTreeMap;

use crate::config::check::Checker;
use crate::config::names::is_domain;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;

/// Longest name and value.
const LONGEST: usize = 63;

/// Labels in Kubernetes' own domains that a kubelet may set on its node and does
/// not set itself (pkg/kubelet/apis/well_known_labels.go). With any other it
/// refuses to start.
const OWN: [&str; 2] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Domains below `kubernetes.io` that a kubelet may set any label of.
const OPEN: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(crate) fn check(
    labels: &written::Named,
    check: &mut Checker,
) -> Option<BTreeMap<String, String>> {
    let mut checked = Some(BTreeMap::new());
    for (written, value) in labels.get()? {
        let key = key(written.get_ref())
            .map_err(|wrong| check.wrong(&written.span(), wrong))
            .ok();
        let value = check.value(value, |value| self::value(value));
        checked = checked
            .zip(key.zip(value))
            .map(|(mut labels, (key, value))| {
                labels.insert(key, value);
                labels
            });
    }
    checked
}

/// A taint as `kubectl taint` writes it: `key=value:Effect` or `key:Effect`.
pub(crate) fn taint(text: &str) -> Result<String, Wrong> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let is_taint = || {
        let (name, effect) = text.rsplit_once(':')?;
        let (name, value) = name.split_once('=').unwrap_or((name, ""));
        let (domain, word) = match name.split_once('/') {
            Some((domain, word)) => (Some(domain), word),
            None => (None, name),
        };
        let named = is_word(word) && domain.is_none_or(is_domain);
        (named && (value.is_empty() || is_word(value)) && EFFECTS.contains(&effect)).then_some(())
    };
    if is_taint().is_some() {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a Kubernetes taint", quoted(text));
    Err(Wrong::new(
        message,
        "write key=value:NoSchedule, or with PreferNoSchedule or NoExecute at its end",
    ))
}

fn key(text: &str) -> Result<String, Wrong> {
    let (domain, name) = match text.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, text),
    };
    if !is_word(name) || !domain.is_none_or(is_domain) {
        let message = format!("{} is not the name of a Kubernetes label", quoted(text));
        let hint = "write letters, digits and inner `-`, `_` or `.`, at most 63, with `example.org/` before it or not";
        return Err(Wrong::new(message, hint));
    }
    if domain.is_some_and(is_reserved) && !OWN.contains(&text) {
        let message =
            format!("the label `{text}` is Kubernetes' own: no node may give it to itself");
        let hint =
            "use a label without a domain, or with one of yours; `kubectl label` sets this one";
        return Err(Wrong::new(message, hint));
    }
    Ok(text.to_owned())
}

fn value(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || is_word(text) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the value of a Kubernetes label", quoted(text));
    Err(Wrong::new(
        message,
        "write letters, digits and inner `-`, `_` or `.`, at most 63",
    ))
}

fn is_reserved(domain: &str) -> bool {
    let within = |zone: &str| {
        domain
            .strip_suffix(zone)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    (within("kubernetes.io") || within("k8s.io")) && !OPEN.iter().any(|open| within(open))
}

fn is_word(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints() {
        for good in ["dedicated=storage:NoSchedule", "example.org/a:NoExecute"] {
            assert!(taint(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a=b",
            "a=b:Never",
            "=b:NoSchedule",
            "a b=c:NoSchedule",
        ] {
            assert!(taint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys() {
        for good in [
            "disk",
            "Disk_type.v2",
            "example.org/disk",
            "node.longhorn.io/create-default-disk",
            "node.kubernetes.io/instance-type",
            "topology.kubernetes.io/zone",
        ] {
            assert_eq!(key(good).as_deref(), Ok(good));
        }
        let longer = "a".repeat(64);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "-a",
            "a-",
            "a b",
            "Example.org/a",
            &longer,
            "node-role.kubernetes.io/worker",
            "kubernetes.io/hostname",
            "storage.k8s.io/x",
        ] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values() {
        for good in ["", "nvme", "true", "A.b_c-1"] {
            assert_eq!(value(good).as_deref(), Ok(good));
        }
        for bad in [" ", "a b", "-a", "a.", "ü"] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }
}
