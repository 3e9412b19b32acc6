//! What the building machine gives: root in namespaces of its own, its apt sources, an emulator for arm64 programs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Suite;
use crate::cmd::Cmd;
use crate::steps::Steps;

/// Runs `base-tree` as root in mount and process namespaces of its own: whatever way it ends, and even if we are
/// killed, no mount and no process of it stays behind.
pub(super) fn build_tree_as_root(suite: Suite, room: &Path, steps: Steps) -> Result<()> {
    let own = std::env::current_exe().context("finding the running program")?;
    let is_root = Cmd::new("id").arg("-u").read()?.trim() == "0";
    let cmd = if is_root {
        Cmd::new("setpriv")
    } else {
        steps.say("the packages' own scripts need root: asking sudo");
        Cmd::new("sudo")
            .arg("--preserve-env=http_proxy,https_proxy,no_proxy")
            .arg("setpriv")
    };
    cmd.args("--pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc".split(' '))
        // A user's own umask would shape the tree's modes.
        .args(["sh", "-c", "umask 022 && exec \"$@\"", "sh"])
        .arg(own)
        .args([
            "base-tree",
            "--suite",
            suite.codename(),
            "--started",
            &steps.started_at().to_string(),
            "--room",
        ])
        .arg(room)
        .run_aloud()
        .context("making the root tree")
}

/// The machine's own Debian sources with the release replaced, for apt. None when it has no Debian source, as on Ubuntu.
pub(crate) fn debian_sources(suite: Suite) -> Result<Vec<String>> {
    let here = Cmd::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(CODENAME) $(REPO_URI) $(COMPONENT)",
            "Created-By: Packages",
        ])
        .read()?;
    Ok(sources_for(suite.codename(), &here))
}

/// From lines of origin, code name, address and component.
fn sources_for(suite: &str, targets: &str) -> Vec<String> {
    let mut sources = Vec::new();
    for line in targets.lines() {
        let [origin, codename, uri, component] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            continue;
        };
        // bookworm, bookworm-updates, bookworm-security; but no backports: a real image has none.
        let pocket = match codename.split_once('-') {
            None => "",
            Some((_, "updates")) => "-updates",
            Some((_, "security")) => "-security",
            Some(_) => continue,
        };
        if origin != "Debian" || component != "main" {
            continue;
        }
        let source = format!("deb [signed-by={KEYRING}] {uri} {suite}{pocket} main");
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Then nothing is emulated, and nothing need be lent.
pub(super) fn runs_arm64_itself() -> Result<bool> {
    Ok(Cmd::new("uname").arg("-m").read()?.trim() == "aarch64")
}

/// Lets the kernel start arm64 programs through qemu-user. The registration stays until the machine's next boot.
pub(super) fn ensure_arm64_programs_run(steps: Steps) -> Result<()> {
    if runs_arm64_itself()? {
        return Ok(());
    }
    let dir = Path::new("/proc/sys/fs/binfmt_misc");
    // In our own mount namespace, so always ours to mount.
    if !dir.join("register").exists() {
        Cmd::new("mount")
            .args(["-t", "binfmt_misc", "binfmt_misc"])
            .arg(dir)
            .run()?;
    }
    let entry = dir.join("qemu-aarch64");
    if !entry.exists() {
        steps.say("registering qemu-user for arm64 programs with the kernel");
        let rule = "/usr/lib/binfmt.d/qemu-aarch64.conf";
        let rule =
            fs::read_to_string(rule).with_context(|| format!("reading {rule}; run ci/setup"))?;
        fs::write(dir.join("register"), rule.trim())
            .context("registering qemu-user for arm64 programs")?;
    }
    let state = fs::read_to_string(&entry).context("reading the registration of qemu-aarch64")?;
    // Without F the kernel looks for the emulator inside the tree, where there is none.
    if !state.starts_with("enabled")
        || !state
            .lines()
            .any(|l| l.starts_with("flags:") && l.contains('F'))
    {
        bail!(
            "this machine's qemu-aarch64 registration does not work inside a tree (flag F); remove it with `echo -1 > {}`",
            entry.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sources_for;

    #[test]
    fn sources_keep_the_machines_mirror_and_change_the_release() {
        let targets = "\
            Debian bookworm http://m.example/debian/ main\n\
            Debian bookworm-updates http://m.example/debian/ main\n\
            Debian bookworm-backports http://m.example/debian/ main\n\
            Debian bookworm-security http://m.example/sec/ main\n\
            Other bookworm http://o.example/ main\n";
        let sources = sources_for("trixie", targets);
        let ends: Vec<_> = sources
            .iter()
            .filter_map(|s| s.split_once("] "))
            .map(|(_, end)| end)
            .collect();
        assert_eq!(
            ends,
            [
                "http://m.example/debian/ trixie main",
                "http://m.example/debian/ trixie-updates main",
                "http://m.example/sec/ trixie-security main",
            ]
        );
    }
}
