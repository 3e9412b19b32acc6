//! Directories in a user's home are the user's: whoever makes one there for a
//! file makes it theirs, or they could never put another file beside it.

use anyhow::Result;

use super::accounts::Account;
use super::{BaseView, Change, Overlay, Part, is_normal};

/// Adds the directories that are missing above a path, if it lies in one of
/// `people`'s homes. Elsewhere they are root's, which needs no change.
pub(super) fn add_dirs(
    overlay: &mut Overlay,
    people: &[Account],
    base: &dyn BaseView,
    path: &str,
) -> Result<()> {
    // A base may say of a home what it likes: nothing, or `/`.
    let inside = |home: &str| {
        is_normal(home)
            && path
                .strip_prefix(home)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let Some(Account { owner, home, .. }) = people.iter().find(|person| inside(&person.home))
    else {
        return Ok(());
    };
    for (end, _) in path
        .match_indices('/')
        .filter(|(end, _)| *end >= home.len())
    {
        let dir = &path[..end];
        if overlay.get(Part::Root, dir).is_none() && !base.has(&before(overlay, dir))? {
            overlay.dir(Part::Root, dir, 0o755, *owner);
        }
    }
    Ok(())
}

/// Where the base has what will lie at a path once the renames are made.
fn before(overlay: &Overlay, path: &str) -> String {
    let moved = overlay.changes(Part::Root).find_map(|(from, change)| {
        let Change::Rename { to } = change else {
            return None;
        };
        let rest = path.strip_prefix(to.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{from}{rest}"))
    });
    moved.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Owner;
    use super::super::memory::MemoryBase;
    use super::*;

    const ADMIN: Owner = Owner {
        uid: 1000,
        gid: 1000,
    };

    fn person(name: &str, owner: Owner) -> Account {
        Account {
            name: name.into(),
            owner,
            home: format!("/home/{name}"),
        }
    }

    #[test]
    fn what_is_missing_in_a_home_is_made_its_owners() {
        let base = MemoryBase::default().files(
            Part::Root,
            &[("/home/pi/.config/kept", ""), ("/home/eve/.bashrc", "")],
        );
        let nowhere = |home: &str| Account {
            home: home.into(),
            ..person("nobody", Owner::ROOT)
        };
        let people = [
            nowhere(""),
            nowhere("/"),
            person("admin", ADMIN),
            person(
                "eve",
                Owner {
                    uid: 1001,
                    gid: 100,
                },
            ),
            person(
                "new",
                Owner {
                    uid: 1002,
                    gid: 1002,
                },
            ),
        ];
        for (path, made) in [
            (
                "/home/admin/.config/foo/bar.conf",
                "/home/admin/.config/foo dir 0755 1000:1000",
            ),
            ("/home/admin/.config/bar.conf", ""),
            ("/home/admin/.ssh/config", ""),
            ("/home/admin/.profile", ""),
            (
                "/home/eve/a/b/c",
                "/home/eve/a dir 0755 1001:100, /home/eve/a/b dir 0755 1001:100",
            ),
            ("/home/new/x", "/home/new dir 0755 1002:1002"),
            ("/home/administrator/x/y", ""),
            ("/home/admin", ""),
            ("/opt/x/y", ""),
        ] {
            let mut overlay = Overlay::default();
            let moves = Change::Rename {
                to: "/home/admin".into(),
            };
            overlay.set(Part::Root, "/home/pi", moves);
            overlay.dir(Part::Root, "/home/admin/.ssh", 0o700, ADMIN);
            let before: Vec<String> = shown(&overlay);
            add_dirs(&mut overlay, &people, &base, path).expect(path);
            let mut after = shown(&overlay);
            after.retain(|line| !before.contains(line));
            assert_eq!(after.join(", "), made, "{path}");
        }
    }

    fn shown(overlay: &Overlay) -> Vec<String> {
        overlay
            .changes(Part::Root)
            .map(|(path, change)| format!("{path} {change}"))
            .collect()
    }
}
