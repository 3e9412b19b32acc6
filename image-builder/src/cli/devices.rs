//! `imgbuild devices`.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use super::Global;
use super::terminal::{print_json, print_text};
use crate::device::{Ask, Bytes, Contents, Device, Refusal, System};
use crate::inspect::text::plain;

/// Arguments of `imgbuild devices`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show what can never be written to as well: volumes, arrays, optical
    /// drives, memory disks, loop devices without a file.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One disk and all there is to say of it.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    device: Device,
    contents: Contents,
    /// Empty when it can be written to.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    #[serde(flatten)]
    refusal: Refusal,
    /// The same in words.
    text: String,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let system = System::host();
    let mut keep_off = vec![std::env::current_dir().context("finding the working directory")?];
    // Where there is none, there is nothing in it.
    keep_off.extend(global.cache().map(|cache| cache.dir().to_owned()));
    let ask = Ask {
        keep_off: &keep_off,
        ..Ask::default()
    };
    let rows = rows(&system, &ask, args.all).context("looking for disks")?;
    match args.json {
        true => print_json(&rows),
        false => print_text(text(&rows)),
    }
}

fn rows(system: &System, ask: &Ask<'_>, all: bool) -> std::io::Result<Vec<Row>> {
    let shown = system.devices()?.into_iter();
    let shown = shown.filter(|device| all || device.is_disk());
    shown
        .map(|device| {
            let refused = system.refusals(&device, ask)?.into_iter();
            let refused = refused.map(|refusal| Refused {
                text: refusal.to_string(),
                refusal,
            });
            Ok(Row {
                contents: system.contents(&device),
                refused: refused.collect(),
                device,
            })
        })
        .collect()
}

fn text(rows: &[Row]) -> String {
    let (good, refused): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.refused.is_empty());
    let mut out = String::new();
    if good.is_empty() {
        out += "No disk can be written to. Plug one in, or see below what keeps one from it.\n";
    }
    for row in good {
        describe(&mut out, row);
    }
    if !refused.is_empty() {
        out += "\nRefused:\n";
    }
    for row in refused {
        describe(&mut out, row);
        for Refused { text, .. } in &row.refused {
            let _ = writeln!(out, "  no     {}", plain(text));
        }
    }
    out
}

/// A line that says which disk it is, and lines that say more.
fn describe(out: &mut String, row: &Row) {
    let Row {
        device, contents, ..
    } = row;
    let name = match (&device.model, &device.backing) {
        (Some(model), _) => model.clone(),
        (None, Some(file)) => file.display().to_string(),
        (None, None) => device.kind.to_string(),
    };
    let serial = device.serial.as_deref();
    let serial = serial.map_or_else(String::new, |serial| format!(", serial {serial}"));
    let size = match device.size {
        0 => "empty".to_owned(),
        size => Bytes(size).to_string(),
    };
    let line = format!(
        "{}  {size}  {}  {name}{serial}",
        device.path.display(),
        device.transport
    );
    let _ = writeln!(out, "{}", plain(&line));
    if device.size > 0 {
        let _ = writeln!(out, "  holds  {}", plain(&contents.to_string()));
    }
    if let Some(link) = device.by_id.first() {
        let _ = writeln!(out, "  name   {}", plain(&link.display().to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::testing::Tree;

    #[test]
    fn disks_to_write_come_first_and_others_say_why_not() {
        let tree = Tree::workshop();
        let system = tree.system();
        let shown = |all| rows(&system, &Ask::default(), all).expect("rows");
        assert_eq!(text(&shown(false)), include_str!("devices.txt"));
        let names = |rows: Vec<Row>| -> Vec<String> {
            rows.into_iter().map(|row| row.device.name).collect()
        };
        let few = names(shown(false));
        let mut added = names(shown(true));
        added.retain(|name| !few.contains(name));
        assert_eq!(added, ["dm-0", "loop1", "md127", "zram0"]);
    }

    #[test]
    fn the_json_has_the_words_and_the_facts() {
        let tree = Tree::workshop();
        let rows = rows(&tree.system(), &Ask::default(), false).expect("rows");
        let json = serde_json::to_value(&rows).expect("JSON");
        let of = |name: &str| {
            let rows = json.as_array().expect("an array").iter();
            rows.clone().find(|row| row["name"] == name).expect("a row")
        };
        assert_eq!(of("sda")["refused"], serde_json::json!([]));
        assert_eq!(of("sda")["transport"], "USB");
        let links = of("sda")["by_id"].as_array().expect("links").len();
        assert_eq!(links, 2);
        let system = &of("nvme0n1")["refused"][0];
        assert_eq!(system["reason"], "system_disk");
        assert_eq!(system["with"]["what"], "/");
        assert!(
            system["text"]
                .as_str()
                .is_some_and(|text| text.contains("runs from it"))
        );
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let tree = Tree::new();
        tree.disk("sda", "pci0000:00/usb1/1-1", 1 << 30);
        tree.write(
            "sys/class/block/sda/device/model",
            "evil\x1b[2J\u{202e}disk",
        );
        let rows = rows(&tree.system(), &Ask::default(), false).expect("rows");
        let shown = text(&rows);
        assert!(shown.chars().all(|char| char == '\n' || !char.is_control()));
        assert!(shown.contains("evil\\u{1b}[2J\\u{202e}disk"), "{shown}");
    }
}
