//! What keeps an Application, by what Argo CD says of it, and the cure. All of it may
//! pass: somebody changes something in Git or in the cluster, and Argo CD, which goes
//! on trying, sees it.

use super::applications::Application;

/// As much of Argo CD's own words as is quoted; the reason is at their end.
const QUOTED: usize = 200;

const PRIVATE: &str = "the repository is not open to all: give the cluster its credential, as \
                       docs/HANDOVER.md says";
const REFUSED: &str = "the repository's server refuses the credential: make a new one there, and \
                       change the Secret in the namespace argocd";
const STRANGER: &str = "the host key of the repository's server is not known: add it to \
                        `configs.ssh.extraHosts` in bootstrap/argocd-values.yaml";
const ADDRESS: &str = "there is no such repository, or it is not open to all: look at `repoURL`, \
                       which some servers want with .git at its end";
const PROJECT: &str = "bootstrap/project.yaml does not allow it: `imgbuild gitops check` says \
                       which line it needs";

/// What Argo CD, go-git and git write, and what helps.
const SIGNS: [(&str, &str); 19] = [
    ("authentication required", PRIVATE),
    ("could not read Username", PRIVATE),
    ("SSH agent requested but SSH_AUTH_SOCK", PRIVATE),
    ("authorization failed", REFUSED),
    ("Authentication failed", REFUSED),
    ("ssh: unable to authenticate", REFUSED),
    ("Permission denied (publickey", REFUSED),
    ("knownhosts: key is unknown", STRANGER),
    (
        "knownhosts: key mismatch",
        "the repository's server has another host key than it had: ask who changed it before you \
         change `configs.ssh` in bootstrap/argocd-values.yaml",
    ),
    ("Host key verification failed", STRANGER),
    (
        "certificate signed by unknown authority",
        "the repository's server has a certificate of a CA that Argo CD does not know: add it to \
         `configs.tls.certificates` in bootstrap/argocd-values.yaml",
    ),
    (
        "certificate has expired or is not yet valid",
        "a certificate has expired, or the clock is wrong: look at `timedatectl`",
    ),
    ("repository not found", ADDRESS),
    ("Repository not found", ADDRESS),
    (
        "app path does not exist",
        "the folder is not in the repository: push it, or correct `path`",
    ),
    (
        "to a commit SHA",
        "there is no such branch, tag or commit: push it, or correct `targetRevision`",
    ),
    ("is not permitted in project", PROJECT),
    ("allowed destinations in project", PROJECT),
    (
        "referencing project",
        "its project is not there: look at bootstrap/project.yaml",
    ),
];

/// What is wrong with it, if Argo CD says so.
pub(super) fn of(application: &Application) -> Option<String> {
    let complaints = &application.complaints;
    let known = complaints.iter().find_map(|words| {
        let found = SIGNS.iter().find(|(sign, _)| words.contains(sign));
        found.map(|(sign, cure)| format!("Argo CD says {sign:?}: {cure}"))
    });
    // The number and the time of an attempt would make old news new each time.
    let own = || complaints.first()?.split(" Retrying attempt #").next();
    known.or_else(|| own().map(|words| format!("Argo CD says: {}", end(words))))
}

fn end(words: &str) -> String {
    let start = words.len().saturating_sub(QUOTED);
    match start {
        0 => words.to_owned(),
        start => format!("...{}", &words[words.ceil_char_boundary(start)..]),
    }
}
