//! What dpkg says of its work to `--status-fd` (dpkg(1)): where it is, for
//! people, and what went wrong.
//!
//! ```text
//! processing: install: open-iscsi
//! status: open-iscsi: unpacked
//! status: open-iscsi : error : dependency problems - leaving unconfigured
//! ```
//!
//! The lines are among the packages' own talk on stdout.

use crate::stages::Tell;

/// In the errors of a package that needs another one.
pub(super) const DEPENDENCY: &str = "dependency problem";

/// Follows one run of dpkg.
pub(super) struct Progress<'a> {
    tell: Tell<'a>,
    total: Option<usize>,
    unpacked: usize,
    set_up: usize,
    error: Option<String>,
}

impl<'a> Progress<'a> {
    /// Of a run that installs so many packages; none where only dpkg knows.
    pub(super) fn new(tell: Tell<'a>, total: Option<usize>) -> Self {
        Self {
            tell,
            total,
            unpacked: 0,
            set_up: 0,
            error: None,
        }
    }

    /// A line of stdout.
    pub(super) fn hear(&mut self, line: &str) {
        if let Some((package, error)) = line
            .strip_prefix("status: ")
            .and_then(|rest| rest.split_once(" : error : "))
        {
            self.blame(format!("{package}: {error}"));
        }
        let Some((action, package)) = line
            .strip_prefix("processing: ")
            .and_then(|rest| rest.split_once(": "))
        else {
            return;
        };
        let name = package.split(':').next().unwrap_or(package);
        match action {
            "install" | "upgrade" => {
                self.unpacked += 1;
                self.say("unpacking", self.unpacked, name);
            }
            "configure" => {
                self.set_up += 1;
                self.say("setting up", self.set_up, name);
            }
            // What others asked it to do once all is there.
            "trigproc" => (self.tell)(&format!("updating {name}")),
            _ => {}
        }
    }

    /// What went wrong, with its package or file.
    pub(super) fn error(self) -> Option<String> {
        self.error
    }

    /// Keeps the first error, but no consequence where there is a cause: what
    /// needs a package that failed is left out, often before that one fails.
    fn blame(&mut self, error: String) {
        let is_cause = |error: &str| !error.contains(DEPENDENCY);
        match &self.error {
            Some(kept) if is_cause(kept) || !is_cause(&error) => {}
            _ => self.error = Some(error),
        }
    }

    fn say(&self, doing: &str, number: usize, name: &str) {
        (self.tell)(&match self.total {
            Some(total) => format!("{doing} {number}/{total} {name}"),
            None => format!("{doing} {name}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// As dpkg 1.22 writes them.
    #[test]
    fn dpkgs_lines_are_understood() {
        let told = RefCell::new(Vec::new());
        let tell = |words: &str| told.borrow_mut().push(words.to_string());
        let mut progress = Progress::new(&tell, Some(2));
        for line in [
            "Selecting previously unselected package rpcbind.",
            "processing: install: rpcbind",
            "status: rpcbind: half-installed",
            "processing: upgrade: libisns0t64:arm64",
            "processing: configure: rpcbind",
            "status: open-iscsi : error : dependency problems - leaving unconfigured",
            "status: rpcbind : error : its script failed",
            "status: nfs-common : error : another",
            "processing: trigproc: libc-bin",
            "processing: ",
        ] {
            progress.hear(line);
        }
        let error = progress.error().expect("an error");
        assert_eq!(error, "rpcbind: its script failed");
        assert_eq!(
            told.take(),
            [
                "unpacking 1/2 rpcbind",
                "unpacking 2/2 libisns0t64",
                "setting up 1/2 rpcbind",
                "updating libc-bin",
            ]
        );
    }

    #[test]
    fn what_an_earlier_run_left_is_not_counted() {
        let told = RefCell::new(String::new());
        let tell = |words: &str| *told.borrow_mut() = words.into();
        Progress::new(&tell, None).hear("processing: configure: a");
        assert_eq!(told.take(), "setting up a");
    }
}
