//! Addresses of LoadBalancer Services: each is in MetalLB's pool, and has one owner.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::walk;
use crate::config::problem::{Wrong, quoted};
use crate::gitops::complaints::Complaints;
use crate::gitops::object::Object;
use crate::gitops::yaml::{self, Node};
use crate::plan::Pool;

/// Where an address is asked for (MetalLB's documentation, "Requesting specific IPs").
const ASKED: [&str; 3] = [
    "metallb.io/loadBalancerIPs",
    "metallb.universe.tf/loadBalancerIPs",
    "loadBalancerIP",
];

/// The pools of the objects, and what is wrong with them.
pub(in crate::gitops) fn pools(objects: &[Object], complaints: &mut Complaints) -> Vec<Pool> {
    let mut pools = Vec::new();
    for object in objects
        .iter()
        .filter(|object| object.kind() == "IPAddressPool")
    {
        let addresses = object.node.at_path(&["spec", "addresses"]);
        for item in addresses.map_or(&[][..], Node::items) {
            match item.text().unwrap_or_default().parse::<Pool>() {
                Ok(pool) => pools.push(pool),
                Err(message) => {
                    let hint = "write first and last address, such as 192.168.4.230-192.168.4.249";
                    complaints.add(&object.file, item.at, Wrong::new(message, hint));
                }
            }
        }
    }
    pools
}

/// An address that somebody asks for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gitops) struct Asked {
    address: Ipv4Addr,
    file: String,
    at: (usize, usize),
}

/// The addresses that a document asks for: objects, values of charts, and values that
/// stand as text in an object.
pub(in crate::gitops) fn asked(
    file: &str,
    document: &Node,
    complaints: &mut Complaints,
) -> Vec<Asked> {
    let mut found = Vec::new();
    walk(
        document,
        &mut Vec::new(),
        document.at,
        &mut |path, at, node| {
            let Some(text) = node.text() else {
                return;
            };
            let key = path.last().copied().unwrap_or_default();
            if key == "valuesContent"
                && let Ok(inner) = yaml::document(text)
            {
                let inner = asked(file, &inner, complaints);
                // Lines of a text in a document are the document's from its key on.
                found.extend(inner.into_iter().map(|asked| Asked { at, ..asked }));
            }
            if !ASKED.contains(&key) || text.is_empty() {
                return;
            }
            for word in text.split(',').map(str::trim) {
                match word.parse() {
                    Ok(address) => found.push(Asked {
                        address,
                        file: file.to_owned(),
                        at,
                    }),
                    Err(_) => {
                        let message = format!("{} is not an IPv4 address", quoted(word));
                        let hint = "write one of the pool in kube-apps/manifests";
                        complaints.add(file, at, Wrong::new(message, hint));
                    }
                }
            }
        },
    );
    found
}

/// Whether every address is in a pool, and those of what runs are asked for once.
pub(in crate::gitops) fn check(
    asked: &[Asked],
    pools: &[Pool],
    runs: impl Fn(&str) -> bool,
    complaints: &mut Complaints,
) {
    let mut taken: BTreeMap<Ipv4Addr, &Asked> = BTreeMap::new();
    for one in asked {
        let Asked { address, file, at } = one;
        if !pools.iter().any(|pool| pool.contains(*address)) {
            let listed: Vec<String> = pools.iter().map(Pool::to_string).collect();
            let message =
                format!("{address} is in no pool of MetalLB: the Service would never get it");
            let hint = match listed.as_slice() {
                [] => "add an IPAddressPool".to_owned(),
                pools => format!("write one of {}", pools.join(", ")),
            };
            complaints.add(file, *at, Wrong::new(message, hint));
        }
        if !runs(file) {
            continue;
        }
        if let Some(other) = taken.insert(*address, one) {
            let message = format!("{address} is asked for in {} too", other.file);
            complaints.add(file, *at, Wrong::new(message, "give each its own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let mut complaints = Complaints::default();
        let pool: Pool = "192.168.4.230-192.168.4.249".parse().expect("a pool");
        let asked = asked("f", &yaml::document(text).expect("YAML"), &mut complaints);
        check(&asked, &[pool], |_| true, &mut complaints);
        let problems = complaints.into_problems(&crate::gitops::Tree::default());
        problems.map(|all| all.to_string()).unwrap_or_default()
    }

    #[test]
    fn addresses_are_of_the_pool_and_have_one_owner() {
        assert_eq!(
            said(
                "spec: {loadBalancerIP: ''}\na: {metallb.io/loadBalancerIPs: '192.168.4.230, 192.168.4.231'}"
            ),
            ""
        );
        let message = "f:1:8: 192.168.4.12 is in no pool of MetalLB: the Service would never get it; \
                       write one of 192.168.4.230-192.168.4.249";
        assert_eq!(said("spec: {loadBalancerIP: 192.168.4.12}"), message);
        let inner = "spec:\n  valuesContent: |\n    service:\n      annotations:\n        metallb.io/loadBalancerIPs: 10.0.0.1\n";
        assert!(
            said(inner).starts_with("f:2:3: 10.0.0.1 is in no pool"),
            "{}",
            said(inner)
        );
        assert!(said("loadBalancerIP: home").contains("\"home\" is not an IPv4 address"));
        let twice = "a: {loadBalancerIP: 192.168.4.230}\nb: {loadBalancerIP: 192.168.4.230}";
        assert!(said(twice).contains("is asked for in f too"));
    }
}
