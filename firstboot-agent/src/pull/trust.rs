//! Whose commit it is.

use gix_hash::Kind;
use gix_object::CommitRefIter;
use node_config::handover::Trust;
use ssh_key::{HashAlg, PublicKey, SshSig};

/// What git signs for (git-config(1), `gpg.ssh`).
const NAMESPACE: &str = "git";

/// The key that signed a commit, where that is asked for. The commit has the name it
/// was fetched by; so one that is named is the one.
///
/// # Errors
/// Why it is not taken for the owner's, as the end of a sentence.
pub(crate) fn signer(commit: &[u8], trust: &Trust) -> Result<Option<String>, String> {
    match trust {
        Trust::Commit(_) => Ok(None),
        Trust::Signers(signers) => signed_by(commit, signers).map(Some),
    }
}

/// Git's header `gpgsig`, which signs the commit without it (gitformat-signature(5)),
/// with what OpenSSH's PROTOCOL.sshsig describes.
fn signed_by(commit: &[u8], signers: &[String]) -> Result<String, String> {
    let damaged = || "has a signature that is damaged".to_owned();
    let (signature, signed) = CommitRefIter::signature(commit, Kind::Sha1)
        .map_err(|error| format!("is damaged: {error}"))?
        .ok_or("is not signed")?;
    let signature = str::from_utf8(&signature).map_err(|_| damaged())?;
    if !signature
        .trim_start()
        .starts_with("-----BEGIN SSH SIGNATURE")
    {
        return Err("is not signed with an SSH key: set `git config gpg.format ssh`".into());
    }
    let signature: SshSig = signature.trim().parse().map_err(|_| damaged())?;
    let signed = signed.to_bstring();
    let by = PublicKey::from(signature.public_key().clone());
    let fingerprint = by.fingerprint(HashAlg::Sha256);
    let mut keys = signers
        .iter()
        .filter_map(|line| PublicKey::from_openssh(line).ok());
    let Some(signer) = keys.find(|key| key.key_data() == by.key_data()) else {
        return Err(format!(
            "is signed by {fingerprint}, who is none of `signers` in [gitops]"
        ));
    };
    match signer.verify(NAMESPACE, &signed, &signature) {
        Ok(()) => Ok(fingerprint.to_string()),
        Err(_) => Err(format!("is not what {fingerprint} signed")),
    }
}
