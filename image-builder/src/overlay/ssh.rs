//! The SSH server: on, for keys only, with the node's own host keys.

use anyhow::{Context as _, Result, ensure};

use super::render::Request;
use super::{BaseView, Change, Overlay, Owner, Part, units};

const ETC_SSH: &str = "/etc/ssh";
const SERVER: &str = "/etc/ssh/sshd_config";

/// sshd takes the first value it reads, so this sorts before cloud-init's `50-`.
const DROP_IN: &str = "/etc/ssh/sshd_config.d/01-imgbuild.conf";

/// The whole login policy, defaults included: a base may have other ones.
const KEY_ONLY: &str = "\
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthenticationMethods publickey
";

/// Adds server settings and host keys.
pub(super) fn add(overlay: &mut Overlay, request: &Request<'_>, base: &dyn BaseView) -> Result<()> {
    let server = base
        .text(Part::Root, SERVER)?
        .context("the base has no SSH server (no /etc/ssh/sshd_config)")?;
    ensure!(
        reads_drop_ins(&server),
        "the base's {SERVER} includes no drop-ins, so logins by password would stay allowed"
    );
    remove_host_keys(overlay, base)?;

    let mut config = KEY_ONLY.to_owned();
    for key in request.keys.each() {
        let path = format!("{ETC_SSH}/{}", key.file_name());
        // Named, so that no key of another type is ever offered.
        config += &format!("HostKey {path}\n");
        let private = Change::File {
            mode: 0o600,
            owner: Owner::ROOT,
            content: key.private()?,
            secret: true,
        };
        overlay.set(Part::Root, &path, private);
        let public = format!("{} root@{}\n", key.public(), request.plan.node.name);
        overlay.file(Part::Root, &format!("{path}.pub"), 0o644, public);
    }
    overlay.file(Part::Root, DROP_IN, 0o644, config);
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

fn reads_drop_ins(config: &str) -> bool {
    config.lines().any(|line| {
        let mut words = line.split_whitespace();
        words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("Include"))
            && words.any(|path| path == "/etc/ssh/sshd_config.d/*.conf")
    })
}
