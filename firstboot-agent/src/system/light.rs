//! The board's activity light as a sign for whoever has neither screen nor network
//! (kernel documentation, "leds/leds-class" and "leds/ledtrig-*").

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// As the Pi's device tree names it.
const LIGHT: &str = "/sys/class/leds/ACT";

/// What the light can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A heartbeat: at work.
    Working,
    /// Slowly on and off: waits for something, or tries again.
    Waiting,
    /// A short flash every three seconds: has no node, and waits for one.
    Empty,
    /// Quickly: stopped.
    Stopped,
    /// As it was before: done.
    Before,
}

/// The light, and what it showed before it was ours.
#[derive(Debug, Default)]
pub(super) struct Light {
    before: OnceLock<String>,
}

impl Light {
    /// Shows it.
    ///
    /// # Errors
    /// Where there is no such light, or a kernel that cannot do that with it.
    pub(super) fn show(&self, root: &Path, sign: Sign) -> io::Result<()> {
        let light = root.join(LIGHT.trim_start_matches('/'));
        let put = |what: &str, value: &str| fs::write(light.join(what), value);
        let before = self.before(&light)?;
        let (trigger, milliseconds) = match sign {
            Sign::Working => ("heartbeat", None),
            Sign::Waiting => ("timer", Some(["1000", "1000"])),
            Sign::Empty => ("timer", Some(["100", "2900"])),
            Sign::Stopped => ("timer", Some(["100", "100"])),
            Sign::Before => (before, None),
        };
        put("trigger", trigger)?;
        if let Some([on, off]) = milliseconds {
            put("delay_on", on)?;
            put("delay_off", off)?;
        }
        Ok(())
    }

    fn before(&self, light: &Path) -> io::Result<&str> {
        if let Some(before) = self.before.get() {
            return Ok(before);
        }
        let triggers = fs::read_to_string(light.join("trigger"))?;
        Ok(self.before.get_or_init(|| chosen(&triggers).to_owned()))
    }
}

/// Of all triggers the one in brackets; if there is none, or one of ours that a cut
/// of the agent left, what shows that the board has power.
fn chosen(triggers: &str) -> &str {
    let chosen = triggers
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match chosen {
        None | Some("heartbeat" | "timer") => "default-on",
        Some(trigger) => trigger,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_has_its_pattern_and_the_last_is_the_first() {
        let root = tempfile::tempdir().expect("directory");
        let file = |name: &str| root.path().join("sys/class/leds/ACT").join(name);
        fs::create_dir_all(file("")).expect("directory");
        fs::write(file("trigger"), "none timer heartbeat [mmc0] default-on\n").expect("triggers");
        let light = Light::default();
        let shown = |sign| {
            light.show(root.path(), sign).expect("shows");
            let text = |name| fs::read_to_string(file(name)).unwrap_or_default();
            [text("trigger"), text("delay_on"), text("delay_off")].join(" ")
        };
        assert_eq!(shown(Sign::Working).trim_end(), "heartbeat");
        assert_eq!(shown(Sign::Waiting), "timer 1000 1000");
        assert_eq!(shown(Sign::Empty), "timer 100 2900");
        assert_eq!(shown(Sign::Stopped), "timer 100 100");
        assert!(shown(Sign::Before).starts_with("mmc0"));
    }

    #[test]
    fn a_pattern_that_an_earlier_run_left_is_not_taken_for_the_first() {
        for (triggers, expected) in [
            ("none [mmc0]\n", "mmc0"),
            ("none [heartbeat] mmc0\n", "default-on"),
            ("none mmc0\n", "default-on"),
            ("", "default-on"),
        ] {
            assert_eq!(chosen(triggers), expected, "{triggers}");
        }
    }

    #[test]
    fn a_machine_without_such_a_light_does_without() {
        let root = tempfile::tempdir().expect("directory");
        let shown = Light::default().show(root.path(), Sign::Working);
        assert!(shown.is_err());
    }
}
