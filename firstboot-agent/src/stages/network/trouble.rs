//! The sentences of the network stage: what is wrong, and what to do.

use std::net::Ipv4Addr;

/// What is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// No such interface.
    #[error(
        "there is no interface {wanted}, this machine has {there}: connect it, or name the right \
         one in the cluster file and write the image again"
    )]
    NoInterface {
        /// The configured one, by name or Ethernet address.
        wanted: String,
        /// The others.
        there: String,
    },
    /// Nobody switched it on.
    #[error("{interface} is switched off")]
    Off {
        /// Which.
        interface: String,
    },
    /// On, and nothing at the other end.
    #[error("no link on {interface}: plug in the cable, or try another cable or switch port")]
    NoLink {
        /// Which.
        interface: String,
    },
    /// Other addresses, or none.
    #[error("{interface} has {found}, {wanted} is expected")]
    NoAddress {
        /// Which.
        interface: String,
        /// Address and prefix.
        wanted: String,
        /// What is there instead.
        found: String,
    },
    /// Somebody else was first.
    #[error(
        "{by} has the address {address} already: switch that machine off, or give this node another \
         address in the cluster file and write the image again; it is tried again every 5 minutes"
    )]
    Duplicate {
        /// Ours.
        address: Ipv4Addr,
        /// Ethernet address of the other machine.
        by: String,
    },
    /// Packets for elsewhere go another way, or nowhere.
    #[error("the default route {found}, it should go to {wanted} on {interface}")]
    NoRoute {
        /// Which.
        interface: String,
        /// The gateway.
        wanted: Ipv4Addr,
        /// Where it goes.
        found: String,
    },
    /// Everything is in place here.
    #[error(
        "gateway {gateway} answers neither ping nor ARP on {interface}: is it switched on, is this \
         port in its network, is that its address?"
    )]
    SilentGateway {
        /// Which.
        interface: String,
        /// The gateway.
        gateway: Ipv4Addr,
    },
}

impl Trouble {
    /// The interface NetworkManager should be asked about, where it is its work
    /// to put this right.
    pub(super) fn for_network_manager(&self) -> Option<&str> {
        match self {
            Trouble::Off { interface }
            | Trouble::NoAddress { interface, .. }
            | Trouble::NoRoute { interface, .. } => Some(interface),
            Trouble::NoInterface { .. }
            | Trouble::NoLink { .. }
            | Trouble::Duplicate { .. }
            | Trouble::SilentGateway { .. } => None,
        }
    }
}
