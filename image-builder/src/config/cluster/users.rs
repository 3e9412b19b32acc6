//! `[[users]]`: accounts that are reached by key only.

use std::collections::BTreeMap;

use crate::config::check::{Checker, all};
use crate::config::field::{Field, Span};
use crate::config::files::{Files, resolve, why};
use crate::config::problem::{Wrong, quoted, shown};
use crate::config::{ssh, written};
use crate::plan;

/// More than any file of public keys needs.
const KEY_FILE_LIMIT: u64 = 64 * 1024;

/// Longest login name (shadow's limit).
const NAME: usize = 32;

/// Accounts and groups of Debian and Raspberry Pi OS, space-separated: a user
/// and its group need names of their own.
const TAKEN: &str = "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list \
    irc nobody nogroup _apt adm tty disk dialout fax voice cdrom floppy tape sudo audio dip \
    operator src shadow utmp video sasl plugdev staff users input kvm render sgx netdev crontab \
    gpio spi i2c messagebus sshd avahi polkitd rtkit dnsmasq tcpdump lpadmin systemd-network \
    systemd-resolve systemd-timesync systemd-journal systemd-coredump ssh-agent _ssh";

pub(crate) fn check(
    users: &Field<Vec<Field<written::User>>>,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<Vec<plan::User>> {
    users.get()?;
    let mut seen = BTreeMap::new();
    let checked = all(users.items().iter().map(|item| {
        let user = item.get()?;
        let name = check.value(&user.name, |name| login_name(name));
        let keys = keys(user, &item.span(), check, files);
        let name = name?;
        if let Some(first) = check.seen_before(&mut seen, name.clone(), &user.name.span()) {
            let message = format!("there is a user `{name}` already, at {first}");
            let wrong = Wrong::new(message, "rename or remove one of the two");
            check.wrong(&user.name.span(), wrong);
        }
        Some(plan::User {
            name,
            ssh_keys: keys?,
            sudo: *user.sudo.get()?,
        })
    }))?;
    if checked.is_empty() {
        let hint = "add a table [[users]] with `name` and a key";
        check.misplaced(&users.span(), Wrong::new("there are no users", hint));
        return None;
    }
    if !checked.iter().any(|user| user.sudo) {
        let hint = "leave `sudo = false` out of one of them";
        check.warn(&users.span(), Wrong::new("no user may become root", hint));
    }
    Some(checked)
}

/// The keys of the user at `span`, inline ones first, each once.
fn keys(
    user: &written::User,
    span: &Span,
    check: &mut Checker,
    files: &dyn Files,
) -> Option<Vec<String>> {
    let inline = check.list(&user.ssh_keys, |key| ssh::key(key));
    let from_files = user
        .ssh_key_files
        .get()
        .and_then(|paths| all(paths.iter().map(|path| file_keys(path, check, files))));
    let (inline, from_files) = (inline?, from_files?);
    let mut keys: Vec<String> = Vec::new();
    for key in inline.into_iter().chain(from_files.into_iter().flatten()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        let hint = "add ssh_key_files = [\"~/.ssh/id_ed25519.pub\"], or `ssh_keys`";
        let message = "this user has no SSH key, and nobody can log in with a password";
        check.misplaced(span, Wrong::new(message, hint));
        return None;
    }
    if keys.iter().all(|key| key.contains(ssh::EXAMPLE)) {
        let hint = "put your own in `ssh_keys` or `ssh_key_files`";
        let message = "this user has only the example key, with which nobody can log in";
        check.warn(span, Wrong::new(message, hint));
    }
    Some(keys)
}

fn file_keys(file: &Field<String>, check: &mut Checker, files: &dyn Files) -> Option<Vec<String>> {
    let path = resolve(files, check.path(), file.get()?);
    let shown = shown(&path);
    let text = check.value(file, |_| {
        let content = files.read(&path, KEY_FILE_LIMIT).map_err(|error| {
            let hint = "name a file with public keys, such as \"~/.ssh/id_ed25519.pub\"";
            Wrong::new(format!("{shown} cannot be read: {}", why(&error)), hint)
        })?;
        let text = String::from_utf8(content).map_err(|_| {
            let hint = "name a .pub file as `ssh-keygen` makes it";
            Wrong::new(format!("{shown} is not text"), hint)
        })?;
        if ssh::is_private(&text) {
            let hint = format!("name its public half; `ssh-keygen -y -f {shown}` prints it");
            return Err(Wrong::new(format!("{shown} is a private key"), hint));
        }
        Ok(text)
    })?;
    let keys = ssh::keys_in(&path, &text);
    if keys.is_empty() {
        let hint = "put the line of a .pub file into it";
        check.wrong(
            &file.span(),
            Wrong::new(format!("{shown} holds no key"), hint),
        );
        return None;
    }
    all(keys
        .into_iter()
        .map(|key| key.map_err(|problem| check.elsewhere(problem)).ok()))
}

fn login_name(text: &str) -> Result<String, Wrong> {
    let is_name = (1..=NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if !is_name {
        let message = format!("{} is not a login name", quoted(text));
        let hint = format!(
            "write lower-case letters, digits, hyphens and underscores, a letter first, at most {NAME}"
        );
        return Err(Wrong::new(message, hint));
    }
    if TAKEN.split_whitespace().any(|taken| taken == text) {
        let message = format!("`{text}` is an account or group of the system");
        return Err(Wrong::new(message, "write another name, such as \"admin\""));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_names() {
        for good in ["admin", "pi", "a", "jane-doe_2"] {
            assert_eq!(login_name(good).as_deref(), Ok(good));
        }
        let longer = "a".repeat(33);
        for bad in [
            "", "Admin", "2me", "-a", "jane.doe", "root", "sudo", "www-data", &longer,
        ] {
            assert!(login_name(bad).is_err(), "{bad}");
        }
    }
}
