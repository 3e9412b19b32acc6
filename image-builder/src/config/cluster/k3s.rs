//! `[k3s]`: which Kubernetes.

use crate::config::check::Checker;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan::K3s;

pub(crate) fn check(k3s: &written::K3s, check: &mut Checker) -> Option<K3s> {
    let version = check.value(&k3s.version, |text| version(text));
    let airgap = k3s.airgap.get().copied();
    Some(K3s {
        version: version?,
        airgap: airgap?,
    })
}

/// A release's tag: `v1.35.7+k3s1`, `v1.36.0-rc1+k3s1`.
fn version(text: &str) -> Result<String, Wrong> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_tag = || {
        let (kubernetes, build) = text.strip_prefix('v')?.split_once("+k3s")?;
        let (release, candidate) = match kubernetes.split_once("-rc") {
            Some((release, candidate)) => (release, candidate),
            None => (kubernetes, "0"),
        };
        let parts: Vec<_> = release.split('.').collect();
        let good = parts.len() == 3 && parts.into_iter().all(number);
        (good && number(candidate) && number(build)).then_some(())
    };
    if is_tag().is_some() {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a release of K3s", quoted(text));
    let hint = match text {
        "latest" | "stable" => "write the release itself: the same file must give the same image",
        _ => "write its tag, such as \"v1.35.7+k3s1\"",
    };
    Err(Wrong::new(message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["v1.35.7+k3s1", "v1.33.13+k3s2", "v1.36.0-rc1+k3s1"] {
            assert_eq!(version(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "latest",
            "1.35.7+k3s1",
            "v1.35.7",
            "v1.35+k3s1",
            "v1.35.7+k3s",
            "v1.35.x+k3s1",
            "v1.35.7+rke2r1",
            "v1.35.7+k3s1/../x",
        ] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
