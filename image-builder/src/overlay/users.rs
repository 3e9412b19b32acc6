//! The users: key-only, the first in the stock user's place.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use crate::plan::{NodePlan, User};

use super::accounts::{Account, Accounts};
use super::{BaseView, Change, Kind, Overlay, Owner, Part, is_normal};

/// Kept for the first user: files and unit settings of the base name it.
const FIRST_UID: u32 = 1000;

/// What `pi` is in on Raspberry Pi OS (pi-gen stage1 and stage2), `sudo` and the
/// own group aside. Without `gpio` and its like a user cannot reach the board.
const GROUPS: [&str; 14] = [
    "adm", "dialout", "cdrom", "audio", "users", "video", "games", "plugdev", "input", "gpio",
    "spi", "i2c", "netdev", "render",
];

/// The group whose members may become root, with a password.
const SUDO: &str = "sudo";

/// Of two rules that match, sudo takes the last, and it reads the files by name
/// (sudoers(5)): this one sorts after any other. No dot in it: sudo skips such
/// files.
const SUDOERS: &str = "/etc/sudoers.d/zz_imgbuild";

/// Rules for the stock user, who has another name now.
const STOCK_SUDOERS: [&str; 2] = [
    "/etc/sudoers.d/010_pi-nopasswd",
    "/etc/sudoers.d/90-cloud-init-users",
];

const SKELETON: &str = "/etc/skel";

/// Adds all users of the plan, and gives everyone the node will have: those of
/// the base too.
pub(super) fn add(
    overlay: &mut Overlay,
    plan: &NodePlan,
    base: &dyn BaseView,
) -> Result<Vec<Account>> {
    let mut accounts = Accounts::read(base)?;
    for (index, user) in plan.users.iter().enumerate() {
        let home = format!("/home/{}", user.name);
        let stock = match index {
            0 => accounts.with_uid(FIRST_UID)?,
            _ => None,
        };
        let account = match &stock {
            Some(stock) => accounts.take_over(stock, &user.name, &home)?,
            None => accounts.create(&user.name, &home, FIRST_UID)?,
        };
        accounts.join(&user.name, &GROUPS);
        match user.sudo {
            true => accounts.join(&user.name, &[SUDO]),
            false => accounts.leave(&user.name, SUDO),
        }
        add_home(overlay, base, stock.as_ref(), &account)
            .with_context(|| format!("making the home of {}", user.name))?;
        add_keys(overlay, user, &account);
    }
    accounts.write(overlay);
    add_sudo(overlay, &plan.users, base)?;
    Ok(accounts.people())
}

/// The stock user's home moves; any other is made from the skeleton.
fn add_home(
    overlay: &mut Overlay,
    base: &dyn BaseView,
    stock: Option<&Account>,
    account: &Account,
) -> Result<()> {
    let Account { owner, home, .. } = account;
    if let Some(Account { home: old, .. }) = stock
        && is_normal(old)
        && base.at(old)? == Some(Kind::Dir)
    {
        if old != home {
            refuse_taken(overlay, base, home)?;
            overlay.set(Part::Root, old, Change::Rename { to: home.clone() });
        }
        return Ok(());
    }
    refuse_taken(overlay, base, home)?;
    overlay.dir(Part::Root, home, 0o700, *owner);
    copy_tree(overlay, base, SKELETON, home, *owner)
}

/// Somebody else's files must not become a user's. A home that moves away leaves
/// its path free: a second user may be called `pi`, as the first one was.
fn refuse_taken(overlay: &Overlay, base: &dyn BaseView, home: &str) -> Result<()> {
    let moves_away = overlay
        .changes(Part::Root)
        .any(|(path, change)| path == home && matches!(change, Change::Rename { .. }));
    ensure!(
        moves_away || !base.has(home)?,
        "the base already has {home}; choose another name"
    );
    Ok(())
}

/// Plain files and directories, with the modes that Debian's skeleton has.
fn copy_tree(
    overlay: &mut Overlay,
    base: &dyn BaseView,
    from: &str,
    to: &str,
    owner: Owner,
) -> Result<()> {
    for name in base.names(from)? {
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        match base.at(&from)? {
            Some(Kind::File) => {
                let content = base.read(Part::Root, &from)?.unwrap_or_default().into();
                let file = Change::File {
                    mode: 0o644,
                    owner,
                    content,
                    secret: false,
                };
                overlay.set(Part::Root, &to, file);
            }
            Some(Kind::Dir) => {
                overlay.dir(Part::Root, &to, 0o755, owner);
                copy_tree(overlay, base, &from, &to, owner)?;
            }
            Some(Kind::Symlink(target)) => overlay.link(Part::Root, &to, &target),
            Some(Kind::Other) | None => {}
        }
    }
    Ok(())
}

fn add_keys(overlay: &mut Overlay, user: &User, account: &Account) {
    let Account { owner, home, .. } = account;
    // sshd ignores keys that others could have written (StrictModes).
    overlay.dir(Part::Root, &format!("{home}/.ssh"), 0o700, *owner);
    let content = user
        .ssh_keys
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .into();
    let keys = Change::File {
        mode: 0o600,
        owner: *owner,
        content,
        secret: false,
    };
    overlay.set(Part::Root, &format!("{home}/.ssh/authorized_keys"), keys);
}

fn add_sudo(overlay: &mut Overlay, users: &[User], base: &dyn BaseView) -> Result<()> {
    for path in STOCK_SUDOERS {
        if base.has(path)? {
            overlay.remove(Part::Root, path);
        }
    }
    let mut text = "# Written by imgbuild. A key-only user has no password to type.\n".to_owned();
    let mut rules = users.iter().filter(|user| user.sudo).peekable();
    if rules.peek().is_none() {
        return Ok(());
    }
    ensure!(
        base.has("/etc/sudoers")?,
        "a user is to have sudo, but the base has none (no /etc/sudoers)"
    );
    for User { name, .. } in rules {
        let _ = writeln!(text, "{name} ALL=(ALL:ALL) NOPASSWD: ALL");
    }
    overlay.file(Part::Root, SUDOERS, 0o440, text);
    Ok(())
}
