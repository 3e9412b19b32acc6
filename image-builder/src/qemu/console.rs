//! What a booting node says on its serial console.

use node_config::ConsoleLine;

/// Something worth knowing in a console row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The agent's report.
    Agent(ConsoleLine),
    /// The boot ended badly; the row that says so.
    Dead(String),
    /// The login prompt.
    Login,
}

/// Rows that mean no agent will come: a kernel panic, the initial RAM disk's
/// shell, systemd's emergency mode.
const DEAD: &[&str] = &[
    "Kernel panic - not syncing",
    "ALERT!  ",
    "You are in emergency mode",
    "Press any key to proceed",
];

/// Turns the console's bytes into rows and rows into events.
#[derive(Debug, Default)]
pub struct Rows {
    partial: Vec<u8>,
}

impl Rows {
    /// Takes more bytes; gives the events of the rows they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                events.extend(event(&String::from_utf8_lossy(&self.partial)));
                self.partial.clear();
            }
        }
        // A prompt ends no row.
        if self.partial.ends_with(b" login: ") {
            self.partial.clear();
            events.push(Event::Login);
        }
        events
    }
}

fn event(row: &str) -> Option<Event> {
    if let Ok(line) = row.parse() {
        return Some(Event::Agent(line));
    }
    DEAD.iter()
        .any(|sign| row.contains(sign))
        .then(|| Event::Dead(row.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_any_pieces() {
        let text = b"[ 1.0] x\r\nimgbuild pi-1 all done\r\npi-1 login: ";
        let expected = vec![
            Event::Agent(ConsoleLine::AllDone {
                node: "pi-1".into(),
            }),
            Event::Login,
        ];
        for step in 1..text.len() {
            let mut rows = Rows::default();
            let events: Vec<_> = text
                .chunks(step)
                .flat_map(|chunk| rows.push(chunk))
                .collect();
            assert_eq!(events, expected, "in pieces of {step}");
        }
    }

    #[test]
    fn a_dead_boot_is_seen() {
        let mut rows = Rows::default();
        let events = rows.push(b"[ 3.1] Kernel panic - not syncing: VFS\n");
        assert_eq!(
            events,
            [Event::Dead("[ 3.1] Kernel panic - not syncing: VFS".into())]
        );
    }
}
