//! Names and addresses: hosts(5), dnsmasq(8), a zone file.

use std::fmt::Write as _;

use super::peers;
use crate::config::{ClusterFile, NodeEntry};

const HEAD: &str = "Written by `imgbuild export";

/// Lines for hosts(5). The first search domain is the nodes'.
pub fn hosts(file: &ClusterFile) -> String {
    let mut text = format!("# {HEAD} hosts`: {}.\n", file.cluster.name);
    for peer in peers(file) {
        let names = names(file, &peer.name).join(" ");
        let _ = writeln!(text, "{:15} {names}", peer.address);
    }
    text
}

/// Options for dnsmasq(8): a name for each node, and for those with a MAC address
/// the lease that keeps others from their address, also before they have an image.
pub fn dnsmasq(file: &ClusterFile) -> String {
    let mut text = format!("# {HEAD} dnsmasq`: {}.\n", file.cluster.name);
    for NodeEntry { node, .. } in &file.nodes {
        let (name, address) = (&node.name, node.address.addr());
        if let Some(mac) = node.mac {
            let _ = writeln!(text, "dhcp-host={mac},{address},{name}");
        }
        let names = names(file, name).join(",");
        let _ = writeln!(text, "host-record={names},{address}");
    }
    text
}

/// Records for a zone file (RFC 1035, section 5), to be included in one.
///
/// Without an SOA: its serial must rise with every change of the zone (RFC 1035,
/// section 3.3.13), of which these records are a part. It cannot come from a
/// clock, or the same cluster would give another text every time, and what comes
/// from the content does not rise. Whoever owns the zone counts. Without a TTL for
/// the same reason: `$TTL` is the zone's.
pub fn zone(file: &ClusterFile) -> String {
    let mut text = format!(
        "; {HEAD} zone`: {name}.\n; Records only: `$INCLUDE` this file in the zone of the nodes' \
         domain, and raise\n; the serial of that zone when this file changes.\n",
        name = file.cluster.name
    );
    for peer in peers(file) {
        // Relative: below whatever origin it is included at.
        let _ = writeln!(text, "{:15} IN A {}", peer.name, peer.address);
    }
    text
}

/// A node's names, the full one first, as hosts(5) and dnsmasq want it.
fn names(file: &ClusterFile, node: &str) -> Vec<String> {
    let domain = file.network.search.first();
    let full = domain.map(|domain| format!("{node}.{domain}"));
    full.into_iter().chain([node.to_owned()]).collect()
}
