//! The network of a guest.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::bail;
use node_config::config::Network;

use super::comma_safe;

/// What a node's network card is plugged into.
#[derive(Debug, Clone, Copy)]
pub enum Lan<'a> {
    /// A network inside QEMU, with nobody else in it.
    Own,
    /// A switch with a port at this Unix socket. Each frame is preceded by its length,
    /// 4 bytes, big endian (QEMU manual, `-netdev stream`).
    Switch(&'a Path),
}

impl Lan<'_> {
    /// The card and what it is plugged into, for a node that was told this. Its ssh is
    /// to be reached at that port of 127.0.0.1.
    pub(super) fn arguments(&self, network: &Network, port: u16) -> anyhow::Result<Vec<String>> {
        let backend = match self {
            Lan::Own => own(network, port)?,
            Lan::Switch(socket) => format!(
                "stream,id=lan,server=off,addr.type=unix,addr.path={}",
                comma_safe(socket)
            ),
        };
        let mac = match &network.mac {
            Some(mac) => mac.clone(),
            None => mac_of(network.address.addr()),
        };
        let card = format!("virtio-net-pci,netdev=lan,mac={mac},romfile=");
        Ok(vec!["-netdev".into(), backend, "-device".into(), card])
    }
}

/// A network inside QEMU with the node's own subnet, its gateway answered by QEMU,
/// and no way out (`restrict`).
fn own(network: &Network, port: u16) -> anyhow::Result<String> {
    let (address, subnet) = (network.address.addr(), network.address.trunc());
    let gateway = network.gateway;
    // QEMU wants an address of its own for DNS; one that nobody has.
    let dns = subnet
        .hosts()
        .find(|host| ![address, gateway].contains(host));
    let Some(dns) = dns else {
        bail!("{subnet} is too small for a virtual network")
    };
    let host = Ipv4Addr::LOCALHOST;
    Ok(format!(
        "user,id=lan,restrict=on,ipv6=off,net={subnet},host={gateway},dns={dns},dhcpstart={address},\
         hostfwd=tcp:{host}:{port}-{address}:22"
    ))
}

/// An Ethernet address in the range QEMU uses, for nodes that match by name: no two
/// of a network have the same.
fn mac_of(address: Ipv4Addr) -> String {
    let [_, b, c, d] = address.octets();
    format!("52:54:00:{b:02x}:{c:02x}:{d:02x}")
}
