//! What `ip -json` says of the machine, compared with what the node is told.
//! Pure: text in, a sentence out.

use std::net::{IpAddr, Ipv4Addr};

use node_config::config::Network;
use serde::Deserialize;

use super::trouble::Trouble;

/// The links and default routes of the machine.
#[derive(Debug)]
pub(super) struct Facts {
    /// `ip -json addr show`.
    pub(super) links: Vec<Link>,
    /// `ip -json -4 route show default`.
    pub(super) routes: Vec<Route>,
}

/// One interface.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    // Some versions of ip leave empty objects where they filtered.
    #[serde(default)]
    ifname: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    addr_info: Vec<Address>,
}

/// One address of an interface.
#[derive(Debug, Deserialize)]
struct Address {
    local: Option<IpAddr>,
    #[serde(default)]
    prefixlen: u8,
}

/// One default route.
#[derive(Debug, Deserialize)]
pub(super) struct Route {
    gateway: Option<IpAddr>,
    #[serde(default)]
    dev: String,
    #[serde(default)]
    metric: u32,
}

/// One row of the ARP table.
#[derive(Debug, Deserialize)]
pub(super) struct Neighbour {
    #[serde(default)]
    state: Vec<String>,
}

impl Neighbour {
    /// It answered just now. `STALE` and `DELAY` only did once.
    pub(super) fn is_confirmed(&self) -> bool {
        let fresh = ["REACHABLE", "PERMANENT", "NOARP"];
        self.state.iter().any(|state| fresh.contains(&&**state))
    }
}

impl Facts {
    /// The interface that is up as wanted, by name; else the first thing wrong,
    /// from the plug upwards.
    ///
    /// # Errors
    /// The trouble.
    pub(super) fn check(&self, want: &Network) -> Result<String, Trouble> {
        let Some(link) = self.links.iter().find(|link| link.is_wanted(want)) else {
            return Err(Trouble::NoInterface {
                wanted: want.mac.as_ref().unwrap_or(&want.interface).clone(),
                there: self.other_interfaces(),
            });
        };
        let interface = link.ifname.clone();
        if !link.has_flag("UP") {
            return Err(Trouble::Off { interface });
        }
        if !link.has_flag("LOWER_UP") {
            return Err(Trouble::NoLink { interface });
        }
        let addresses = link.ipv4();
        let wanted = want.address.to_string();
        if !addresses.contains(&wanted) {
            let found = match addresses[..] {
                [] => "no IPv4 address".to_string(),
                _ => addresses.join(", "),
            };
            return Err(Trouble::NoAddress {
                interface,
                wanted,
                found,
            });
        }
        let used = self.routes.iter().min_by_key(|route| route.metric);
        if !used.is_some_and(|route| route.leads_to(want.gateway, &interface)) {
            return Err(Trouble::NoRoute {
                interface,
                wanted: want.gateway,
                found: used.map_or("is missing".to_string(), Route::describe),
            });
        }
        Ok(interface)
    }

    fn other_interfaces(&self) -> String {
        let wires = self.links.iter().filter(|link| {
            // Neither what ip filtered nor the loopback.
            !["", "lo"].contains(&&*link.ifname)
        });
        let names = wires.map(|link| format!("{} ({})", link.ifname, link.address));
        let names: Vec<String> = names.collect();
        match names[..] {
            [] => "none".into(),
            _ => names.join(", "),
        }
    }
}

impl Link {
    /// By its Ethernet address where one is told: the baked profile then
    /// matches that, whatever the kernel calls the interface.
    fn is_wanted(&self, want: &Network) -> bool {
        match &want.mac {
            Some(mac) => self.address.eq_ignore_ascii_case(mac),
            None => self.ifname == want.interface,
        }
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|set| set == flag)
    }

    /// Its IPv4 addresses with prefix.
    fn ipv4(&self) -> Vec<String> {
        let with_prefix = |address: &Address| match address.local {
            Some(IpAddr::V4(local)) => Some(format!("{local}/{}", address.prefixlen)),
            _ => None,
        };
        self.addr_info.iter().filter_map(with_prefix).collect()
    }
}

impl Route {
    fn leads_to(&self, gateway: Ipv4Addr, interface: &str) -> bool {
        self.gateway == Some(IpAddr::V4(gateway)) && self.dev == interface
    }

    fn describe(&self) -> String {
        match self.gateway {
            Some(gateway) => format!("goes to {gateway} on {}", self.dev),
            None => format!("goes to {} without a gateway", self.dev),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::machine::{self, DEFAULT_ROUTE, ETH0_UP};

    fn facts(links: &str, routes: &str) -> Facts {
        Facts {
            links: serde_json::from_str(links).expect("links"),
            routes: serde_json::from_str(routes).expect("routes"),
        }
    }

    fn check(links: &str, routes: &str) -> Result<String, String> {
        let interface = facts(links, routes).check(&machine::node().network);
        interface.map_err(|trouble| trouble.to_string())
    }

    fn up() -> Result<String, String> {
        Ok("eth0".into())
    }

    #[test]
    fn all_well() {
        assert_eq!(check(ETH0_UP, DEFAULT_ROUTE), up());
    }

    #[test]
    fn an_ethernet_address_counts_in_place_of_the_name() {
        let mut want = machine::node().network;
        want.mac = Some("DC:A6:32:01:02:03".into());
        let rename = |text: &str| text.replace("eth0", "end0");
        let found = facts(&rename(ETH0_UP), &rename(DEFAULT_ROUTE)).check(&want);
        assert_eq!(found, Ok("end0".into()));

        want.mac = Some("dc:a6:32:ff:ff:ff".into());
        let trouble = facts(ETH0_UP, DEFAULT_ROUTE).check(&want);
        let trouble = trouble.expect_err("another board").to_string();
        assert!(
            trouble.starts_with(
                "there is no interface dc:a6:32:ff:ff:ff, this machine has eth0 (dc:a6:32:01:02:03)"
            ),
            "{trouble}"
        );
    }

    #[test]
    fn a_second_address_and_a_worse_route_do_no_harm() {
        let links = ETH0_UP.replace(
            r#"{"family":"inet","#,
            r#"{},{"family":"inet","local":"192.168.4.50","prefixlen":32},{"family":"inet","#,
        );
        let routes = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"wlan0","metric":600},
            {"dst":"default","gateway":"192.168.4.1","dev":"eth0","metric":100}]"#;
        assert_eq!(check(&links, routes), up());
    }

    #[test]
    fn each_trouble_is_said_precisely() {
        let renamed = ETH0_UP.replace("eth0", "end0");
        let off = ETH0_UP.replace(r#""UP","LOWER_UP""#, r#""MULTICAST""#);
        let unplugged = ETH0_UP.replace(r#""LOWER_UP""#, r#""NO-CARRIER""#);
        let dhcp = ETH0_UP.replace("192.168.4.11", "192.168.4.177");
        let prefix = ETH0_UP.replace(r#""prefixlen":24"#, r#""prefixlen":16"#);
        let wifi = r#"[{"gateway":"10.0.0.1","dev":"wlan0"},
            {"gateway":"192.168.4.1","dev":"eth0","metric":100}]"#;
        for (links, routes, expected) in [
            (
                &*renamed,
                DEFAULT_ROUTE,
                "there is no interface eth0, this machine has end0 (dc:a6:32:01:02:03): connect it, \
                 or name the right one in the cluster file and write the image again",
            ),
            (
                "[{}]",
                DEFAULT_ROUTE,
                "there is no interface eth0, this machine has none",
            ),
            (&off, "[]", "eth0 is switched off"),
            (&unplugged, "[]", "no link on eth0: plug in the cable"),
            (
                &dhcp,
                "[]",
                "eth0 has 192.168.4.177/24, 192.168.4.11/24 is expected",
            ),
            (
                &prefix,
                "[]",
                "eth0 has 192.168.4.11/16, 192.168.4.11/24 is expected",
            ),
            (
                ETH0_UP,
                "[]",
                "the default route is missing, it should go to 192.168.4.1 on eth0",
            ),
            (
                ETH0_UP,
                wifi,
                "the default route goes to 10.0.0.1 on wlan0, it should",
            ),
            (
                ETH0_UP,
                r#"[{"dev":"ppp0"}]"#,
                "the default route goes to ppp0 without a gateway",
            ),
        ] {
            let trouble = check(links, routes).expect_err(expected);
            assert!(trouble.starts_with(expected), "{trouble}");
        }
    }

    #[test]
    fn only_a_fresh_neighbour_counts() {
        for (state, expected) in [
            (r#"["REACHABLE"]"#, true),
            (r#"["PERMANENT"]"#, true),
            (r#"["STALE"]"#, false),
            (r#"["DELAY"]"#, false),
            (r#"["FAILED"]"#, false),
            ("[]", false),
        ] {
            let row = format!(r#"{{"dst":"192.168.4.1","lladdr":"a","state":{state}}}"#);
            let neighbour: Neighbour = serde_json::from_str(&row).expect("row");
            assert_eq!(neighbour.is_confirmed(), expected, "{state}");
        }
    }

    /// As iproute2 6.1 prints it.
    #[test]
    fn a_real_answer_is_read() {
        let links = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"operstate":"UNKNOWN","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo","valid_life_time":4294967295}]},{"ifindex":4,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"operstate":"UP","addr_info":[{"family":"inet","local":"192.168.4.11","prefixlen":24,"broadcast":"192.168.4.255","scope":"global","label":"eth0"},{"family":"inet6","local":"fe80::fc:ff:fe00:1","prefixlen":64,"scope":"link"}]}]"#;
        let routes = r#"[{"dst":"default","gateway":"192.168.4.1","dev":"eth0","flags":[]}]"#;
        assert_eq!(check(links, routes), up());
    }
}
