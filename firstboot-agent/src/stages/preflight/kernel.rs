//! The kernel, as far as K3s needs it (`k3s check-config`).

use super::super::StageError;
use super::Finding::{self, Fine, Warning};
use crate::system::{Command, System, SystemError, read_text};

/// Overlay file systems, bridges, the network between nodes, and what kube-proxy
/// writes its rules with.
const MODULES: [&str; 10] = [
    "overlay",
    "br_netfilter",
    "vxlan",
    "nf_conntrack",
    "xt_addrtype",
    "xt_comment",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_multiport",
    "xt_nat",
];

/// Versions that lose rules of kube-proxy (docs: K3s, "Known issues").
const BAD_IPTABLES: [&str; 5] = ["1.8.0", "1.8.1", "1.8.2", "1.8.3", "1.8.4"];

/// `AT_PAGESZ` (getauxval(3)): a key of the vector, before its value.
const PAGE_SIZE: u64 = 6;

/// What there is to say.
///
/// # Errors
/// `Fatal` where K3s cannot start.
pub(super) fn look(sys: &dyn System) -> Result<Vec<Finding>, StageError> {
    let controllers = read_text(sys, "/sys/fs/cgroup/cgroup.controllers")?;
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return Err(StageError::Fatal(
            "the kernel's memory cgroup is off, and K3s does not start without it: set \
             `cgroup_memory = true` in the profile's [firmware] and write this disk again"
                .into(),
        ));
    }
    let mut findings = vec![Fine("memory cgroup on".into())];
    findings.extend(page_size(&sys.read("/proc/self/auxv")?.unwrap_or_default()));
    findings.extend(modules(sys));
    findings.extend(iptables(sys));
    Ok(findings)
}

/// From the vector that the kernel gives every program, of pairs of words.
fn page_size(auxv: &[u8]) -> Option<Finding> {
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).unwrap_or(0);
    let mut pairs = auxv.chunks_exact(16).map(|pair| pair.split_at(8));
    let (_, size) = pairs.find(|(key, _)| word(key) == PAGE_SIZE)?;
    Some(match word(size) >> 10 {
        4 => Fine("pages of 4 KiB".into()),
        kib => Warning(format!(
            "memory pages of {kib} KiB, with which some container images abort (those that bring \
             jemalloc): set `page_size = \"4k\"` in the profile's [firmware] if one does"
        )),
    })
}

/// Which there are not; nothing to say where all are, or nobody can tell.
fn modules(sys: &dyn System) -> Option<Finding> {
    let args = [&["--dry-run", "--all"][..], &MODULES[..]].concat();
    let Err(SystemError::Program { problem, .. }) = sys.run(&Command::new("modprobe", &args))
    else {
        return None;
    };
    let missing: Vec<&str> = MODULES
        .into_iter()
        .filter(|name| problem.contains(&format!("Module {name} not found")))
        .collect();
    (!missing.is_empty()).then(|| {
        Warning(format!(
            "the kernel has no {}, which K3s needs: use a base with Raspberry Pi's or Debian's own \
             kernel",
            missing.join(", ")
        ))
    })
}

/// K3s brings its own; another one on the node writes rules beside it.
fn iptables(sys: &dyn System) -> Option<Finding> {
    let said = sys.run(&Command::new("iptables", &["--version"])).ok()?;
    // `iptables v1.8.11 (nf_tables)`.
    let version = said.split_whitespace().nth(1)?.trim_start_matches('v');
    Some(match BAD_IPTABLES.contains(&version) {
        false => Fine(format!("iptables {version}")),
        true => Warning(format!(
            "iptables {version} loses rules of Kubernetes: take a newer base"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_size_is_found_in_the_vector() {
        let vector = |pairs: &[(u64, u64)]| -> Vec<u8> {
            let words = pairs.iter().flat_map(|(key, value)| [*key, *value]);
            words.flat_map(u64::to_ne_bytes).collect()
        };
        let of = |pairs: &[(u64, u64)]| page_size(&vector(pairs));
        let fine = Some(Fine("pages of 4 KiB".into()));
        assert_eq!(of(&[(16, 0xff), (6, 4096), (17, 100)]), fine);
        let large = of(&[(6, 16384)]);
        assert!(matches!(large, Some(Warning(words)) if words.contains("16 KiB")));
        assert_eq!(of(&[(16, 6)]), None);
        assert_eq!(page_size(b"torn"), None);
        // This machine's own, as the host shows it.
        let own = std::fs::read("/proc/self/auxv").expect("Linux");
        assert!(page_size(&own).is_some());
    }
}
