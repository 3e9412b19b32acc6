//! Looking at all of a file system that may be damaged, and a little of
//! everything that is done to one.

use imgbuild::bootfs::BootFs;
use imgbuild::io::ReadAt;
use imgbuild::overlay::{Change, Kind, Overlay, Owner, Part};
use imgbuild::rootfs::RootView;

/// Entries looked at: a damaged directory can hold itself.
const ENTRIES: usize = 50;

/// What a build looks for and reads, whatever the directories say is there.
const READ: &[&str] = &[
    "/etc/passwd",
    "/lib/big",
    "/etc/loop-a",
    "/etc/outside",
    "/etc/slow",
    "/var/lib/holes",
];

/// Lists, looks at and reads what is in a root.
pub fn root(view: &RootView) {
    let mut left = ENTRIES;
    let mut todo = vec![String::new()];
    while let Some(dir) = todo.pop() {
        let names = view
            .list(if dir.is_empty() { "/" } else { &dir })
            .unwrap_or_default();
        for name in names.into_iter().filter(|name| !name.contains('/')) {
            if left == 0 {
                break;
            }
            left -= 1;
            let path = format!("{dir}/{name}");
            match view.entry(&path) {
                Ok(Some(entry)) if entry.kind == Kind::Dir => todo.push(path),
                Ok(Some(entry)) if entry.kind == Kind::File => drop(view.read(&path)),
                _ => {}
            }
        }
    }
    for path in READ {
        let _ = (view.entry(path), view.read(path));
    }
}

/// Lists, looks at and reads what is in a boot partition.
pub fn boot<R: ReadAt>(fs: &BootFs<R>) {
    let _ = (fs.space(), fs.label(), fs.serial());
    let mut left = ENTRIES;
    let mut todo = vec![String::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs.entries(&dir).unwrap_or_default() {
            if left == 0 {
                return;
            }
            left -= 1;
            let path = format!("{dir}/{}", entry.name);
            if entry.dir {
                todo.push(path);
            } else {
                let _ = fs.read(&path);
            }
        }
    }
}

/// One change of each kind, to what the seeds have and to what they have not.
pub fn changes() -> Overlay {
    let mut overlay = Overlay::default();
    for (part, path) in [
        (Part::Root, "/etc/passwd"),
        (Part::Root, "/etc/new"),
        (Part::Root, "/lib/big"),
        (Part::Boot, "/config.txt"),
        (Part::Boot, "/a new name.txt"),
    ] {
        overlay.file(part, path, 0o640, &[0x5a; 9000][..]);
    }
    overlay.file(Part::Root, "/etc/loop-a/x", 0o644, "x");
    overlay.file(Part::Root, "/etc/outside/x", 0o644, "x");
    overlay.file(Part::Root, "/var/lib/many/one-more", 0o644, "x");
    overlay.dir(
        Part::Root,
        "/opt/a/b",
        0o755,
        Owner {
            uid: 70_001,
            gid: 1,
        },
    );
    overlay.link(
        Part::Root,
        "/etc/localtime",
        &format!("/usr/share/zoneinfo/{}", "long/".repeat(20)),
    );
    overlay.remove(Part::Root, "/var/lib/many");
    overlay.remove(Part::Root, "/var/lib/holes");
    overlay.remove(Part::Boot, "/overlays");
    overlay.set(
        Part::Root,
        "/home/pi",
        Change::Rename {
            to: "/home/admin".into(),
        },
    );
    overlay
}
