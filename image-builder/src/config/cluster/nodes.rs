//! `[[nodes]]`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::labels;
use super::network::{self, Lan};
use crate::config::check::{Checker, all};
use crate::config::field::{Field, Span};
use crate::config::problem::{Wrong, quoted};
use crate::config::{names, written};
use crate::plan::{self, MacAddress, Role};

/// A node, and the profile it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// The node.
    pub node: plan::Node,
    /// The name of its profile.
    pub profile: String,
}

/// What no two nodes may share, and where it was first.
#[derive(Default)]
struct Seen {
    names: BTreeMap<String, Span>,
    addresses: BTreeMap<Ipv4Addr, Span>,
    macs: BTreeMap<MacAddress, Span>,
}

/// Checks every node, and whether they fit what is known of the network.
pub(crate) fn check(
    nodes: &Field<Vec<Field<written::Node>>>,
    lan: Lan,
    check: &mut Checker,
) -> Option<Vec<NodeEntry>> {
    nodes.get()?;
    let mut seen = Seen::default();
    let entries = all(nodes.items().iter().map(|item| {
        item.get()
            .and_then(|item| node(item, lan, &mut seen, check))
    }));
    servers(nodes, check);
    entries
}

fn node(node: &written::Node, lan: Lan, seen: &mut Seen, check: &mut Checker) -> Option<NodeEntry> {
    let name = check.value(&node.name, |name| host_name(name));
    let address = check.value(&node.address, |address| self::address(address, lan));
    let mac = check.optional(&node.mac, |mac| mac_address(mac));
    let profile = check.value(&node.profile, |name| profile_name(name));
    let labels = labels::check(&node.labels, check);
    let taints = check.list(&node.taints, |taint| labels::taint(taint));

    unique(&node.name, "the name", name.clone(), &mut seen.names, check);
    unique(
        &node.address,
        "the address",
        address,
        &mut seen.addresses,
        check,
    );
    unique(
        &node.mac,
        "the MAC address",
        mac.flatten(),
        &mut seen.macs,
        check,
    );

    let prefix_len = lan.subnet?.prefix_len();
    let node = plan::Node {
        name: name?,
        address: Ipv4Net::new(address?, prefix_len).ok()?,
        role: match node.role.get()? {
            written::Role::Server => Role::Server,
            written::Role::Agent => Role::Agent,
        },
        mac: mac?,
        labels: labels?,
        taints: taints?,
    };
    Some(NodeEntry {
        node,
        profile: profile?,
    })
}

/// Reports a value that another node has already.
fn unique<T: Ord + ToString>(
    field: &Field<String>,
    what: &str,
    value: Option<T>,
    seen: &mut BTreeMap<T, Span>,
    check: &mut Checker,
) {
    let Some(value) = value else { return };
    let shown = value.to_string();
    if let Some(first) = check.seen_before(seen, value, &field.span()) {
        let message = format!("{what} {shown} is taken already, at {first}");
        check.wrong(&field.span(), Wrong::new(message, "give each node its own"));
    }
}

/// A cluster needs a server; an even number of them is worse than one less.
fn servers(nodes: &Field<Vec<Field<written::Node>>>, check: &mut Checker) {
    let roles: Option<Vec<_>> = nodes
        .items()
        .iter()
        .map(|node| node.get()?.role.get().copied())
        .collect();
    let Some(roles) = roles else { return };
    let servers = roles
        .iter()
        .filter(|role| matches!(role, written::Role::Server))
        .count();
    if servers == 0 {
        let hint = "write role = \"server\" for one of the nodes, or for three";
        check.misplaced(&nodes.span(), Wrong::new("no node is a server", hint));
    } else if servers.is_multiple_of(2) {
        let message = format!(
            "with {servers} servers no more may fail than with {}: etcd needs a majority",
            servers - 1
        );
        check.warn(&nodes.span(), Wrong::new(message, "have 1, 3 or 5 servers"));
    }
}

fn host_name(text: &str) -> Result<String, Wrong> {
    let name = names::label(text, "host name")?;
    if name == "localhost" {
        return Err(Wrong::new(
            "`localhost` is every machine's",
            "write a name of its own",
        ));
    }
    Ok(name)
}

fn address(text: &str, lan: Lan) -> Result<Ipv4Addr, Wrong> {
    let address = network::address(text)?;
    if let Some(subnet) = lan.subnet {
        network::host_of(subnet, address)?;
    }
    if lan.gateway == Some(address) {
        let message = format!("{address} is the gateway's address");
        return Err(Wrong::new(message, "give the node one of its own"));
    }
    Ok(address)
}

/// Six hex pairs, joined by colons or hyphens.
fn mac_address(text: &str) -> Result<MacAddress, Wrong> {
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|pair| {
            u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| pair.len() == 2 && !pair.starts_with('+'))
        })
        .collect();
    let Some(bytes) = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok()) else {
        let message = format!("{} is not a MAC address", quoted(text));
        return Err(Wrong::new(
            message,
            "write six hex pairs, such as \"dc:a6:32:01:02:03\"",
        ));
    };
    let hint = "write the address that `ip link` shows for the node's wired interface";
    match MacAddress(bytes) {
        MacAddress([0, 0, 0, 0, 0, 0]) => Err(Wrong::new("this MAC address is all zeros", hint)),
        mac if mac.0[0] & 1 == 1 => Err(Wrong::new(
            format!("{mac} is a group of machines, not one (multicast)"),
            hint,
        )),
        mac => Ok(mac),
    }
}

/// The stem of a file in the profiles' directory, and never a way out of it.
pub(crate) fn profile_name(text: &str) -> Result<String, Wrong> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_name && !text.ends_with(".toml") {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the name of a profile", quoted(text));
    Err(Wrong::new(
        message,
        "write its file's name without directory and .toml, such as \"pi5-ssd\"",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs() {
        for (good, shown) in [
            ("dc:a6:32:01:02:03", "dc:a6:32:01:02:03"),
            ("DC-A6-32-01-02-0F", "dc:a6:32:01:02:0f"),
            ("52:54:00:00:00:01", "52:54:00:00:00:01"),
        ] {
            assert_eq!(
                mac_address(good).map(|mac| mac.to_string()).as_deref(),
                Ok(shown)
            );
        }
        for bad in [
            "",
            "dc:a6:32:01:02",
            "dc:a6:32:01:02:03:04",
            "dc:a6:32:01:02:0g",
            "dca6:32:01:02:03",
            "+c:a6:32:01:02:03",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
        ] {
            assert!(mac_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn profile_names_stay_in_their_directory() {
        assert!(profile_name("pi5-ssd").is_ok());
        for bad in ["", "..", "../x", "a/b", "pi5-ssd.toml", "-x", "a b", "\0"] {
            assert!(profile_name(bad).is_err(), "{bad:?}");
        }
    }
}
