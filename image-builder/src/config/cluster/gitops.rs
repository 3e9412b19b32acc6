//! `[gitops]`: where the tree is, and the addresses for its services.

use std::net::Ipv4Addr;

use super::network::{self, Lan};
use crate::config::check::Checker;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan::{GitOps, Network, Node, Pool};

pub(crate) fn check(gitops: &written::GitOps, lan: Lan, check: &mut Checker) -> Option<GitOps> {
    let repository = check.value(&gitops.repository, |text| repository(text));
    let revision = check.value(&gitops.revision, |text| revision(text));
    let path = check.value(&gitops.path, |text| path(text));
    let pool = check.optional(&gitops.pool, |text| pool(text, lan));
    Some(GitOps {
        repository: repository?,
        revision: revision?,
        path: path?,
        pool: pool?,
    })
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
            let hint = "take it out: cluster/bootstrap/repository.yaml.example shows where it goes";
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
