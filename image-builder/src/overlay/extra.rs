//! The profile's own files and units, checked against everything else: they are
//! added last and may not silently win.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use node_config::paths;

use crate::plan::{ExtraFile, NodePlan};

use super::accounts::Account;
use super::links::{self, Last};
use super::{BaseView, Change, Content, Overlay, Owner, Part, homes, is_normal, units};

/// Adds the files, and the directories they need in a home of `people`.
pub(super) fn add_files(
    overlay: &mut Overlay,
    plan: &NodePlan,
    people: &[Account],
    base: &dyn BaseView,
) -> Result<()> {
    for ExtraFile {
        path,
        mode,
        owner: (uid, gid),
        content,
    } in &plan.profile.files
    {
        let owner = Owner {
            uid: *uid,
            gid: *gid,
        };
        let content = Arc::clone(content).into();
        let real = add_file(overlay, base, path, *mode, owner, content)?;
        if let Some(real) = real {
            homes::add_dirs(overlay, people, base, &real)?;
        }
    }
    Ok(())
}

/// Adds one file that others ask for, by its path on the running node; its real
/// path if that is on the root file system.
pub(super) fn add_file(
    overlay: &mut Overlay,
    base: &dyn BaseView,
    path: &str,
    mode: u16,
    owner: Owner,
    content: Content,
) -> Result<Option<String>> {
    ensure!(
        is_normal(path),
        "{path:?} is not an absolute path without `.` and `..`"
    );
    let (part, inner) = place(path);
    ensure!(inner != "/", "{path} is a directory, not a file");
    let real = match part {
        Part::Boot => inner.to_owned(),
        Part::Root => behind_links(base, path)?,
    };
    if part == Part::Root && paths::in_boot(&real).is_some() {
        // It would lie under the mount point, where nobody ever sees it.
        bail!(
            "{path} is {real} on the node, for one of its directories is a link; write {real}, \
             which goes to the boot partition"
        );
    }
    if let Some(taken) = conflict(overlay, part, &real) {
        bail!("{path} collides with what the image itself has at {taken}");
    }
    // Not for everyone to read, so it may hold a password: never shown.
    let secret = mode & 0o004 == 0;
    ensure!(
        !(secret && part == Part::Boot),
        "{path} cannot be kept from other users (mode {mode:04o}): the boot partition is FAT, \
         which has no modes; use 0644, or a path elsewhere"
    );
    let change = Change::File {
        mode,
        owner,
        content,
        secret,
    };
    overlay.set(part, inner, change);
    Ok((part == Part::Root).then_some(real))
}

/// Enables and masks the units.
pub(super) fn switch_units(
    overlay: &mut Overlay,
    plan: &NodePlan,
    base: &dyn BaseView,
) -> Result<()> {
    for unit in &plan.profile.enable_units {
        units::enable(overlay, base, unit).with_context(|| format!("enabling {unit}"))?;
    }
    for unit in &plan.profile.mask_units {
        // What is masked for every node may be listed again.
        if !units::is_masked(overlay, unit) {
            units::mask(overlay, base, unit).with_context(|| format!("masking {unit}"))?;
        }
    }
    Ok(())
}

/// The file system a path of the running node belongs to, and the path in it.
fn place(path: &str) -> (Part, &str) {
    match paths::in_boot(path) {
        Some(inner) => (Part::Boot, inner),
        None => (Part::Root, path),
    }
}

/// Where a path of the root file system leads once the links among its
/// directories are followed; the file itself replaces a link. Raspberry Pi OS
/// has `/boot/overlays -> firmware/overlays`.
fn behind_links(base: &dyn BaseView, path: &str) -> Result<String> {
    links::follow(path, Last::Kept, |path| base.link(path))
}

/// A change that the file would replace, or that it would be inside of. FAT
/// knows no case: `/node.txt` there is `/NODE.txt`.
fn conflict<'a>(overlay: &'a Overlay, part: Part, path: &str) -> Option<&'a str> {
    let same = |a: &str, b: &str| match part {
        Part::Boot => a.eq_ignore_ascii_case(b),
        Part::Root => a == b,
    };
    let clash = |ours: &str, change: &Change| {
        // What moves away from a directory does not bar the one that takes its place.
        let replaced = matches!(change, Change::Rename { .. })
            && matches!(overlay.get(part, ours), Some(Change::Dir { .. }));
        // Directories with either in them are shared, everything else is not.
        let inside = |outer: &str, inner: &str| {
            inner.as_bytes().get(outer.len()) == Some(&b'/')
                && inner
                    .get(..outer.len())
                    .is_some_and(|head| same(head, outer))
        };
        same(ours, path)
            || inside(path, ours)
            || (inside(ours, path) && !replaced && !matches!(change, Change::Dir { .. }))
    };
    overlay
        .changes(part)
        .find(|(ours, change)| clash(ours, change))
        .map(|(ours, _)| ours)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryBase;
    use super::*;

    #[test]
    fn conflicts() {
        let mut overlay = Overlay::default();
        overlay.file(Part::Boot, "/NODE.txt", 0o644, "");
        overlay.file(Part::Root, "/etc/hosts", 0o644, "");
        overlay.set(
            Part::Root,
            "/var/lib/imgbuild",
            Change::Dir {
                mode: 0o700,
                owner: Owner::ROOT,
            },
        );
        for (part, path, clashes) in [
            (Part::Boot, "/node.TXT", true),
            (Part::Boot, "/node.txt.bak", false),
            (Part::Root, "/etc/hosts", true),
            (Part::Root, "/etc/hosts/x", true),
            (Part::Root, "/etc/hosts2", false),
            (Part::Root, "/etc", true),
            (Part::Root, "/etc/HOSTS", false),
            (Part::Root, "/var/lib/imgbuild/x", false),
            (Part::Root, "/var/lib/imgbuild", true),
        ] {
            assert_eq!(
                conflict(&overlay, part, path).is_some(),
                clashes,
                "{part} {path}"
            );
        }
    }

    #[test]
    fn links_among_the_directories_are_followed() {
        let base = MemoryBase::default()
            .files(Part::Root, &[("/usr/lib/x/y", "")])
            .links(&[
                ("/boot/overlays", "firmware/overlays"),
                ("/lib", "usr/lib"),
                ("/up", "/usr/lib/x/../.."),
                ("/loop", "loop"),
                ("/etc/localtime", "/boot/firmware/zone"),
            ]);
        for (path, real) in [
            ("/boot/overlays/x.dtbo", "/boot/firmware/overlays/x.dtbo"),
            ("/lib/x/y", "/usr/lib/x/y"),
            ("/up/new/file", "/usr/new/file"),
            ("/etc/localtime", "/etc/localtime"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(behind_links(&base, path).expect("resolves"), real);
        }
        behind_links(&base, "/loop/x").expect_err("a circle");
    }

    #[test]
    fn paths_below_the_boot_mount_go_there() {
        for (path, place_) in [
            ("/boot/firmware/a.txt", (Part::Boot, "/a.txt")),
            ("/boot/firmware", (Part::Boot, "/")),
            ("/boot/firmware-old", (Part::Root, "/boot/firmware-old")),
            ("/etc/a", (Part::Root, "/etc/a")),
        ] {
            assert_eq!(place(path), place_);
        }
    }
}
