//! One SSH host key: what is wrong with it, and putting that right.
//!
//! A key that works is never touched, baked or not. One that does not is set
//! aside and replaced: without a host key, sshd lets nobody in.

use node_config::config::HostKey;

use super::openssh::{self, PublicKey};
use crate::stages::StageError;
use crate::system::{Command, System, SystemError, read_text, replace};

/// What a look at the key found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// It is the key the builder put there.
    pub(super) baked: bool,
    /// What to mend, in this order.
    pub(super) flaws: Vec<Flaw>,
}

/// Something to mend.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// There is no usable private key; why.
    Lost(String),
    /// Others may read the private key.
    Mode(u32),
    /// The `.pub` file is not the public half; what it should be.
    Public(PublicKey),
}

impl Flaw {
    /// The flaw as a sentence.
    pub(super) fn describe(&self, key: &HostKey) -> String {
        let path = &key.path;
        match self {
            Flaw::Lost(why) => format!("{path} {why}"),
            Flaw::Mode(mode) => format!("{path} has mode {mode:04o}, not 0600"),
            Flaw::Public(_) => format!("{path}.pub is not its public half"),
        }
    }
}

/// Looks at the key; changes nothing.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn inspect(sys: &dyn System, key: &HostKey) -> Result<Finding, SystemError> {
    let public = match sys.read(&key.path)? {
        None => return Ok(lost("is missing")),
        Some(private) if private.is_empty() => return Ok(lost("is empty, as after a power cut")),
        Some(private) => match openssh::public_half(&private) {
            Ok(public) => public,
            Err(damage) => return Ok(lost(&format!("is damaged: {damage}"))),
        },
    };
    let mut flaws = Vec::new();
    match sys.mode(&key.path)? {
        Some(0o600) | None => {}
        Some(mode) => flaws.push(Flaw::Mode(mode)),
    }
    if PublicKey::parse(&read_text(sys, &public_path(key))?).as_ref() != Some(&public) {
        flaws.push(Flaw::Public(public.clone()));
    }
    let baked = PublicKey::parse(&key.public) == Some(public);
    Ok(Finding { baked, flaws })
}

/// Mends one flaw. May be cut at any point: until the last call, the flaw is
/// there to be found again.
///
/// # Errors
/// When a file or `ssh-keygen` refuses; fatal for a key of an unknown type.
pub(super) fn mend(sys: &dyn System, key: &HostKey, flaw: &Flaw) -> Result<(), StageError> {
    match flaw {
        Flaw::Lost(_) => make_anew(sys, key),
        Flaw::Mode(_) => Ok(sys.set_mode(&key.path, 0o600)?),
        Flaw::Public(public) => {
            let line = format!("{public}\n");
            Ok(replace(sys, &public_path(key), 0o644, line.as_bytes())?)
        }
    }
}

/// Makes a key of the same type. This one and no other (`ssh-keygen -A` makes
/// every type): a key that `known_hosts` does not list makes ssh ask.
fn make_anew(sys: &dyn System, key: &HostKey) -> Result<(), StageError> {
    let kind = kind(key)?;
    let beside = format!("{}.new", key.path);
    let beside_public = format!("{beside}.pub");
    // From a cut: ssh-keygen would ask whether to overwrite.
    sys.remove(&beside)?;
    sys.remove(&beside_public)?;
    let args = ["-q", "-t", kind, "-N", "", "-C", "", "-f", &beside];
    sys.run(&Command::new("ssh-keygen", &args))?;
    // Before the rename, or the next cut leaves the name without the content.
    sys.sync()?;
    set_aside(sys, &key.path)?;
    sys.rename(&beside_public, &public_path(key))?;
    Ok(sys.rename(&beside, &key.path)?)
}

/// Keeps what is there, once: it cannot be made again, and our judgement of it
/// may be wrong.
fn set_aside(sys: &dyn System, path: &str) -> Result<(), SystemError> {
    let aside = format!("{path}.damaged");
    let worth_keeping = sys.read(path)?.is_some_and(|content| !content.is_empty());
    if worth_keeping && sys.mode(&aside)?.is_none() {
        sys.rename(path, &aside)?;
    }
    Ok(())
}

/// The word for `ssh-keygen -t`.
fn kind(key: &HostKey) -> Result<&'static str, StageError> {
    match key.public.split(' ').next() {
        Some("ssh-ed25519") => Ok("ed25519"),
        Some("ssh-rsa") => Ok("rsa"),
        Some("ecdsa-sha2-nistp256") => Ok("ecdsa"),
        other => Err(StageError::Fatal(format!(
            "{} cannot be made anew: type {} is not ssh-ed25519, ssh-rsa or ecdsa-sha2-nistp256; \
             write the image again",
            key.path,
            other.unwrap_or_default(),
        ))),
    }
}

fn public_path(key: &HostKey) -> String {
    format!("{}.pub", key.path)
}

fn lost(why: &str) -> Finding {
    Finding {
        baked: false,
        flaws: vec![Flaw::Lost(why.into())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;
    use crate::tests::machine::{self, ED25519};

    fn key() -> HostKey {
        machine::node().host_keys[0].clone()
    }

    fn flaws(fake: &Fake) -> Vec<String> {
        let finding = inspect(fake, &key()).expect("looks");
        finding.flaws.iter().map(|f| f.describe(&key())).collect()
    }

    fn mend_all(fake: &Fake) {
        for flaw in inspect(fake, &key()).expect("looks").flaws {
            mend(fake, &key(), &flaw).expect("mends");
        }
        assert_eq!(flaws(fake), [""; 0]);
    }

    #[test]
    fn the_baked_key_has_no_flaw() {
        let finding = inspect(&machine::healthy(), &key()).expect("looks");
        assert!(finding.baked && finding.flaws.is_empty(), "{finding:?}");
    }

    #[test]
    fn mode_and_public_half_are_put_right_and_the_key_kept() {
        let fake = machine::healthy();
        let before = fake.text(ED25519);
        fake.put(ED25519, 0o644, &before);
        fake.put(&format!("{ED25519}.pub"), 0o644, "ssh-ed25519 AAAA");
        assert_eq!(
            flaws(&fake),
            [
                format!("{ED25519} has mode 0644, not 0600"),
                format!("{ED25519}.pub is not its public half"),
            ]
        );
        mend_all(&fake);
        assert_eq!(fake.text(ED25519), before);
        assert!(inspect(&fake, &key()).expect("looks").baked);
    }

    #[test]
    fn a_working_key_that_is_not_the_baked_one_is_kept() {
        let fake = machine::healthy();
        let (private, public) = machine::key_pair("ssh-ed25519", b"rotated by hand");
        fake.put(ED25519, 0o600, &private);
        fake.put(&format!("{ED25519}.pub"), 0o644, format!("{public} root@x"));
        let finding = inspect(&fake, &key()).expect("looks");
        assert!(!finding.baked && finding.flaws.is_empty(), "{finding:?}");
    }

    #[test]
    fn a_truncated_key_is_set_aside_and_replaced() {
        let fake = machine::healthy();
        let half = fake.text(ED25519)[..60].to_string();
        fake.put(ED25519, 0o600, &half);
        mend_all(&fake);
        assert_eq!(fake.text(&format!("{ED25519}.damaged")), half);
        assert!(!inspect(&fake, &key()).expect("looks").baked);
        assert!(!fake.files().contains_key(&format!("{ED25519}.new")));
    }

    #[test]
    fn an_unknown_type_is_fatal_and_says_which() {
        let mut key = key();
        key.public = "ssh-dss AAAA".into();
        let lost = Flaw::Lost("is missing".into());
        let error = mend(&machine::healthy(), &key, &lost).expect_err("unknown");
        assert!(matches!(error, StageError::Fatal(_)));
        assert!(error.to_string().contains("type ssh-dss"), "{error}");
    }
}
