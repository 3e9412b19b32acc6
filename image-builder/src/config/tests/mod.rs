//! Whole files, good and bad, in memory.

mod cluster;
mod loading;
mod neighbours;
mod profile;
mod reference;
mod robust;
mod schema;
mod ssh;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Problems, Workspace, load_from};

const CLUSTER: &str = r#"version = 1

[cluster]
name = "home"
id = "5e0c0d6e-90a1-4a0b-8b0f-7d3a1c4f2b96"

[network]
subnet = "192.168.4.0/24"
gateway = "192.168.4.1"
search = ["home.arpa"]

[[users]]
name = "admin"
ssh_key_files = ["keys/admin.pub"]

[[nodes]]
name = "pi-1"
address = "192.168.4.11"
role = "server"
profile = "pi5"
mac = "dc:a6:32:01:02:03"

[[nodes]]
name = "pi-2"
address = "192.168.4.12"
role = "agent"
profile = "pi5"
labels = { disk = "nvme" }
"#;

const PROFILE: &str = r#"version = 1

[base]
file = "base.img"

[disk]
root = "32GiB"
data = "rest"

[firmware]
usb_quirks = ["152d:0578:u"]

[[files]]
path = "/etc/motd"
content = "Welcome."

[units]
enable = ["fstrim.timer"]
"#;

const KEY: &str = include_str!("keys/ed25519.pub");

/// A cluster of two nodes and a profile, all good, in `c/` and `profiles/`.
fn good() -> BTreeMap<PathBuf, Vec<u8>> {
    [
        ("c/cluster.toml", CLUSTER),
        ("c/keys/admin.pub", KEY),
        ("profiles/pi5.toml", PROFILE),
    ]
    .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
    .into()
}

fn load_good(files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Workspace, Problems> {
    load_from(Path::new("c/cluster.toml"), Path::new("profiles"), files)
}

/// What is said about a file when one of its texts is replaced by another.
fn complaints(file: &str, from: &str, to: &str) -> String {
    let mut files = good();
    let content = files
        .get_mut(Path::new(file))
        .expect("one of the good files");
    let text = std::str::from_utf8(content).expect("text");
    assert!(text.contains(from), "{file} has no {from:?}");
    *content = text.replacen(from, to, 1).into_bytes();
    match load_good(&files) {
        Ok(_) => "nothing".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// Checks blocks of: `- ` a text of the file, `+ ` its replacement (in both, ⏎
/// is a new line), and the complaints that follow, without the file's name.
fn check_blocks(file: &str, blocks: &str) {
    for block in blocks.split("\n\n").filter(|block| !block.starts_with('#')) {
        let mut lines = block.trim_end_matches('\n').splitn(3, '\n');
        let mut edit = |mark| {
            let line = lines.next().and_then(|line| line.strip_prefix(mark));
            line.expect("an edit")
                .trim_start_matches(' ')
                .replace('⏎', "\n")
        };
        let (from, to) = (edit('-'), edit('+'));
        let said = complaints(file, &from, &to).replace(&format!("{file}:"), "");
        assert_eq!(
            said,
            lines.next().unwrap_or_default(),
            "{file}: {from} -> {to}"
        );
    }
}
