//! An address nobody has.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::config::ClusterFile;

/// The address to propose for the next node: the lowest free one above the highest
/// node's, so that nodes stay in a row; where there is none, the lowest free one of
/// the subnet. Free is what no node has, what is not in `taken`, and what neither
/// the network's gateway, name and time servers nor the API has. `None`: the subnet is full.
pub fn next_address(
    file: &ClusterFile,
    taken: impl IntoIterator<Item = Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let network = &file.network;
    let nodes = file.nodes.iter().map(|entry| entry.node.address.addr());
    let highest = nodes.clone().max();
    let mut used: BTreeSet<Ipv4Addr> = nodes.chain(taken).collect();
    used.insert(network.gateway);
    used.extend(file.k3s.as_ref().and_then(|k3s| k3s.vip));
    used.extend(&network.dns);
    let times = network.ntp.iter().filter_map(|server| server.parse().ok());
    used.extend(times.collect::<Vec<Ipv4Addr>>());
    // Network and broadcast address are not among a subnet's hosts.
    let (first, last) = (
        u32::from(network.subnet.network()) + 1,
        u32::from(network.subnet.broadcast()) - 1,
    );
    let above = highest.map_or(first, |address| u32::from(address) + 1);
    (above..=last)
        .chain(first..=last)
        .map(Ipv4Addr::from)
        .find(|address| !used.contains(address))
}
