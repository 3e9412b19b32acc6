//! The SSH server: on, for keys only, with the node's own host keys.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use crate::plan::NodePlan;

use super::render::Request;
use super::{BaseView, Change, Kind, Overlay, Owner, Part, units};

const ETC_SSH: &str = "/etc/ssh";
const SERVER: &str = "/etc/ssh/sshd_config";

/// Its files are read in the order of their names, as glob(7) sorts them.
const DROP_INS: &str = "/etc/ssh/sshd_config.d";

/// sshd takes the first value it reads, so this sorts before cloud-init's `50-`.
const DROP_IN: &str = "01-imgbuild.conf";

/// The whole login policy, defaults included: a base may have other ones. Each of
/// these may stand in a `Match` block.
const KEY_ONLY: &str = "\
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthenticationMethods publickey
";

/// What a `Match` block says wins over what stands outside of any, wherever that
/// is; of two blocks that match, the first does. So the policy is said twice, the
/// second time in the first block of all. The block ends with the file.
const FOR_ALL: &str = "\
# Once more, or a Match block further on could say otherwise.
Match all
";

/// Said of a server configuration that would not read ours.
const WITHOUT: &str = "includes no drop-ins, so logins by password would stay allowed";

/// Adds server settings and host keys.
pub(super) fn add(overlay: &mut Overlay, request: &Request<'_>, base: &dyn BaseView) -> Result<()> {
    let files = configuration(request.plan, base)?;
    let server = files
        .get(SERVER)
        .context("the base has no SSH server (no /etc/ssh/sshd_config)")?;
    check_drop_ins_come_first(server)?;
    check_ours_is_first(&files)?;
    check_any_method(&files)?;
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
    config += &format!("\n{FOR_ALL}{KEY_ONLY}");
    overlay.file(Part::Root, &format!("{DROP_INS}/{DROP_IN}"), 0o644, config);
    units::enable(overlay, base, "ssh.service")
}

/// What the server will read but for ours, by path: the base's files, and the
/// profile's in their places.
fn configuration(plan: &NodePlan, base: &dyn BaseView) -> Result<BTreeMap<String, String>> {
    let is_read = |path: &str| {
        let drop_in = path
            .strip_prefix(DROP_INS)
            .and_then(|rest| rest.strip_prefix('/'));
        let drop_in = drop_in.is_some_and(|name| name.ends_with(".conf") && name != DROP_IN);
        path == SERVER || drop_in
    };
    let mut files = BTreeMap::new();
    let mut keep = |path: &str, content: &[u8]| {
        if is_read(path) {
            files.insert(
                path.to_owned(),
                String::from_utf8_lossy(content).into_owned(),
            );
        }
    };
    let drop_ins = base.names(DROP_INS)?.into_iter();
    let drop_ins = drop_ins.map(|name| format!("{DROP_INS}/{name}"));
    for path in drop_ins.chain([SERVER.to_owned()]) {
        if base.at(&path)? != Some(Kind::Dir)
            && let Some(content) = base.read(Part::Root, &path)?
        {
            keep(&path, &content);
        }
    }
    for file in &plan.profile.files {
        keep(&file.path, &file.content);
    }
    Ok(files)
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
        bail!("{SERVER} {WITHOUT}");
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
            "{SERVER} has `{keyword} {path}` before `Include {absolute}`: sshd takes \
             the first value, so logins by password could stay allowed; put the Include first"
        );
    }
    bail!("{SERVER} {WITHOUT}")
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
fn check_ours_is_first(files: &BTreeMap<String, String>) -> Result<()> {
    let ours = format!("{DROP_INS}/{DROP_IN}");
    let before = files.keys().find(|path| *path != SERVER && **path < ours);
    if let Some(path) = before {
        bail!(
            "{path} is read before {DROP_IN}, and sshd takes the first value; give it a name that \
             sorts later, or remove it"
        );
    }
    Ok(())
}

/// Debian 12's sshd (9.2; that of Debian 13 no more) does not start when
/// `AuthenticationMethods any` comes after another one, be it in a `Match` block
/// that nobody matches: no login at all.
fn check_any_method(files: &BTreeMap<String, String>) -> Result<()> {
    for (path, text) in files {
        let any = |line| match words(line)[..] {
            [keyword, value, ..] => {
                keyword.eq_ignore_ascii_case("AuthenticationMethods") && value == "any"
            }
            _ => false,
        };
        ensure!(
            !text.lines().any(any),
            "{path} says `AuthenticationMethods any`: with {DROP_IN} before it, which allows keys \
             only, not every sshd starts; remove the line"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryBase;
    use super::super::tests::plans::{file, plan};
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

    /// The result of a check with one file of the base's.
    fn with(path: &str, text: &str) -> BTreeMap<String, String> {
        let base = MemoryBase::default().files(Part::Root, &[(path, text)]);
        configuration(&plan(), &base).expect("readable")
    }

    #[test]
    fn a_drop_in_before_ours_is_refused() {
        for (name, fine) in [
            ("00-pw.conf", false),
            ("00-pw.conf.bak", true),
            ("01-imgbuild.conf", true),
            ("50-cloud-init.conf", true),
        ] {
            let files = with(&format!("{DROP_INS}/{name}"), "");
            assert_eq!(check_ours_is_first(&files).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn any_method_is_refused_wherever_it_stands() {
        let late = &format!("{DROP_INS}/50-x.conf");
        for (path, line, fine) in [
            (SERVER, "AuthenticationMethods publickey", true),
            (SERVER, "# AuthenticationMethods any", true),
            (
                SERVER,
                "Match User x\n  authenticationmethods=\"any\"",
                false,
            ),
            (late, "AuthenticationMethods any", false),
            (&format!("{late}.bak"), "AuthenticationMethods any", true),
        ] {
            let result = check_any_method(&with(path, line));
            assert_eq!(result.is_ok(), fine, "{path}: {line}: {result:?}");
        }
    }

    #[test]
    fn the_profiles_files_stand_in_for_the_bases() {
        let base = MemoryBase::default().files(Part::Root, &[(SERVER, "UsePAM yes\n")]);
        let mut plan = plan();
        plan.profile.files = [SERVER, "/etc/ssh/sshd_config.d/00-a.conf", "/etc/motd"]
            .map(|path| file(path, "# ours\n"))
            .into();
        let files = configuration(&plan, &base).expect("readable");
        let files: Vec<_> = files.into_iter().collect();
        let text = || "# ours\n".to_owned();
        assert_eq!(
            files,
            [
                (SERVER.to_owned(), text()),
                ("/etc/ssh/sshd_config.d/00-a.conf".to_owned(), text()),
            ]
        );
    }
}
