//! The time: never before the image was made, and from the network if it has one.
//!
//! A Pi 5 without a battery starts at whatever time it last wrote down, and every
//! certificate is "not yet valid" to it. systemd-timesyncd does the work; a network
//! without time servers does not stop the first boot.

use std::time::Duration;

use node_config::NodeConfig;

use super::{Look, Stage, StageError, Tell, waited};
use crate::system::{Command, System};

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
        if waited::in_vain(sys, WHAT)? {
            return Ok(Look::Done(warning(node)));
        }
        Ok(Look::ToDo("no time server has answered yet".into()))
    }

    fn apply(&self, node: &NodeConfig, sys: &dyn System, _: Tell<'_>) -> Result<(), StageError> {
        if sys.wall_clock() < node.epoch {
            let time = format!("--set=@{}", node.epoch);
            sys.run(&Command::new("date", &["--utc", &time]))?;
        }
        let start = sys.elapsed();
        while !is_synchronized(sys)? {
            if sys.elapsed().saturating_sub(start) >= PATIENCE {
                return Ok(waited::give_up(sys, WHAT)?);
            }
            sys.sleep(PAUSE);
        }
        Ok(())
    }
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

fn warning(node: &NodeConfig) -> String {
    let servers = match &node.network.ntp[..] {
        [] => "of the base's own time servers".to_string(),
        servers => format!("of the time servers {}", servers.join(", ")),
    };
    format!(
        "warning: none {servers} answered within {} s, so the time may be wrong and certificates \
         refused: set network.ntp in the cluster file to one this network has, or let UDP port 123 \
         out",
        PATIENCE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;
    use crate::tests::machine;

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
