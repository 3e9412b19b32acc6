//! dpkg on [`Fake`]: a record of states, and what a cut makes of them.
//!
//! As the real one does, it syncs its record and what it unpacks, and not what
//! the packages' scripts write; it unpacks all, then sets all up; it leaves out a
//! package that must find another one set up (Pre-Depends); it cannot set up a
//! package whose unpacking was cut.

use std::fmt::Write as _;

use node_config::{NodeConfig, paths};

use crate::system::fake::{Extent, Fake};

/// Name and version of what the image carries. The last one pre-depends on the
/// first.
pub(crate) const CARRIED: [(&str, &str); 3] = [
    ("library", "1:0.101-1"),
    ("open-iscsi", "2.1.11-1"),
    ("needs-library", "2.8.3-1"),
];

const RECORD: &str = "/var/lib/dpkg/status";
const LOCKED: &str = "/run/dpkg-locked";
const FULL: &str = "/run/disk-full";

/// As `node.toml` lists them.
pub(crate) fn as_written() -> String {
    let mut text = String::new();
    for (name, version) in CARRIED {
        let sha256 = sum(&content(name, version));
        let _ = write!(
            text,
            "[[packages]]\nname = {name:?}\nversion = {version:?}\narchitecture = \"arm64\"\n\
             file = \"{name}.deb\"\nsha256 = {sha256:?}\n"
        );
    }
    text
}

/// A dpkg that has the base's packages on record, and the image's files.
pub(crate) fn install(fake: &Fake) {
    for (name, version) in CARRIED {
        fake.put(&file(name), 0o644, content(name, version));
    }
    set_state(fake, "base-files", "13.8", "ok installed");
    fake.install("dpkg", |fake, args, _| {
        assert_eq!(args, ["--audit"]);
        let record = fake.text(RECORD);
        let broken = record
            .lines()
            .filter(|row| !row.ends_with("\tok installed"));
        Ok(broken.collect())
    });
    // What changes something is called so that its progress is heard.
    fake.install("sh", |fake, args, extent| {
        assert_eq!(args[2], "dpkg");
        dpkg(fake, &args[3..], extent)
    });
    fake.install("dpkg-query", |fake, args, _| {
        assert_eq!(args[0], "--show");
        Ok(fake.text(RECORD))
    });
    fake.install("sha256sum", |fake, args, _| {
        let line = |path: &String| format!("{}  {path}\n", sum(&fake.text(path)));
        Ok(args.iter().map(line).collect())
    });
}

/// The file of a carried package.
pub(crate) fn file(name: &str) -> String {
    format!("{}/{name}.deb", paths::PACKAGES_DIR)
}

/// What the script of a package writes when it is set up.
pub(crate) fn written_by_script(name: &str) -> String {
    format!("/etc/{name}.conf")
}

/// Whether that is such a file.
pub(crate) fn is_written_by_script(path: &str) -> bool {
    path.starts_with("/etc/") && path.ends_with(".conf")
}

/// Puts a package on record.
pub(crate) fn set_state(fake: &Fake, name: &str, version: &str, state: &str) {
    let record = fake.text(RECORD);
    let others = record
        .lines()
        .filter(|row| row.split('\t').next() != Some(name));
    let mut rows: Vec<String> = others.map(String::from).collect();
    rows.push(format!("{name}\tarm64\t{version}\t{state}"));
    rows.sort();
    fake.put_synced(RECORD, 0o644, rows.join("\n") + "\n");
}

/// The state of a package on record.
pub(crate) fn state(fake: &Fake, name: &str) -> String {
    let record = fake.text(RECORD);
    let mut rows = record.lines().map(|row| row.split('\t'));
    let mut row = rows.find(|row| row.clone().next() == Some(name));
    let state = row.as_mut().and_then(|row| row.nth(3));
    state.unwrap_or("not there").to_string()
}

/// Another program has the lock until then, in seconds since this boot.
pub(crate) fn lock_until(fake: &Fake, second: u64) {
    fake.put(LOCKED, 0o644, second.to_string());
}

/// There is no room, or there is again.
pub(crate) fn set_full(fake: &Fake, full: bool) {
    fake.put(FULL, 0o644, if full { "full" } else { "" });
}

/// The machine starts: who had the lock is gone.
pub(crate) fn restart(fake: &Fake) {
    fake.put(LOCKED, 0o644, "");
}

/// A node that carries nothing.
pub(crate) fn without_packages(mut node: NodeConfig) -> NodeConfig {
    node.packages.clear();
    node
}

fn content(name: &str, version: &str) -> String {
    format!("{name} {version}")
}

/// A sum that is another one for another text, as long as the real one.
fn sum(text: &str) -> String {
    let add = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:064x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, add))
}

fn dpkg(fake: &Fake, args: &[String], extent: Extent) -> Result<String, String> {
    if fake.now().as_secs() < fake.text(LOCKED).parse().unwrap_or(0) {
        return Err(
            "dpkg: error: dpkg frontend lock was locked by apt-get process with pid 531\n\
                    Note: removing the lock file is always wrong"
                .into(),
        );
    }
    let install = args.iter().position(|arg| arg == "--install");
    let files = install.map_or(&[][..], |at| &args[at + 1..]);
    let mut failed = unpack(fake, files, extent);
    if extent == Extent::Whole || files.is_empty() {
        failed |= set_up(fake, extent);
    }
    match failed {
        true => Err("Errors were encountered while processing".into()),
        false => Ok(String::new()),
    }
}

/// Cut, it leaves the first half unpacked, and the next in pieces.
fn unpack(fake: &Fake, files: &[String], extent: Extent) -> bool {
    let mut failed = false;
    for (index, path) in files.iter().enumerate() {
        let text = fake.text(path);
        let (name, version) = text.split_once(' ').expect("a package file");
        if !fake.text(FULL).is_empty() {
            fake.print(&format!("status: {path} : error : No space left on device"));
            failed = true;
            continue;
        }
        if name == "needs-library" && state(fake, "library") != "ok installed" {
            fake.print(&format!(
                "status: {path} : error : pre-dependency problem - not installing {name}"
            ));
            failed = true;
            continue;
        }
        fake.print(&format!("processing: install: {name}:arm64"));
        set_state(fake, name, version, "reinstreq half-installed");
        if extent == Extent::Half && index >= files.len() / 2 {
            fake.put_synced(&format!("/usr/lib/{name}"), 0o755, "half");
            return failed;
        }
        fake.put_synced(&format!("/usr/lib/{name}"), 0o755, version);
        set_state(fake, name, version, "ok unpacked");
    }
    failed
}

/// Cut, it leaves a package half set up.
fn set_up(fake: &Fake, extent: Extent) -> bool {
    let mut failed = false;
    let record = fake.text(RECORD);
    for row in record.lines() {
        let [name, _, version, state] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        if !["ok unpacked", "ok half-configured"].contains(&state) {
            continue;
        }
        fake.print(&format!("processing: configure: {name}:arm64"));
        set_state(fake, name, version, "ok half-configured");
        if extent == Extent::Half {
            return failed;
        }
        if fake.text(&format!("/run/{name}-fails")) == "for ever" {
            fake.print(&format!("status: {name} : error : its script failed"));
            failed = true;
            continue;
        }
        fake.put(&written_by_script(name), 0o644, "set up");
        set_state(fake, name, version, "ok installed");
    }
    failed
}
