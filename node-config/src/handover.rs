//! How the founder of a cluster hands it over to Argo CD.
//!
//! Some texts of the cluster's folder become what K3s applies. The builder writes that
//! into the image, and the agent writes it again where Git has newer texts: so what the
//! texts become is said here, once.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The namespace of Argo CD, and of everything it is handed over with.
pub const NAMESPACE: &str = "argocd";

/// The one Application that makes all others.
pub const ROOT: &str = "root";

/// The folder of the texts, beside the cluster file.
pub const FOLDER: &str = "bootstrap";

/// Their names: the values of Argo CD's chart, its projects, the root Application.
pub const TEXTS: [&str; 3] = ["argocd-values.yaml", "project.yaml", "root.yaml"];

/// Longest of them, in bytes. K3s keeps each in etcd, which takes 1.5 MiB.
pub const LONGEST_TEXT: u64 = 1 << 20;

/// What the founder is told, where its image carries what that takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// The archive of Argo CD's chart: its name in [`crate::paths::K3S_CHARTS`].
    pub chart: String,
    /// Where its texts are pulled from at the first boot; without it those of the
    /// image are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// A folder in Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `https://`, `ssh://`, or `user@host:path`.
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The folder of the cluster file in it; empty if that is all of it.
    #[serde(default)]
    pub path: String,
    /// Which commit is taken for the owner's.
    pub trust: Trust,
    /// CAs beside the system's, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Host keys, as `known_hosts` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

/// Which commit is taken for the owner's: whoever can write to the repository, or be
/// its server, would found the cluster else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// This one: 40 lower-case hex digits.
    Commit(String),
    /// One with an SSH signature by one of these keys, each an OpenSSH line.
    Signers(Vec<String>),
}

impl Source {
    /// The path in the repository of one of the [`TEXTS`].
    pub fn path_of(&self, text: &str) -> String {
        match self.path.as_str() {
            "" => format!("{FOLDER}/{text}"),
            path => format!("{path}/{FOLDER}/{text}"),
        }
    }
}

/// What K3s applies, in the order of [`crate::paths::K3S_HANDOVER`], made of the
/// [`TEXTS`].
pub fn manifests(chart: &str, texts: &[String; 3]) -> [String; 3] {
    let [values, projects, root] = texts;
    [helm_chart(chart, values), projects.clone(), root.clone()]
}

/// The HelmChart by which K3s installs Argo CD (docs.k3s.io, "Helm"). Name, namespace
/// and release are those of the Application that takes Argo CD over. The chart comes
/// from the server's own files: `%{KUBERNETES_API}%` is K3s' word for where it serves
/// them.
pub fn helm_chart(archive: &str, values: &str) -> String {
    format!(
        "# Installs Argo CD, which then manages itself out of Git. Written by imgbuild.\n\
         apiVersion: helm.cattle.io/v1\n\
         kind: HelmChart\n\
         metadata:\n\
         \x20 name: argocd\n\
         \x20 namespace: kube-system\n\
         spec:\n\
         \x20 chart: https://%{{KUBERNETES_API}}%/static/charts/{archive}\n\
         \x20 targetNamespace: {NAMESPACE}\n\
         \x20 createNamespace: true\n\
         \x20 valuesContent: {}",
        block(values)
    )
}

/// A text as a block of YAML that gives the same text back (YAML 1.2.2, 8.1): every
/// line is indented, and how far is said, since the first line may have an indent of
/// its own. The last thing in its document: all line ends behind it are its own.
fn block(text: &str) -> String {
    let ends = match text.ends_with('\n') {
        true => "+",
        false => "-",
    };
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    });
    format!("|2{ends}\n{}", lines.collect::<String>())
}

/// What lets somebody read a private repository.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Over HTTPS: a user, for many servers any, and a password or token.
    Login {
        /// Without a colon (RFC 7617, 2).
        user: String,
        /// The secret.
        password: String,
    },
    /// Over SSH: a private key, as OpenSSH writes it.
    Key(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Argo CD's Secret for one repository (Argo CD docs, "Declarative Setup"), as JSON.
/// The agent reads its credential from the same file: it is on the node once.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositorySecret {
    api_version: String,
    kind: String,
    metadata: Metadata,
    string_data: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

impl Credential {
    /// The Secret by which Argo CD has it.
    pub fn render(&self, repository: &str) -> String {
        let mut data = vec![("type", "git"), ("url", repository)];
        match self {
            Credential::Login { user, password } => {
                data.extend([("username", user.as_str()), ("password", password)]);
            }
            Credential::Key(key) => data.push(("sshPrivateKey", key)),
        }
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let label = ("argocd.argoproj.io/secret-type", "repository");
        let secret = RepositorySecret {
            api_version: "v1".into(),
            kind: "Secret".into(),
            metadata: Metadata {
                name: "imgbuild-repository".into(),
                namespace: NAMESPACE.into(),
                labels: [label].map(owned).into(),
            },
            string_data: data.into_iter().map(owned).collect(),
        };
        let text = serde_json::to_string_pretty(&secret);
        text.expect("plain data serialises to JSON") + "\n"
    }

    /// Reads what [`Credential::render`] wrote; none where it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut data = serde_json::from_str::<RepositorySecret>(text)
            .ok()?
            .string_data;
        if let Some(key) = data.remove("sshPrivateKey") {
            return Some(Credential::Key(key));
        }
        let (user, password) = (data.remove("username")?, data.remove("password")?);
        Some(Credential::Login { user, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_read_again_and_not_shown() {
        for credential in [
            Credential::Login {
                user: "git".into(),
                password: "canary \"quoted\"".into(),
            },
            Credential::Key("-----BEGIN\ncanary\n".into()),
        ] {
            let text = credential.render("https://git.home.arpa/a.git");
            assert_eq!(Credential::parse(&text).as_ref(), Some(&credential));
            assert!(!format!("{credential:?}").contains("canary"));
            // Argo CD finds it by these.
            for word in [
                r#""argocd.argoproj.io/secret-type": "repository""#,
                r#""url": "https://git.home.arpa/a.git""#,
                r#""namespace": "argocd""#,
                r#""apiVersion": "v1""#,
                r#""stringData": {"#,
            ] {
                assert!(text.contains(word), "{text}");
            }
        }
        for text in ["", "{}", "kind: Secret\n"] {
            assert_eq!(Credential::parse(text), None, "{text}");
        }
    }

    #[test]
    fn texts_lie_beside_the_cluster_file() {
        let mut source = Source {
            repository: "git@git.home.arpa:a.git".into(),
            revision: "main".into(),
            path: "k3s/home".into(),
            trust: Trust::Commit("0a".repeat(20)),
            ca: None,
            known_hosts: None,
        };
        assert_eq!(source.path_of(TEXTS[2]), "k3s/home/bootstrap/root.yaml");
        source.path.clear();
        assert_eq!(source.path_of(TEXTS[2]), "bootstrap/root.yaml");
    }
}
