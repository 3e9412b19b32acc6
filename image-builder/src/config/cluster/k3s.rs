//! `[k3s]`: which Kubernetes.

use std::net::Ipv4Addr;

use super::network::{self, Lan};
use crate::config::check::Checker;
use crate::config::names;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan::K3s;

/// What K3s can leave out (docs: `k3s server`, `--disable`).
const PARTS: [&str; 6] = [
    "coredns",
    "servicelb",
    "traefik",
    "local-storage",
    "metrics-server",
    "runtimes",
];

pub(crate) fn check(k3s: &written::K3s, lan: Lan, check: &mut Checker) -> Option<K3s> {
    let version = check.value(&k3s.version, |text| version(text));
    let airgap = k3s.airgap.get().copied();
    let tls_san = check.list(&k3s.tls_san, |text| san(text));
    let vip = check.optional(&k3s.vip, |text| vip(text, lan));
    let disable = check.list(&k3s.disable, |text| part(text));
    let schedule = check.value(&k3s.snapshot_schedule, |text| schedule(text));
    let keep = check.value(&k3s.snapshot_keep, |keep| match keep {
        1..=1000 => Ok(*keep),
        _ => Err(Wrong::new(
            format!("{keep} is no number of snapshots to keep"),
            "write a number from 1 to 1000",
        )),
    });
    Some(K3s {
        version: version?,
        airgap: airgap?,
        tls_san: tls_san?,
        vip: vip?,
        disable: disable?,
        registry_mirror: *k3s.registry_mirror.get()?,
        snapshot_schedule: schedule?,
        snapshot_keep: keep?,
        // Known once the nodes are.
        servers: Vec::new(),
    })
}

/// A name or address in a certificate.
fn san(text: &str) -> Result<String, Wrong> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => names::domain(text),
    }
}

fn vip(text: &str, lan: Lan) -> Result<Ipv4Addr, Wrong> {
    let address = network::address(text)?;
    if let Some(subnet) = lan.subnet {
        network::host_of(subnet, address)?;
    }
    if lan.gateway == Some(address) {
        let message = format!("{address} is the gateway's address");
        return Err(Wrong::new(message, "take one that no machine has"));
    }
    Ok(address)
}

fn part(text: &str) -> Result<String, Wrong> {
    if PARTS.contains(&text) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is nothing that K3s can leave out", quoted(text));
    Err(Wrong::new(
        message,
        format!("write one of {}", PARTS.join(", ")),
    ))
}

/// Five fields of cron(5); K3s says the rest.
fn schedule(text: &str) -> Result<String, Wrong> {
    let is_field = |field: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*/,-".contains(&byte);
        field.bytes().all(plain)
    };
    let fields: Vec<&str> = text.split(' ').collect();
    if fields.len() == 5
        && fields
            .iter()
            .all(|field| !field.is_empty() && is_field(field))
    {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a time as cron writes it", quoted(text));
    Err(Wrong::new(
        message,
        "write minute, hour, day, month and weekday, such as \"0 3 * * *\"",
    ))
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
    fn names_parts_and_times() {
        assert_eq!(san("192.168.4.10").as_deref(), Ok("192.168.4.10"));
        assert_eq!(san("k3s.home.arpa").as_deref(), Ok("k3s.home.arpa"));
        assert!(san("a b").is_err() && san("").is_err() && san("-x").is_err());
        assert!(part("traefik").is_ok() && part("Traefik").is_err());
        assert!(schedule("0 */12 * * *").is_ok() && schedule("5 4 * * mon-fri").is_ok());
        for bad in ["", "0 3 * *", "@daily", "0  3 * * *", "0 3 * * *\nx"] {
            assert!(schedule(bad).is_err(), "{bad:?}");
        }
    }

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
