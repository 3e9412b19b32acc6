//! The same secrets in every test, each with a canary in it.

use uuid::Uuid;

use super::{NodeSecrets, Repository, Secrets};
use crate::identity::fixture::host_keys;
use crate::pki::fixture::authorities;

/// The cluster they belong to.
pub(crate) const CLUSTER: Uuid = Uuid::from_u128(0x0d5f_6a52_6a3e_4f39_9a2c_0f2d_3b7c_1e11);

/// Two nodes; worthless outside tests.
pub(crate) fn secrets() -> Secrets {
    let node = |password: &str| NodeSecrets {
        host_keys: host_keys().clone(),
        password: password.into(),
    };
    Secrets {
        cluster: CLUSTER,
        recipients: Vec::new(),
        server_token: "canaryserver00000".into(),
        former_server_tokens: vec!["canaryformer00000".into()],
        agent_token: "canaryagent000000".into(),
        authorities: authorities().clone(),
        repository: Some(Repository::Login {
            user: "git".into(),
            password: "canaryrepository".into(),
        }),
        nodes: [
            ("pi-1".to_owned(), node("canarynode1000000")),
            ("pi-2".to_owned(), node("canarynode2000000")),
        ]
        .into(),
    }
}

/// What may be shown nowhere: the canaries, and every line of every key.
pub(crate) fn canaries(secrets: &Secrets) -> Vec<String> {
    let text = secrets.render();
    let mut in_key = false;
    let mut found = vec!["canary".to_owned()];
    for line in text.lines() {
        if line.contains("-----") {
            in_key = line.contains("BEGIN") && line.contains("PRIVATE KEY");
        } else if in_key {
            found.push(line.to_owned());
        }
    }
    assert!(found.len() > 100, "keys are in the text");
    found
}
