//! `[gitops]`: where the tree is, and the addresses for its services.

use std::net::Ipv4Addr;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::network::{self, Lan};
use crate::config::check::Checker;
use crate::config::files::{Files, resolve, why};
use crate::config::problem::{Wrong, quoted, shown};
use crate::config::{ssh, written};
use crate::plan::{GitOps, Network, Node, Pool, Trust};

/// Larger than any bundle of CAs that somebody has of their own.
const CA_LIMIT: u64 = 256 << 10;

pub(crate) fn check(
    gitops: &written::GitOps,
    lan: Lan,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<GitOps> {
    let repository = check.value(&gitops.repository, |text| repository(text));
    let revision = check.value(&gitops.revision, |text| revision(text));
    let path = check.value(&gitops.path, |text| path(text));
    let pool = check.optional(&gitops.pool, |text| pool(text, lan));
    let trust = trust(gitops, check);
    let from = check.path();
    let ca = check.optional(&gitops.ca, |path| {
        authorities(&resolve(files, from, path), files)
    });
    Some(GitOps {
        repository: repository?,
        revision: revision?,
        path: path?,
        trust: trust?,
        ca: ca?,
        pool: pool?,
    })
}

/// Whose commits are taken: a commit's, by its name, or by its signature.
fn trust(gitops: &written::GitOps, check: &mut Checker) -> Option<Option<Trust>> {
    let commit = check.optional(&gitops.commit, |text| commit(text));
    let signers = check.list(&gitops.signers, |line| signer(line));
    let (commit, signers) = (commit?, signers?);
    match (commit, signers.is_empty()) {
        (Some(_), false) => {
            let message = "a commit that is named needs nobody's signature";
            let wrong = Wrong::new(message, "take `commit` or `signers` out");
            check.wrong(&gitops.commit.span(), wrong);
            None
        }
        (Some(commit), true) => Some(Some(Trust::Commit(commit))),
        (None, false) => Some(Some(Trust::Signers(signers))),
        (None, true) => Some(None),
    }
}

/// The name of a commit in full: a part of it may be another's too.
fn commit(text: &str) -> Result<String, Wrong> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 40 && text.bytes().all(is_digit) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the whole name of a commit", quoted(text));
    Err(Wrong::new(
        message,
        "write what `git rev-parse HEAD` prints",
    ))
}

/// A key that the agent can check signatures of.
fn signer(line: &str) -> Result<String, Wrong> {
    const KINDS: [&str; 3] = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"];
    let key = ssh::key(line)?;
    match key.split(' ').next() {
        Some(kind) if KINDS.contains(&kind) => Ok(key),
        kind => Err(Wrong::new(
            format!(
                "a node cannot check what a {} key signed",
                kind.unwrap_or_default()
            ),
            format!("sign with one of {}", KINDS.join(", ")),
        )),
    }
}

/// The text of a file with certificates.
fn authorities(path: &Path, files: &dyn Files) -> Result<String, Wrong> {
    let shown = shown(path);
    let hint = "name a file with the certificate of a CA, as PEM";
    let content = files
        .read(path, CA_LIMIT)
        .map_err(|error| Wrong::new(format!("{shown} cannot be read: {}", why(&error)), hint))?;
    if content.windows(11).any(|part| part == b"PRIVATE KEY") {
        return Err(Wrong::new(format!("{shown} holds a private key"), hint));
    }
    let certificates = CertificateDer::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>();
    match (certificates, String::from_utf8(content)) {
        (Ok(some), Ok(text)) if !some.is_empty() => Ok(text),
        _ => Err(Wrong::new(format!("{shown} holds no certificate"), hint)),
    }
}

/// Addresses that are somebody's, and whose.
pub(super) fn taken<'n>(
    network: &Network,
    vip: Option<Ipv4Addr>,
    nodes: impl Iterator<Item = &'n Node>,
) -> Vec<(Ipv4Addr, String)> {
    let mut taken = vec![(network.gateway, "the gateway".to_owned())];
    taken.extend(nodes.map(|node| (node.address.addr(), node.name.clone())));
    taken.extend(vip.map(|vip| (vip, "the vip".to_owned())));
    let servers = network.dns.iter();
    taken.extend(servers.map(|server| (*server, "a name server".to_owned())));
    taken
}

/// The first of them that is in a pool.
pub(super) fn overlap(pool: Pool, taken: &[(Ipv4Addr, String)]) -> Option<Wrong> {
    let (address, whose) = taken.iter().find(|(address, _)| pool.contains(*address))?;
    let message = format!("the pool {pool} holds {address}, the address of {whose}");
    Some(Wrong::new(
        message,
        "take a range that no machine is in, nor the router's DHCP",
    ))
}

fn repository(text: &str) -> Result<String, Wrong> {
    let hint = "write it as the cluster reaches it, such as \"https://github.com/me/homelab.git\"";
    let no = |why: &str| Err(Wrong::new(format!("{} {why}", quoted(text)), hint));
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_word || text.contains(['"', '\\', '{', '}', '#']) {
        return no("is not the address of a repository");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let user = host.split_once('@').map(|(user, _)| user);
        if user.is_some_and(|user| scheme == "https" || user.contains(':')) {
            let message = "the address of the repository has a password in it";
            let hint = "take it out: `imgbuild secrets set repository` keeps it";
            return Err(Wrong::new(message, hint));
        }
        return match scheme {
            "https" | "ssh" if !host.is_empty() && !path.is_empty() => Ok(text.to_owned()),
            "http" => no("is not encrypted: whoever is in between could change the cluster"),
            _ => no("is not the address of a repository"),
        };
    }
    // As scp writes it; a Windows path has a colon too.
    match text.split_once(':') {
        Some((host, path)) if host.contains('@') && !path.is_empty() => Ok(text.to_owned()),
        _ => no("is not the address of a repository"),
    }
}

/// What git takes for the name of a revision (git-check-ref-format), without its rarer
/// letters.
fn revision(text: &str) -> Result<String, Wrong> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    let is_good = !text.is_empty() && text.bytes().all(is_letter) && !text.contains("..");
    if is_good && !text.starts_with(['-', '/', '.']) && !text.ends_with(['/', '.']) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a branch, tag or commit", quoted(text));
    Err(Wrong::new(message, "write its name, such as \"main\""))
}

fn path(text: &str) -> Result<String, Wrong> {
    if text == "." {
        return Ok(String::new());
    }
    let is_part = |part: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_letter)
    };
    if text.split('/').all(is_part) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a folder in a repository", quoted(text));
    Err(Wrong::new(
        message,
        "write it from the repository's top, such as \"cluster\"",
    ))
}

fn pool(text: &str, lan: Lan) -> Result<Pool, Wrong> {
    let hint = "write first and last address, such as \"192.168.4.230-192.168.4.249\"";
    let pool: Pool = text
        .parse()
        .map_err(|message: String| Wrong::new(message, hint))?;
    if let Some(subnet) = lan.subnet {
        network::host_of(subnet, pool.first)?;
        network::host_of(subnet, pool.last)?;
    }
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories() {
        for good in [
            "https://github.com/me/homelab.git",
            "ssh://git@git.home.arpa:2222/me/homelab.git",
            "git@github.com:me/homelab.git",
        ] {
            assert_eq!(repository(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "homelab",
            "http://git/a",
            "file:///srv/git",
            "C:\\git",
            "https://git",
            "https:///a",
            "https://me:token@git/a",
            "https://token@git/a",
            "ssh://me:pw@git/a",
            "git@host:",
            "a b",
            "https://g/{{x}}",
        ] {
            let wrong = repository(bad).expect_err(bad);
            assert!(!wrong.hint.is_empty());
        }
    }

    #[test]
    fn revisions_and_folders() {
        for good in ["main", "HEAD", "v1.2", "feature/x", "0a1b2c3d"] {
            assert!(revision(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "a..b", "a b", "/a", "a/", ".a", "a~1"] {
            assert!(revision(bad).is_err(), "{bad}");
        }
        assert_eq!(path("."), Ok(String::new()));
        assert_eq!(path("k3s/home").as_deref(), Ok("k3s/home"));
        for bad in ["", "/a", "a/", "..", "a/../b", "a//b", "a b", "./a"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commits_and_signers() {
        let whole = "1fe82c27a20f1a1ecf4fb1a4b8ed2f4c1a3f6d2e";
        assert_eq!(commit(whole).as_deref(), Ok(whole));
        for bad in ["", "main", "1fe82c2", &whole.to_uppercase(), &whole[1..]] {
            assert!(commit(bad).is_err(), "{bad}");
        }
        for (key, good) in [
            (include_str!("../tests/keys/ed25519.pub"), true),
            (include_str!("../tests/keys/ecdsa256.pub"), true),
            (include_str!("../tests/keys/rsa3072.pub"), true),
            (include_str!("../tests/keys/rsa2048.pub"), false),
            (include_str!("../tests/keys/ecdsa384.pub"), false),
            (include_str!("../tests/keys/sk-ed25519.pub"), false),
        ] {
            assert_eq!(signer(key).is_ok(), good, "{key}");
        }
    }

    #[test]
    fn pools() {
        let lan = Lan {
            subnet: "192.168.4.0/24".parse().ok(),
            gateway: None,
        };
        let shown = |text: &str| pool(text, lan).map(|pool| pool.to_string());
        assert_eq!(
            shown("192.168.4.240/29").as_deref(),
            Ok("192.168.4.240-192.168.4.247")
        );
        assert!(shown("192.168.4.9-192.168.4.8").is_err());
        assert!(shown("192.168.4.9-192.168.5.8").is_err());
        assert!(shown("192.168.4.9").is_err());
    }
}
