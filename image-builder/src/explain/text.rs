//! An explanation for people.

use std::fmt;

use super::{Explanation, Part, Stage};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The image of {}\n", self.node)?;
        for Part { topic, lines } in &self.image {
            for (index, line) in lines.iter().enumerate() {
                let topic = if index == 0 { topic } else { "" };
                writeln!(f, "  {topic:10}{line}")?;
            }
        }
        writeln!(f, "\nIts first boot; login and ssh never wait for it\n")?;
        for (index, Stage { name, does }) in self.first_boot.iter().enumerate() {
            writeln!(f, "  {:>2}. {name:10}{does}", index + 1)?;
        }
        let report = "report.json on the FAT partition, and the console";
        writeln!(f, "\nHow it went is in {report}.")
    }
}
