//! Whether the baked address is really up. NetworkManager does the work from
//! the profile the builder baked; this stage waits for it, and says precisely
//! what is missing: most first boots that fail, fail at the cable.

mod dns;
mod facts;
mod trouble;

use std::net::Ipv4Addr;
use std::time::Duration;

use node_config::NodeConfig;
use node_config::config::Network as Wanted;
use serde::de::DeserializeOwned;

use self::facts::{Facts, Neighbour};
use self::trouble::Trouble;
use super::{Look, Stage, StageError, Tell, waited};
use crate::system::{Command, System, SystemError};

/// Before the clock, the packages and whatever else needs the network.
///
/// Retried for ever are an address, a route and a gateway: without them nothing
/// works. Without name servers much does, offline installation above all: they are
/// waited for, and then their silence is in the report.
pub(crate) struct Network;

/// A link takes some seconds to come up: until then, nothing has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A router that is switched on with its nodes routes before it resolves.
const DNS_PATIENCE: Duration = Duration::from_secs(10);

const DNS: &str = "dns";

/// An answer on the wire takes about a millisecond. One that takes longer is
/// there at the next look: a neighbour known from before is asked only after 5 s
/// (`delay_first_probe_time` in arp(7)), well within [`PATIENCE`].
const ARP_TIME: Duration = Duration::from_millis(200);

impl Stage for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        Ok(match stand(node, sys)? {
            Stand::Well(found) => Look::Done(found),
            Stand::Nameless(reason) | Stand::Wrong(reason) => Look::ToDo(reason),
        })
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, _: Tell<'_>) -> Result<(), StageError> {
        let start = sys.elapsed();
        loop {
            let stand = stand(node, sys)?;
            let waited = sys.elapsed().saturating_sub(start);
            match stand {
                Stand::Well(_) => return Ok(()),
                Stand::Nameless(_) if waited >= DNS_PATIENCE => {
                    return Ok(waited::give_up(sys, DNS)?);
                }
                Stand::Wrong(reason) if waited >= PATIENCE => {
                    return Err(StageError::Retry(reason));
                }
                Stand::Nameless(_) | Stand::Wrong(_) => sys.sleep(Duration::from_secs(1)),
            }
        }
    }
}

/// How the network stands, and in which words.
enum Stand {
    /// All that is waited for is there.
    Well(String),
    /// But for name servers.
    Nameless(String),
    /// It cannot be used.
    Wrong(String),
}

fn stand(node: &NodeConfig, sys: &dyn System) -> Result<Stand, StageError> {
    let want = &node.network;
    let facts = Facts {
        links: ask_ip(sys, &["addr", "show"])?,
        routes: ask_ip(sys, &["-4", "route", "show", "default"])?,
    };
    let trouble = match facts.check(want) {
        Ok(interface) => match greet_gateway(sys, want.gateway, &interface)? {
            Some(answer) => {
                let (address, gateway) = (want.address, want.gateway);
                let found = format!("{address} on {interface}, gateway {gateway} answers {answer}");
                return name_servers(sys, want, &found);
            }
            None => Trouble::SilentGateway {
                interface,
                gateway: want.gateway,
            },
        },
        Err(trouble @ Trouble::NoAddress { .. }) => duplicate(sys, want).unwrap_or(trouble),
        Err(trouble) => trouble,
    };
    let reason = trouble.for_network_manager();
    let reason = reason.map_or(String::new(), |interface| network_manager(sys, interface));
    Ok(Stand::Wrong(format!("{trouble}{reason}")))
}

/// The end of a network that works otherwise: whether names are found.
fn name_servers(sys: &dyn System, want: &Wanted, found: &str) -> Result<Stand, StageError> {
    let (answering, silent) = dns::ask(sys, &want.dns);
    let list = |servers: &[Ipv4Addr]| {
        let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    let (up, down) = (list(&answering), list(&silent));
    Ok(match (&answering[..], &silent[..]) {
        ([], []) => Stand::Well(format!("{found}; no name server is configured")),
        (_, []) => Stand::Well(format!("{found}, DNS {up} answers")),
        ([], _) if waited::in_vain(sys, DNS)? => Stand::Well(format!(
            "{found}; warning: no answer from DNS {down}, so no name is found and nothing can be \
             fetched: correct network.dns in the cluster file, or let UDP port 53 through"
        )),
        ([], _) => Stand::Nameless(format!("{found}, and no name server answers: {down}")),
        _ => Stand::Well(format!(
            "{found}, DNS {up} answers; warning: {down} does not"
        )),
    })
}

/// Who else has our address, if that is why we do not have it. NetworkManager asks
/// before it takes an address (RFC 5227; the builder sets for how long), and says
/// what it heard in the log alone. Whoever comes later is not noticed.
fn duplicate(sys: &dyn System, want: &Wanted) -> Option<Trouble> {
    let address = want.address.addr();
    let pattern = format!("IPv4 address {address} is used on network");
    let args = [
        "--boot",
        "--quiet",
        "--output=cat",
        "--lines=1",
        "--unit=NetworkManager.service",
    ];
    let mut journalctl = Command::new("journalctl", &args);
    journalctl.args.push(format!("--grep={pattern}"));
    // It fails when it finds nothing, too.
    let answer = sys.run(&journalctl).ok()?;
    let line = answer.lines().find(|line| line.contains(&pattern))?;
    Some(Trouble::Duplicate {
        address,
        by: line.rsplit("from host ").next()?.trim().into(),
    })
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
    fn silent_name_servers_are_waited_for_and_then_told() {
        let fake = machine::healthy();
        machine::silence_dns(&fake);
        assert_eq!(
            look(&fake),
            Look::ToDo(
                "192.168.4.11/24 on eth0, gateway 192.168.4.1 answers ping, and no name server \
                 answers: 192.168.4.1, 9.9.9.9"
                    .into()
            )
        );
        let start = fake.now();
        Network
            .apply(&machine::node(), &fake, &|_| ())
            .expect("goes on without");
        assert!(fake.now() - start < DNS_PATIENCE + Duration::from_secs(6));
        let Look::Done(message) = look(&fake) else {
            panic!("it would wait for ever");
        };
        assert!(
            message.contains("; warning: no answer from DNS 192.168.4.1, 9.9.9.9, so"),
            "{message}"
        );
        machine::restart(&fake);
        assert!(matches!(look(&fake), Look::ToDo(_)), "the next boot hopes");
    }

    #[test]
    fn one_name_server_will_do() {
        let fake = machine::healthy();
        machine::silence_dns(&fake);
        machine::serve_dns(&fake, Ipv4Addr::new(9, 9, 9, 9));
        let Look::Done(message) = look(&fake) else {
            panic!("one answers");
        };
        let end = ", DNS 9.9.9.9 answers; warning: 192.168.4.1 does not";
        assert!(message.ends_with(end), "{message}");
    }

    #[test]
    fn who_else_has_the_address_is_named() {
        let fake = machine::healthy();
        machine::set_link(&fake, &ETH0_UP.replace("192.168.4.11", "fe80::2"));
        // As NetworkManager 1.52 says it.
        fake.install("journalctl", |_, args, _| {
            assert!(args.contains(&"--grep=IPv4 address 192.168.4.11 is used on network".into()));
            Ok("<warn>  [1790000000.1] l3cfg[00aa,ifindex=2]: IPv4 address 192.168.4.11 is used on \
                network connected to interface 2 (eth0) from host DC:A6:32:09:08:07\n"
                .into())
        });
        let Look::ToDo(reason) = look(&fake) else {
            panic!("done");
        };
        assert!(
            reason.starts_with("DC:A6:32:09:08:07 has the address 192.168.4.11 already: "),
            "{reason}"
        );
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
                    "192.168.4.11/24 on eth0, gateway 192.168.4.1 answers {answer}, DNS \
                     192.168.4.1, 9.9.9.9 answers"
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
