//! Whether the baked address is really up. NetworkManager does the work from
//! the profile the builder baked; this stage waits for it, and says precisely
//! what is missing: most first boots that fail, fail at the cable.

mod facts;
mod trouble;

use std::net::Ipv4Addr;
use std::time::Duration;

use node_config::NodeConfig;
use serde::de::DeserializeOwned;

use self::facts::{Facts, Neighbour};
use self::trouble::Trouble;
use super::{Look, Stage, StageError, Tell};
use crate::system::{Command, System, SystemError};

/// The second stage: everything after it needs the network.
pub(crate) struct Network;

/// A link takes some seconds to come up: until then, nothing has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer on the wire takes about a millisecond. One that takes longer is
/// there at the next look: a neighbour known from before is asked only after 5 s
/// (`delay_first_probe_time` in arp(7)), well within [`PATIENCE`].
const ARP_TIME: Duration = Duration::from_millis(200);

impl Stage for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let want = &node.network;
        let facts = Facts {
            links: ask_ip(sys, &["addr", "show"])?,
            routes: ask_ip(sys, &["-4", "route", "show", "default"])?,
        };
        let trouble = match facts.check(want) {
            Ok(interface) => match greet_gateway(sys, want.gateway, &interface)? {
                Some(answer) => {
                    let (address, gateway) = (want.address, want.gateway);
                    return Ok(Look::Done(format!(
                        "{address} on {interface}, gateway {gateway} answers {answer}"
                    )));
                }
                None => Trouble::SilentGateway {
                    interface,
                    gateway: want.gateway,
                },
            },
            Err(trouble) => trouble,
        };
        let reason = trouble.for_network_manager();
        let reason = reason.map_or(String::new(), |interface| network_manager(sys, interface));
        Ok(Look::ToDo(format!("{trouble}{reason}")))
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, _: Tell<'_>) -> Result<(), StageError> {
        let start = sys.elapsed();
        loop {
            match self.look(node, sys)? {
                Look::Done(_) => return Ok(()),
                Look::ToDo(reason) if sys.elapsed().saturating_sub(start) >= PATIENCE => {
                    return Err(StageError::Retry(reason));
                }
                Look::ToDo(_) => sys.sleep(Duration::from_secs(1)),
            }
        }
    }
}

/// How the gateway answers, if it does.
fn greet_gateway(
    sys: &dyn System,
    gateway: Ipv4Addr,
    interface: &str,
) -> Result<Option<&'static str>, StageError> {
    let name = gateway.to_string();
    let ping = ["-n", "-q", "-c1", "-W2", "-I", interface, &name];
    let by_arp = match sys.run(&Command::new("ping", &ping)) {
        Ok(_) => return Ok(Some("ping")),
        // A lean base may have none, and the other way needs no program.
        Err(SystemError::NotInstalled { .. }) => {
            sys.nudge(gateway);
            sys.sleep(ARP_TIME);
            "ARP (there is no ping to ask with)"
        }
        // Many routers drop pings; none can do without ARP. The ping made us ask.
        Err(_) => "ARP, not ping",
    };
    let show = ["-4", "neigh", "show", "to", &name, "dev", interface];
    let neighbours: Vec<Neighbour> = ask_ip(sys, &show)?;
    let confirmed = neighbours.iter().any(Neighbour::is_confirmed);
    Ok(confirmed.then_some(by_arp))
}

fn ask_ip<T: DeserializeOwned>(sys: &dyn System, args: &[&str]) -> Result<Vec<T>, StageError> {
    let command = Command::new("ip", &[&["-json"], args].concat());
    let answer = sys.run(&command)?;
    // With nothing to show, some versions print nothing.
    if answer.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&answer).map_err(|error| {
        StageError::Retry(format!(
            "`{command}` gave an answer that is not understood: {error}"
        ))
    })
}

/// What NetworkManager says of the interface, as the end of a sentence.
fn network_manager(sys: &dyn System, interface: &str) -> String {
    let fields = "GENERAL.STATE,GENERAL.REASON,GENERAL.CONNECTION";
    let args = ["-t", "-f", fields, "device", "show", interface];
    match sys.run(&Command::new("nmcli", &args)) {
        Ok(answer) => {
            let lines = answer
                .lines()
                .filter_map(|line| line.strip_prefix("GENERAL."));
            let says = lines.collect::<Vec<_>>().join(", ").to_lowercase();
            format!("; NetworkManager says {says}")
        }
        Err(error) => format!("; NetworkManager does not say why: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;
    use crate::tests::machine::{self, ETH0_UP, Gateway};

    fn look(fake: &Fake) -> Look {
        Network.look(&machine::node(), fake).expect("looks")
    }

    #[test]
    fn a_gateway_that_answers() {
        for (gateway, answer) in [
            (Gateway::Pings, "ping"),
            (Gateway::ArpOnly, "ARP, not ping"),
        ] {
            let fake = machine::healthy();
            machine::set_gateway(&fake, gateway);
            assert_eq!(
                look(&fake),
                Look::Done(format!(
                    "192.168.4.11/24 on eth0, gateway 192.168.4.1 answers {answer}"
                ))
            );
        }
    }

    #[test]
    fn a_silent_gateway_is_named() {
        let fake = machine::healthy();
        machine::set_gateway(&fake, Gateway::Silent);
        let Look::ToDo(reason) = look(&fake) else {
            panic!("done");
        };
        assert!(
            reason.contains("192.168.4.1 answers neither ping nor ARP"),
            "{reason}"
        );
    }

    #[test]
    fn a_missing_address_quotes_network_manager() {
        let fake = machine::healthy();
        machine::set_link(&fake, &ETH0_UP.replace("192.168.4.11", "fe80::2"));
        let Look::ToDo(reason) = look(&fake) else {
            panic!("done");
        };
        assert_eq!(
            reason,
            "eth0 has no IPv4 address, 192.168.4.11/24 is expected; NetworkManager says \
             state:30 (disconnected), reason:0 (no reason given), connection:"
        );
    }

    #[test]
    fn it_waits_for_a_link_that_is_coming_up() {
        let fake = machine::healthy();
        machine::link_comes_up_after(&fake, Duration::from_secs(5));
        Network
            .apply(&machine::node(), &fake, &|_| ())
            .expect("in time");
        assert_eq!(fake.now().as_secs(), 5);
    }

    #[test]
    fn its_patience_ends() {
        let fake = machine::healthy();
        machine::set_gateway(&fake, Gateway::Silent);
        let error = Network
            .apply(&machine::node(), &fake, &|_| ())
            .expect_err("silent");
        assert!(matches!(error, StageError::Retry(_)));
        assert_eq!(fake.now(), PATIENCE);
    }

    #[test]
    fn without_ip_it_is_fatal() {
        let fake = machine::healthy();
        fake.uninstall("ip");
        let error = Network.look(&machine::node(), &fake).expect_err("fatal");
        assert!(matches!(error, StageError::Fatal(_)), "{error}");
    }

    #[test]
    fn without_ping_the_gateway_is_nudged() {
        let fake = machine::healthy();
        machine::uninstall_ping(&fake);
        let Look::Done(message) = look(&fake) else {
            panic!("silent");
        };
        assert!(message.contains("answers ARP (there is no"), "{message}");
        assert_eq!(*fake.nudged.borrow(), [Ipv4Addr::new(192, 168, 4, 1)]);

        machine::set_gateway(&fake, Gateway::Silent);
        machine::uninstall_ping(&fake);
        assert!(matches!(look(&fake), Look::ToDo(_)));
    }

    #[test]
    fn noise_from_ip_is_not_a_crash() {
        let fake = machine::healthy();
        fake.install("ip", |_, _, _| Ok("Usage: ip".into()));
        let error = Network.look(&machine::node(), &fake).expect_err("noise");
        assert!(
            error.to_string().starts_with("`ip -json addr show` gave"),
            "{error}"
        );
    }
}
