//! What `inspect` shows, as text for people. The map and the tables are plain
//! ASCII: they go through pipes and into issues.

use std::fmt::Write as _;

use super::{FileSystem, PartitionSummary, Row, Summary};
use crate::plan::Size;

/// Columns of the partition map.
const WIDTH: u64 = 64;

/// The whole summary.
pub fn summary(name: &str, summary: &Summary) -> String {
    let mut out = format!("{name}: {}, {}\n\n", human(summary.bytes), summary.table);
    out += &map(summary.bytes, &summary.partitions);
    for partition in &summary.partitions {
        let PartitionSummary {
            number,
            offset,
            bytes,
            name,
            partuuid,
            problem,
            filesystem,
        } = partition;
        let _ = write!(
            out,
            "\n{number} {:<8} {:>9} at {:>9}  {partuuid}\n",
            plain(name),
            human(*bytes),
            human(*offset)
        );
        if let Some(problem) = problem {
            let _ = writeln!(out, "  {}", plain(problem));
        }
        match filesystem {
            Some(fs) => file_system(&mut out, fs),
            None => out += "  no file system imgbuild knows\n",
        }
    }
    out.push('\n');
    if let Some(os) = &summary.os {
        let _ = writeln!(out, "system   {}", plain(os));
    }
    if !summary.kernels.is_empty() {
        let _ = writeln!(out, "kernels  {}", plain(&summary.kernels.join(", ")));
    }
    match &summary.manifest {
        Some(manifest) => {
            let node = &manifest.node;
            let text = format!(
                "node     {} ({}) {}, cluster {}\nimage    {}, profile {}, {}\nbase     sha256 {}",
                node.name,
                node.role,
                node.address,
                manifest.cluster.name,
                manifest.image_id,
                manifest.profile,
                manifest.builder,
                manifest.base_sha256,
            );
            for line in text.lines() {
                let _ = writeln!(out, "{}", plain(line));
            }
        }
        None if !summary.problems.is_empty() => {}
        None => out += "node     none: not an image of imgbuild's\n",
    }
    for problem in &summary.problems {
        let _ = writeln!(out, "problem  {}", plain(problem));
    }
    out
}

fn file_system(out: &mut String, fs: &FileSystem) {
    let FileSystem {
        kind,
        state,
        problem,
        label,
        uuid,
        free,
        features,
    } = fs;
    let known = |value: &Option<String>| plain(value.as_deref().unwrap_or("?"));
    let free = free.map_or("?".to_owned(), human);
    let _ = writeln!(
        out,
        "  {kind} \"{}\", {free} free, {}, {state}",
        known(label),
        known(uuid)
    );
    if let Some(problem) = problem {
        let _ = writeln!(out, "  {}", plain(problem));
    }
    if !features.is_empty() {
        let _ = writeln!(out, "  {}", plain(&features.join(" ")));
    }
}

/// Text from an image, for a terminal: what would not show as itself, above all
/// what would move the cursor or turn the writing round, is escaped as in Rust.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\'' | '\\' => out.push(char),
            _ => out.extend(char.escape_debug()),
        }
    }
    out
}

/// A listing, one row a line.
pub fn listing(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let owner = match (row.uid, row.gid) {
            (Some(uid), Some(gid)) => format!("{uid}:{gid}"),
            _ => "-".to_owned(),
        };
        let mode = row.mode.as_deref().unwrap_or("-");
        let _ = write!(
            out,
            "{:<5} {mode:>4} {owner:>9} {:>11} {}",
            row.kind,
            row.bytes,
            plain(&row.name)
        );
        if let Some(target) = &row.target {
            let _ = write!(out, " -> {}", plain(target));
        }
        out.push('\n');
    }
    out
}

/// The partitions drawn to scale; one too small to see still gets a column.
fn map(disk: u64, partitions: &[PartitionSummary]) -> String {
    let column =
        |bytes: u64| (u128::from(bytes) * u128::from(WIDTH) / u128::from(disk.max(1))) as usize;
    let mut cells = vec!['.'; WIDTH as usize];
    for partition in partitions {
        let from = column(partition.offset).min(cells.len() - 1);
        let to =
            column(partition.offset.saturating_add(partition.bytes)).clamp(from + 1, cells.len());
        let mark = char::from_digit(partition.number % 36, 36).unwrap_or('#');
        cells[from..to].fill(mark);
    }
    format!("[{}]\n", cells.into_iter().collect::<String>())
}

/// A size in the largest unit that leaves at least one, with one decimal where
/// it is not whole.
fn human(bytes: u64) -> String {
    let exact = Size(bytes);
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >> shift != 0 {
            if bytes.trailing_zeros() >= shift {
                return exact.to_string();
            }
            return format!("{:.1}{unit}", bytes as f64 / (1_u64 << shift) as f64);
        }
    }
    exact.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: u32, offset: u64, bytes: u64) -> PartitionSummary {
        PartitionSummary {
            number,
            offset,
            bytes,
            name: String::new(),
            partuuid: String::new(),
            problem: None,
            filesystem: None,
        }
    }

    #[test]
    fn the_map_is_to_scale() {
        let gib = 1 << 30;
        let drawn = map(
            4 * gib,
            &[
                partition(1, 8 << 20, 1016 << 20),
                partition(2, gib, 2 * gib),
            ],
        );
        assert_eq!(
            drawn,
            format!("[{}{}{}]\n", "1".repeat(16), "2".repeat(32), ".".repeat(16))
        );
        let tiny = map(4 * gib, &[partition(1, 4 * gib - 512, 512)]);
        assert!(tiny.ends_with("1]\n"), "{tiny}");
    }

    #[test]
    fn sizes_are_exact_where_they_can_be() {
        assert_eq!(human(512 << 20), "512MiB");
        assert_eq!(human((3 << 30) + (1 << 29)), "3.5GiB");
        assert_eq!(human(1_124_073_473), "1.0GiB");
        assert_eq!(human(100), "100B");
    }

    #[test]
    fn nothing_from_an_image_drives_the_terminal() {
        assert_eq!(plain("a b-\u{e4}'\"\\"), "a b-\u{e4}'\"\\");
        assert_eq!(plain("\u{1b}[2J\r\n"), "\\u{1b}[2J\\r\\n");
        assert_eq!(plain("\u{202e}\u{9b}"), "\\u{202e}\\u{9b}");
    }
}
