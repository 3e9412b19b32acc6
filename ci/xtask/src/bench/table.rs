//! The result: for people on the terminal, for programs in a file.

use std::fmt;

/// One comparison.
pub(super) struct Row {
    name: String,
    ours: f64,
    peer: f64,
    /// The ratio is to be at most this.
    goal: f64,
    unit: &'static str,
}

impl Row {
    pub(super) fn seconds(name: impl Into<String>, ours: f64, peer: f64, goal: f64) -> Row {
        Row {
            name: name.into(),
            ours,
            peer,
            goal,
            unit: "s",
        }
    }

    /// Memory has no peer in the run: the goal itself stands in its place.
    pub(super) fn mib(name: impl Into<String>, ours: f64, goal: f64) -> Row {
        Row {
            name: name.into(),
            ours,
            peer: goal,
            goal: 1.0,
            unit: "MiB",
        }
    }

    /// How large two files are, in MiB.
    pub(super) fn size(name: impl Into<String>, ours: f64, peer: f64, goal: f64) -> Row {
        Row {
            name: name.into(),
            ours,
            peer,
            goal,
            unit: "MiB",
        }
    }

    fn ratio(&self) -> f64 {
        self.ours / self.peer
    }
}

/// All comparisons of one run.
pub(super) struct Table {
    /// What the run depends on, in one line.
    pub(super) machine: String,
    pub(super) rows: Vec<Row>,
}

impl Table {
    pub(super) fn tsv(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let Row {
                name,
                ours,
                peer,
                goal,
                unit,
            } = row;
            format!(
                "{name} ({unit})\t{ours:.3}\t{peer:.3}\t{:.3}\t{goal:.2}\n",
                row.ratio()
            )
        });
        "name\tours\tpeer\tratio\tgoal\n".to_owned() + &rows.collect::<String>()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|row| row.name.len())
            .max()
            .unwrap_or(0);
        writeln!(f, "{}\n", self.machine)?;
        writeln!(
            f,
            "{:width$}  {:>11} {:>11}  {:>5}  {:>7}",
            "", "ours", "peer", "ratio", "goal"
        )?;
        for row in &self.rows {
            let Row {
                name,
                ours,
                peer,
                goal,
                unit,
            } = row;
            let value = |value: f64| format!("{value:.2} {unit}");
            let verdict = if row.ratio() <= *goal { "" } else { "  missed" };
            writeln!(
                f,
                "{name:width$}  {:>11} {:>11}  {:>5.2}  <= {goal:.2}{verdict}",
                value(*ours),
                value(*peer),
                row.ratio()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Table};

    #[test]
    fn both_forms() {
        let rows = vec![
            Row::seconds("build", 1.2, 1.0, 1.15),
            Row::mib("memory", 64.0, 256.0),
        ];
        let table = Table {
            machine: "2 cores".into(),
            rows,
        };
        assert_eq!(
            table.tsv(),
            "name\tours\tpeer\tratio\tgoal\nbuild (s)\t1.200\t1.000\t1.200\t1.15\nmemory (MiB)\t64.000\t256.000\t0.250\t1.00\n"
        );
        let text = table.to_string();
        assert!(
            text.contains("build        1.20 s      1.00 s   1.20  <= 1.15  missed\n"),
            "{text}"
        );
        assert!(text.ends_with("256.00 MiB   0.25  <= 1.00\n"), "{text}");
    }
}
