//! `[network]`, and addresses.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::config::check::Checker;
use crate::config::names;
use crate::config::problem::{Wrong, quoted};
use crate::config::written;
use crate::plan;

/// What K3s gives pods and services unless told otherwise: a node in one of
/// them could not be told from a pod.
const K3S: [(&str, Ipv4Net); 2] = [
    ("pods", Ipv4Net::new_assert(Ipv4Addr::new(10, 42, 0, 0), 16)),
    (
        "services",
        Ipv4Net::new_assert(Ipv4Addr::new(10, 43, 0, 0), 16),
    ),
];

/// Subnet and gateway as far as they are right: what nodes are held against,
/// even if something else about the network is wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lan {
    pub(crate) subnet: Option<Ipv4Net>,
    pub(crate) gateway: Option<Ipv4Addr>,
}

pub(crate) fn lan(network: &written::Network, check: &mut Checker) -> Lan {
    let subnet = check.value(&network.subnet, |text| self::subnet(text));
    let gateway = check.value(&network.gateway, |text| {
        let gateway = address(text)?;
        subnet.map_or(Ok(()), |subnet| host_of(subnet, gateway))?;
        Ok(gateway)
    });
    Lan { subnet, gateway }
}

pub(crate) fn check(
    network: &written::Network,
    lan: Lan,
    check: &mut Checker,
) -> Option<plan::Network> {
    let dns = if network.dns.is_absent() {
        lan.gateway.map(|gateway| vec![gateway])
    } else {
        check.list(&network.dns, |text| server(text))
    };
    if dns.as_ref().is_some_and(Vec::is_empty) {
        let hint = "name a server, or leave `dns` out to ask the gateway";
        check.wrong(&network.dns.span(), Wrong::new("`dns` is empty", hint));
    }
    let search = check.list(&network.search, |name| names::domain(name));
    let ntp = check.list(&network.ntp, |name| time_server(name));
    Some(plan::Network {
        subnet: lan.subnet?,
        gateway: lan.gateway?,
        dns: dns?,
        search: search?,
        ntp: ntp?,
    })
}

/// A plain IPv4 address.
pub(crate) fn address(text: &str) -> Result<Ipv4Addr, Wrong> {
    text.parse().map_err(|_| {
        let hint = match text.split_once('/') {
            Some((address, _)) if address.parse::<Ipv4Addr>().is_ok() => {
                format!("write \"{address}\"; the prefix length is in `subnet`")
            }
            _ if text.contains(':') => "write an IPv4 address; IPv6 configures itself".to_owned(),
            _ => "write four numbers from 0 to 255, such as \"192.168.4.11\"".to_owned(),
        };
        Wrong::new(format!("{} is not an IPv4 address", quoted(text)), hint)
    })
}

/// The address can be a machine's in the subnet.
pub(crate) fn host_of(subnet: Ipv4Net, address: Ipv4Addr) -> Result<(), Wrong> {
    let problem = if !subnet.contains(&address) {
        format!("{address} is outside the subnet {subnet}")
    } else if address == subnet.network() {
        format!("{address} is the subnet's own address")
    } else if address == subnet.broadcast() {
        format!("{address} is the subnet's broadcast address")
    } else {
        return Ok(());
    };
    let first = u32::from(subnet.network()) + 1;
    let last = u32::from(subnet.broadcast()) - 1;
    let hint = format!(
        "write one from {} to {}",
        Ipv4Addr::from(first),
        Ipv4Addr::from(last)
    );
    Err(Wrong::new(problem, hint))
}

fn subnet(text: &str) -> Result<Ipv4Net, Wrong> {
    let Ok(subnet) = text.parse::<Ipv4Net>() else {
        let message = format!("{} is not an IPv4 subnet", quoted(text));
        let hint = "write address and prefix length, such as \"192.168.4.0/24\"";
        return Err(Wrong::new(message, hint));
    };
    if !(8..=30).contains(&subnet.prefix_len()) {
        let message = format!(
            "a /{} has no room for nodes, or far too much",
            subnet.prefix_len()
        );
        return Err(Wrong::new(message, "write a prefix length from /8 to /30"));
    }
    if subnet.trunc() != subnet {
        let message = format!("{subnet} is an address in a subnet, not the subnet");
        return Err(Wrong::new(message, format!("write \"{}\"", subnet.trunc())));
    }
    if !is_unicast(subnet.addr()) {
        let message = format!("{subnet} is not a network for machines");
        return Err(Wrong::new(
            message,
            "write the home network's, such as \"192.168.4.0/24\"",
        ));
    }
    for (whose, taken) in K3S {
        if taken.contains(&subnet) || subnet.contains(&taken) {
            let message = format!("{subnet} overlaps {taken}, which K3s gives to {whose}");
            return Err(Wrong::new(message, "use another subnet for the nodes"));
        }
    }
    Ok(subnet)
}

/// A server that any node can reach: a loopback address would be the node.
fn server(text: &str) -> Result<Ipv4Addr, Wrong> {
    let address = address(text)?;
    if is_unicast(address) {
        return Ok(address);
    }
    let message = format!("{address} is not another machine's address");
    Err(Wrong::new(message, "write the name server's own address"))
}

fn time_server(text: &str) -> Result<String, Wrong> {
    if names::is_domain(text) {
        return Ok(text.to_owned());
    }
    let is_address_like = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_address_like {
        server(text).map(|address| address.to_string())
    } else {
        names::domain(text)
    }
}

fn is_unicast(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    (1..=223).contains(&first) && !address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        for good in ["192.168.4.0/24", "10.0.0.0/16", "172.16.0.0/30"] {
            assert_eq!(subnet(good).map(|net| net.to_string()).as_deref(), Ok(good));
        }
        for (bad, message) in [
            ("192.168.4.0", "\"192.168.4.0\" is not an IPv4 subnet"),
            ("192.168.4.0/33", "\"192.168.4.0/33\" is not an IPv4 subnet"),
            ("fd00::/64", "\"fd00::/64\" is not an IPv4 subnet"),
            (
                "192.168.4.1/24",
                "192.168.4.1/24 is an address in a subnet, not the subnet",
            ),
            (
                "192.168.4.0/31",
                "a /31 has no room for nodes, or far too much",
            ),
            ("0.0.0.0/0", "a /0 has no room for nodes, or far too much"),
            ("224.0.0.0/24", "224.0.0.0/24 is not a network for machines"),
            ("127.0.0.0/8", "127.0.0.0/8 is not a network for machines"),
            (
                "10.0.0.0/8",
                "10.0.0.0/8 overlaps 10.42.0.0/16, which K3s gives to pods",
            ),
            (
                "10.43.7.0/24",
                "10.43.7.0/24 overlaps 10.43.0.0/16, which K3s gives to services",
            ),
        ] {
            assert_eq!(
                subnet(bad).map_err(|wrong| wrong.message),
                Err(message.to_owned())
            );
        }
    }

    #[test]
    fn hosts() {
        let subnet: Ipv4Net = "192.168.4.0/24".parse().expect("a subnet");
        let check = |text: &str| host_of(subnet, address(text)?);
        assert_eq!(check("192.168.4.1"), Ok(()));
        let hint = "write one from 192.168.4.1 to 192.168.4.254";
        for (bad, message) in [
            (
                "192.168.5.1",
                "192.168.5.1 is outside the subnet 192.168.4.0/24",
            ),
            ("192.168.4.0", "192.168.4.0 is the subnet's own address"),
            (
                "192.168.4.255",
                "192.168.4.255 is the subnet's broadcast address",
            ),
        ] {
            assert_eq!(check(bad), Err(Wrong::new(message, hint)));
        }
    }

    #[test]
    fn addresses() {
        for (bad, hint) in [
            (
                "192.168.4.11/24",
                "write \"192.168.4.11\"; the prefix length is in `subnet`",
            ),
            ("fd00::1", "write an IPv4 address; IPv6 configures itself"),
            (
                "192.168.4.256",
                "write four numbers from 0 to 255, such as \"192.168.4.11\"",
            ),
            (
                "192.168.004.1",
                "write four numbers from 0 to 255, such as \"192.168.4.11\"",
            ),
        ] {
            assert_eq!(
                address(bad).map_err(|wrong| wrong.hint),
                Err(hint.to_owned())
            );
        }
    }

    #[test]
    fn servers() {
        assert!(server("1.1.1.1").is_ok());
        assert!(time_server("0.pool.ntp.org").is_ok());
        assert!(time_server("192.168.4.1").is_ok());
        for bad in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"] {
            assert!(server(bad).is_err(), "{bad}");
            assert!(time_server(bad).is_err(), "{bad}");
        }
        assert!(time_server("1.2.3").is_err());
        assert!(time_server("pool ntp").is_err());
    }
}
