//! The time: never before the image was made, and from the network if it has one.
//!
//! A Pi 5 without a battery starts at whatever time it last wrote down, and every
//! certificate is "not yet valid" to it. systemd-timesyncd does the work. In a network
//! without time servers a running server of the cluster is asked, and without that the
//! first boot goes on as well.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use node_config::NodeConfig;

use super::{Look, Stage, StageError, Tell, waited};
use crate::supervisor::{self, PORT};
use crate::system::{Command, System, read_text};

/// After the network, without which there is nothing to wait for and which says
/// so precisely; before everything that looks at a certificate. What is before
/// does not depend on the time.
pub(crate) struct Clock;

/// timesyncd asks within seconds of the network's being up, and asks a second
/// server after ten more.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_secs(2);

/// Made by timesyncd when the clock is right (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// The hardware clock, in seconds since 1970 (kernel documentation,
/// `ABI/testing/sysfs-class-rtc`). The Pi 5's begins at 1970 when it has had no
/// power and no battery: one that is past the image's time has run all along.
const HARDWARE: &str = "/sys/class/rtc/rtc0/since_epoch";

/// The kernel takes its time over at the start; it drifts by seconds a day.
const APART: u64 = 60;

const WHAT: &str = "time";

impl Stage for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn look(&self, node: &NodeConfig, sys: &dyn System) -> Result<Look, StageError> {
        let now = sys.wall_clock();
        if now < node.epoch {
            return Ok(Look::ToDo(format!(
                "the clock is {} days behind the image",
                (node.epoch - now).div_ceil(24 * 3600)
            )));
        }
        if is_synchronized(sys)? {
            return Ok(Look::Done("set by a time server".into()));
        }
        if is_kept(now, node, sys)? {
            return Ok(Look::Done("kept by the hardware clock".into()));
        }
        if waited::in_vain(sys, WHAT)? {
            return Ok(Look::Done(warning(node, &waited::instead(sys, WHAT)?)));
        }
        Ok(Look::ToDo("no time server has answered yet".into()))
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, _: Tell<'_>) -> Result<(), StageError> {
        if sys.wall_clock() < node.epoch {
            set(node.epoch, sys)?;
        }
        let start = sys.elapsed();
        while !is_synchronized(sys)? {
            if sys.elapsed().saturating_sub(start) >= PATIENCE {
                return ask_a_server(node, sys);
            }
            sys.sleep(PAUSE);
        }
        Ok(())
    }
}

fn set(time: u64, sys: &dyn System) -> Result<(), StageError> {
    let time = format!("--set=@{time}");
    sys.run(&Command::new("date", &["--utc", &time]))?;
    Ok(())
}

/// The last resort: the clock of a server that runs already. One that stands before
/// the image's time is as wrong as ours was.
fn ask_a_server(node: &NodeConfig, sys: &dyn System) -> Result<(), StageError> {
    for server in node.k3s.iter().flat_map(|k3s| &k3s.servers) {
        if take_time_of(*server, node, sys)? {
            return Ok(());
        }
    }
    Ok(waited::give_up(sys, WHAT)?)
}

/// The same later, when a server that is up by then shows that this node's clock is
/// wrong. One that is kept right is not touched: then the server's is. Whether it was
/// set.
pub(super) fn correct_by(
    server: Ipv4Addr,
    node: &NodeConfig,
    sys: &dyn System,
) -> Result<bool, StageError> {
    if is_synchronized(sys)? || is_kept(sys.wall_clock(), node, sys)? {
        return Ok(false);
    }
    take_time_of(server, node, sys)
}

fn take_time_of(server: Ipv4Addr, node: &NodeConfig, sys: &dyn System) -> Result<bool, StageError> {
    let Some(k3s) = &node.k3s else {
        return Ok(false);
    };
    let at = SocketAddrV4::new(server, PORT);
    match supervisor::time_of(at, &k3s.ca_hash, sys) {
        Some(time) if time > node.epoch => {
            set(time, sys)?;
            waited::settle_for(sys, WHAT, &server.to_string())?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Whether the time came from a hardware clock that never stood still.
fn is_kept(now: u64, node: &NodeConfig, sys: &dyn System) -> Result<bool, StageError> {
    let hardware: Option<u64> = read_text(sys, HARDWARE)?.trim().parse().ok();
    Ok(hardware.is_some_and(|time| time >= node.epoch && time.abs_diff(now) <= APART))
}

/// timesyncd's own word; where another program keeps the time, the kernel's, which
/// timedatectl reads.
fn is_synchronized(sys: &dyn System) -> Result<bool, StageError> {
    if sys.mode(SYNCHRONIZED)?.is_some() {
        return Ok(true);
    }
    let args = ["show", "--property=NTPSynchronized", "--value"];
    let answer = sys.run(&Command::new("timedatectl", &args));
    // One that fails is not a reason to stop: the time is then not known to be right.
    Ok(answer.is_ok_and(|answer| answer.trim() == "yes"))
}

/// `instead` is the server that was asked.
fn warning(node: &NodeConfig, instead: &str) -> String {
    let servers = match &node.network.ntp[..] {
        [] => "of the base's own time servers".to_string(),
        servers => format!("of the time servers {}", servers.join(", ")),
    };
    let so = match instead {
        "" => "the time may be wrong and certificates refused".to_string(),
        server => format!("the time is that of {server}, and nothing keeps it right"),
    };
    format!(
        "warning: none {servers} answered within {} s, so {so}: set network.ntp in the cluster file \
         to one this network has, or let UDP port 123 out",
        PATIENCE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;
    use crate::tests::{cluster, machine};

    fn look(fake: &Fake) -> Look {
        Clock.look(&machine::node(), fake).expect("looks")
    }

    fn apply(fake: &Fake) {
        let applied = Clock.apply(&machine::node(), fake, &|_| ());
        applied.expect("never fatal, and nothing to retry");
    }

    #[test]
    fn a_clock_that_is_right_is_left_alone() {
        let fake = machine::healthy();
        fake.uninstall("date");
        assert_eq!(look(&fake), Look::Done("set by a time server".into()));
        apply(&fake);
        assert_eq!(fake.now(), Duration::ZERO);
    }

    #[test]
    fn a_clock_in_1970_is_set_to_the_images_time_and_the_wait_ends() {
        let fake = machine::healthy();
        machine::set_time_server(&fake, None);
        fake.set_clock(100);
        let Look::ToDo(reason) = look(&fake) else {
            panic!("done in 1970");
        };
        assert!(
            reason.starts_with("the clock is 20718 days behind"),
            "{reason}"
        );
        apply(&fake);
        assert_eq!(fake.now(), PATIENCE);
        let late = fake.wall_clock() - machine::node().epoch;
        assert_eq!(late, PATIENCE.as_secs());
        let Look::Done(message) = look(&fake) else {
            panic!("it would wait for ever");
        };
        assert!(
            message.starts_with("warning: none of the time servers 192.168.4.1 answered within"),
            "{message}"
        );
        // The next boot hopes again.
        machine::restart(&fake);
        assert!(matches!(look(&fake), Look::ToDo(_)));
    }

    #[test]
    fn without_a_time_server_a_server_of_the_cluster_is_asked() {
        let node = cluster::node(false, &[12, 13]);
        let late = node.epoch + 40 * 24 * 3600;
        for (servers, time, expected) in [
            ("192.168.4.12 ready\n192.168.4.13 ready\n", late, Some(12)),
            // Whether it lets us in is another question.
            ("192.168.4.13 busy\n", late, Some(13)),
            ("192.168.4.12 other\n192.168.4.13 ready\n", late, Some(13)),
            // By this node's clock its certificate is not valid: that is why we ask.
            ("192.168.4.12 clock\n", late, Some(12)),
            ("192.168.4.12 other\n192.168.4.13 strange\n", late, None),
            // In 1970 itself; and one that does not say.
            ("192.168.4.12 ready\n", 1000, None),
            ("192.168.4.12 ready\n", node.epoch, None),
            ("192.168.4.12 ready\n", 0, None),
            ("", late, None),
        ] {
            let fake = machine::healthy();
            cluster::install(&fake);
            machine::set_time_server(&fake, None);
            cluster::servers(&fake, servers);
            cluster::tell_time(&fake, time);
            fake.set_clock(100);
            Clock.apply(&node, &fake, &|_| ()).expect("never fatal");
            let by_itself = node.epoch + PATIENCE.as_secs();
            let taken = expected.map_or(by_itself, |_| time);
            assert_eq!(fake.wall_clock(), taken, "{servers}{time}");
            let Ok(Look::Done(message)) = Clock.look(&node, &fake) else {
                panic!("it would wait for ever");
            };
            let words = match expected {
                Some(last) => format!("so the time is that of 192.168.4.{last}, and"),
                None => "so the time may be wrong".into(),
            };
            assert!(message.contains(&words), "{servers}{time}: {message}");
        }
    }

    #[test]
    fn a_hardware_clock_is_believed_unless_it_stood_still() {
        let fake = machine::healthy();
        machine::set_time_server(&fake, None);
        let now = fake.wall_clock();
        for (hardware, believed) in [
            (now.to_string(), true),
            ((now + 3).to_string(), true),
            // Without a battery; and one that the kernel did not take over.
            ("17".into(), false),
            ((now + 3600).to_string(), false),
            (String::new(), false),
        ] {
            fake.put(HARDWARE, 0o444, format!("{hardware}\n"));
            let look = look(&fake);
            assert_eq!(
                matches!(look, Look::Done(_)),
                believed,
                "{hardware}: {look:?}"
            );
        }
    }

    #[test]
    fn the_wait_ends_with_the_first_answer() {
        let fake = machine::healthy();
        machine::set_time_server(&fake, Some(Duration::from_secs(7)));
        apply(&fake);
        assert_eq!(fake.now().as_secs(), 8);
        assert!(matches!(look(&fake), Look::Done(_)));
    }

    #[test]
    fn another_program_may_keep_the_time_and_none_may_say_so() {
        let fake = machine::healthy();
        machine::set_time_server(&fake, None);
        fake.install("timedatectl", |_, _, _| Ok("yes\n".into()));
        assert!(matches!(look(&fake), Look::Done(_)));
        fake.uninstall("timedatectl");
        apply(&fake);
        assert!(matches!(look(&fake), Look::Done(_)));
    }

    #[test]
    fn a_clock_that_cannot_be_set_is_tried_again() {
        let fake = machine::healthy();
        fake.set_clock(100);
        fake.install("date", |_, _, _| Err("cannot set date".into()));
        let error = Clock.apply(&machine::node(), &fake, &|_| ());
        assert!(matches!(error, Err(StageError::Retry(_))), "{error:?}");
    }
}
