//! The SSH server: on, for keys only, with the node's own host keys.

use anyhow::{Context as _, Result, bail, ensure};

use super::render::Request;
use super::{BaseView, Change, Overlay, Owner, Part, units};

const ETC_SSH: &str = "/etc/ssh";
const SERVER: &str = "/etc/ssh/sshd_config";

/// Its files are read in the order of their names, as glob(7) sorts them.
const DROP_INS: &str = "/etc/ssh/sshd_config.d";

/// sshd takes the first value it reads, so this sorts before cloud-init's `50-`.
const DROP_IN: &str = "01-imgbuild.conf";

/// The whole login policy, defaults included: a base may have other ones.
const KEY_ONLY: &str = "\
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthenticationMethods publickey
";

/// Said of a server configuration that would not read ours.
const WITHOUT: &str = "includes no drop-ins, so logins by password would stay allowed";

/// Adds server settings and host keys.
pub(super) fn add(overlay: &mut Overlay, request: &Request<'_>, base: &dyn BaseView) -> Result<()> {
    let server = base
        .text(Part::Root, SERVER)?
        .context("the base has no SSH server (no /etc/ssh/sshd_config)")?;
    check_drop_ins_come_first(&server)?;
    check_ours_is_first(base)?;
    remove_host_keys(overlay, base)?;

    let mut config = KEY_ONLY.to_owned();
    for key in request.keys.each() {
        let path = format!("{ETC_SSH}/{}", key.file_name());
        // Named, so that no key of another type is ever offered.
        config += &format!("HostKey {path}\n");
        let private = Change::File {
            mode: 0o600,
            owner: Owner::ROOT,
            content: key.private()?.into(),
            secret: true,
        };
        overlay.set(Part::Root, &path, private);
        let public = format!("{} root@{}\n", key.public(), request.plan.node.name);
        overlay.file(Part::Root, &format!("{path}.pub"), 0o644, public);
    }
    overlay.file(Part::Root, &format!("{DROP_INS}/{DROP_IN}"), 0o644, config);
    units::enable(overlay, base, "ssh.service")
}

/// Keys in a base are shared by everyone who has that base.
fn remove_host_keys(overlay: &mut Overlay, base: &dyn BaseView) -> Result<()> {
    for name in base
        .names(ETC_SSH)?
        .iter()
        .filter(|name| name.starts_with("ssh_host_"))
    {
        overlay.remove(Part::Root, &format!("{ETC_SSH}/{name}"));
    }
    Ok(())
}

/// Of two values sshd takes the first, and a `Match` before the `Include` would
/// make our settings those of some logins only (sshd_config(5)).
fn check_drop_ins_come_first(server: &str) -> Result<()> {
    let first = server.lines().map(words).find(|words| !words.is_empty());
    let first = first.unwrap_or_default();
    let [keyword, path, ..] = first[..] else {
        bail!("the base's {SERVER} {WITHOUT}");
    };
    let include = keyword.eq_ignore_ascii_case("Include");
    let absolute = format!("{DROP_INS}/*.conf");
    // A relative path is one below /etc/ssh.
    if include && (path == absolute || path == "sshd_config.d/*.conf") {
        return Ok(());
    }
    if server.lines().map(words).any(|words| {
        words.len() > 1
            && words[0].eq_ignore_ascii_case("Include")
            && words[1..]
                .iter()
                .any(|word| word.ends_with("sshd_config.d/*.conf"))
    }) {
        bail!(
            "the base's {SERVER} has `{keyword} {path}` before `Include {absolute}`: sshd takes \
             the first value, so logins by password could stay allowed; put the Include first"
        );
    }
    bail!("the base's {SERVER} {WITHOUT}")
}

/// The words of a line; none for a comment. A keyword may be followed by `=`,
/// and a value may be in quotes.
fn words(line: &str) -> Vec<&str> {
    let line = line.trim();
    if line.starts_with('#') {
        return Vec::new();
    }
    line.split(|c: char| c.is_whitespace() || matches!(c, '=' | '"'))
        .filter(|word| !word.is_empty())
        .collect()
}

/// A drop-in before ours could allow what ours forbids. Refused, not removed:
/// whoever gave it that name meant it to win.
fn check_ours_is_first(base: &dyn BaseView) -> Result<()> {
    for name in base.names(DROP_INS)? {
        ensure!(
            !name.ends_with(".conf") || name.as_str() >= DROP_IN,
            "the base's {DROP_INS}/{name} is read before {DROP_IN}, and sshd takes the first \
             value; give it a name that sorts later, such as 10-{name}, or remove it"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryBase;
    use super::*;

    #[test]
    fn the_include_comes_before_every_keyword() {
        for (server, said) in [
            (
                "# c\n\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
                "",
            ),
            ("include=\"sshd_config.d/*.conf\"\n", ""),
            ("Include /etc/ssh/other.conf\n", "includes no drop-ins"),
            (
                "#Include /etc/ssh/sshd_config.d/*.conf\n",
                "includes no drop-ins",
            ),
            ("", "includes no drop-ins"),
            (
                "PasswordAuthentication yes\nInclude /etc/ssh/sshd_config.d/*.conf\n",
                "put the Include first",
            ),
            (
                "Match User pi\n  Include /etc/ssh/sshd_config.d/*.conf\n",
                "has `Match User` before",
            ),
        ] {
            let result = check_drop_ins_come_first(server);
            match said {
                "" => result.expect(server),
                _ => {
                    let error = result.expect_err(server).to_string();
                    assert!(error.contains(said), "{server}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_drop_in_before_ours_is_refused() {
        for (name, fine) in [
            ("00-pw.conf", false),
            ("00-pw.conf.bak", true),
            ("01-imgbuild.conf", true),
            ("50-cloud-init.conf", true),
        ] {
            let path = format!("{DROP_INS}/{name}");
            let base = MemoryBase::default().files(Part::Root, &[(&path, "")]);
            assert_eq!(check_ours_is_first(&base).is_ok(), fine, "{name}");
        }
    }
}
