//! A release disk becomes a node: `imgbuild seed` put one on its boot partition, and
//! this applies it to the running root. Before the stages and not one of them: they
//! belong to a node, and until this has ended there is none.
//!
//! ```text
//! note which seed it is, and in which boot
//! root's changes, boot partition's changes, sync        apply
//! node.toml: from here on the disk is the node's
//! remove the seed, for it holds secrets; sync; restart
//! ```
//!
//! A cut before `node.toml` leaves a release with its seed, which is applied again
//! from its beginning; one after it leaves a node, whose next start removes what is
//! left. Every change looks before it acts, so what is as it should be is not written
//! again: least of all on the boot partition, which is FAT.

mod apply;
mod find;
#[cfg(test)]
mod tests;

use std::time::Duration;

use node_config::{NodeConfig, Seed, paths};

use self::find::{Found, Trouble};
use crate::status::{consoles, say};
use crate::system::light::Sign;
use crate::system::{Command, System, SystemError, read_text, replace};

/// How often the boot partition is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The same words are said again after so many looks, ten minutes: for whoever plugs
/// a screen in later, and no more often than a log can bear.
const SAY_AGAIN: u32 = 60;

/// Whether this is a release: a disk that waits for a node.
pub(crate) fn is_release(sys: &dyn System) -> Result<bool, SystemError> {
    Ok(sys.mode(paths::RELEASE)?.is_some())
}

/// Waits for a seed, applies it and restarts the machine. Ends once that has begun.
pub(crate) fn receive(sys: &dyn System) {
    let mut voice = Voice {
        sys,
        consoles: consoles(sys),
        trouble: String::new(),
        looks: 0,
        begun: false,
    };
    while let Err(trouble) = step(sys, &mut voice) {
        voice.complain(&trouble);
        sys.sleep(LOOK_AGAIN);
    }
}

/// What people are told, and how often.
struct Voice<'a> {
    sys: &'a dyn System,
    consoles: Vec<String>,
    /// What is wrong, and for how many looks in a row.
    trouble: String,
    looks: u32,
    /// Said that it has begun. It may begin again and again.
    begun: bool,
}

impl Voice<'_> {
    fn say(&self, words: &str) {
        say(self.sys, &self.consoles, &format!("imgbuild: {words}"));
    }

    fn begin(&mut self, node: &str) {
        if !self.begun {
            self.begun = true;
            self.sys.shine(Sign::Working);
            self.say(&format!("this disk becomes the node {node}"));
        }
    }

    fn complain(&mut self, trouble: &Trouble) {
        let words = trouble.to_string();
        if self.trouble != words {
            self.sys.shine(trouble.sign());
            (self.trouble, self.looks) = (words, 0);
        }
        if self.looks.is_multiple_of(SAY_AGAIN) {
            self.say(&self.trouble);
        }
        self.looks += 1;
    }
}

/// What a seed has left on a disk that is a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing, by now.
    Nothing,
    /// This boot: it began as a release, and nothing of the node is in use yet.
    ThisBoot,
}

/// Looks after what a cut has left of a seed once the disk was a node, and removes it.
/// This boot, if it began as a release, is ended by [`receive`].
pub(crate) fn clear(node: &NodeConfig, sys: &dyn System) -> Result<Left, SystemError> {
    let Some(mark) = Mark::read(sys)? else {
        return Ok(Left::Nothing);
    };
    if mark.boot == boot(sys)? {
        return Ok(Left::ThisBoot);
    }
    if mark.image == node.image_id.to_string() {
        remove_seed(sys)?;
    }
    sys.remove(paths::SEEDING)?;
    Ok(Left::Nothing)
}

/// One look, and all that follows from it.
fn step(sys: &dyn System, voice: &mut Voice<'_>) -> Result<(), Trouble> {
    // A failure after it leaves only the end to be done again.
    if sys.mode(paths::NODE_CONFIG)?.is_none() {
        let Found { seed, index } = find::look(sys)?;
        voice.begin(&seed.node);
        begin(sys, &seed)?;
        apply::all(sys, &seed, &index)?;
        voice.say(&format!(
            "this disk is the node {}; it starts anew",
            seed.node
        ));
    }
    remove_seed(sys)?;
    let mut reboot = Command::new("systemctl", &["--no-block", "reboot"]);
    // On a busy machine systemd may be slow to take it.
    reboot.limit = Duration::from_secs(60);
    sys.run(&reboot)?;
    Ok(())
}

/// Notes what this boot does to the disk.
fn begin(sys: &dyn System, seed: &Seed) -> Result<(), Trouble> {
    let image = seed.image_id.to_string();
    match Mark::read(sys)? {
        // What it has put down would stay: users, keys.
        Some(mark) if mark.image != image => return Err(Trouble::Begun),
        _ => {}
    }
    sys.make_dir(paths::STATE_DIR, 0o700)?;
    let mark = format!("{image} {}\n", boot(sys)?);
    Ok(replace(sys, paths::SEEDING, 0o600, mark.as_bytes())?)
}

/// The bundle first: its document without it is no seed, and says whose it was.
fn remove_seed(sys: &dyn System) -> Result<(), SystemError> {
    for path in [paths::BOOT_SEED_BUNDLE, paths::BOOT_SEED] {
        sys.remove(path)?;
        sys.sync()?;
    }
    Ok(())
}

/// Which seed is being applied, and in which boot that was begun.
struct Mark {
    image: String,
    boot: String,
}

impl Mark {
    /// The note; none of it in one that a cut has torn.
    fn read(sys: &dyn System) -> Result<Option<Self>, SystemError> {
        let text = read_text(sys, paths::SEEDING)?;
        Ok(text.trim_end().split_once(' ').map(|(image, boot)| Self {
            image: image.into(),
            boot: boot.into(),
        }))
    }
}

fn boot(sys: &dyn System) -> Result<String, SystemError> {
    let boot = read_text(sys, "/proc/sys/kernel/random/boot_id")?;
    Ok(boot.trim().to_string())
}
