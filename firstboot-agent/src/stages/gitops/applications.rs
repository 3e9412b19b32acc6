//! The Applications of the cluster, as kubectl shows them.

use std::fmt;

use node_config::handover::{NAMESPACE, ROOT};
use serde::Deserialize;

use crate::stages::kubectl::{self, List, Metadata, OF_A_SERVER};
use crate::system::{System, SystemError};

/// How far the hand-over is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    /// There is no answer; kubectl's last words.
    Silent(String),
    /// The cluster knows no Applications.
    NotInstalled,
    /// It does.
    There {
        /// The one that makes the others.
        root: Option<Application>,
        /// In the order of their names.
        others: Vec<Application>,
    },
}

impl Stand {
    /// Whether the hand-over is complete.
    pub(super) fn is_well(&self) -> bool {
        matches!(self, Stand::There { root: Some(root), .. } if root.is_well())
    }
}

/// What Argo CD says of an Application (argoproj.io/v1alpha1, `status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Application {
    name: String,
    /// `Synced`, `OutOfSync`, `Unknown`.
    sync: String,
    /// `Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing`, `Unknown`.
    health: String,
    /// What is wrong, in its own words, the gravest first.
    pub(super) complaints: Vec<String>,
}

impl Application {
    /// Whether all of it is as it should be.
    pub(super) fn is_well(&self) -> bool {
        self.sync == "Synced" && self.health == "Healthy"
    }
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Application {
            name, sync, health, ..
        } = self;
        write!(f, "{name} is {sync} and {health}")
    }
}

/// Asks.
///
/// # Errors
/// When K3s' program is missing. An API that does not answer is an answer.
pub(super) fn ask(sys: &dyn System) -> Result<Stand, SystemError> {
    let namespace = format!("--namespace={NAMESPACE}");
    let question = [
        "get",
        "applications.argoproj.io",
        &namespace,
        "--output=json",
    ];
    match sys.run(&kubectl::command(OF_A_SERVER, &question)) {
        Ok(said) => Ok(read(&said)),
        Err(SystemError::Program { problem, .. }) => Ok(match problem {
            problem if problem.contains("the server doesn't have a resource type") => {
                Stand::NotInstalled
            }
            // Before them stand the times of its attempts.
            problem => Stand::Silent(problem.lines().last().unwrap_or_default().to_owned()),
        }),
        Err(error) => Err(error),
    }
}

fn read(said: &str) -> Stand {
    let items = match serde_json::from_str::<List<Item>>(said) {
        Ok(list) => list.items,
        Err(error) => return Stand::Silent(format!("kubectl's list is none: {error}")),
    };
    let (mut root, mut others) = (None, Vec::new());
    for application in items.into_iter().map(Application::from) {
        match application.name == ROOT {
            true => root = Some(application),
            false => others.push(application),
        }
    }
    Stand::There { root, others }
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

/// Argo CD leaves out what it does not know yet.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    sync: Sync,
    health: Health,
    conditions: Vec<Condition>,
    operation_state: Operation,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sync {
    status: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Health {
    status: String,
    message: String,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation {
    phase: String,
    message: String,
}

impl From<Item> for Application {
    fn from(item: Item) -> Self {
        let Status {
            sync,
            health,
            conditions,
            operation_state,
        } = item.status;
        let known = |word: String| match word.is_empty() {
            true => "Unknown".to_owned(),
            false => word,
        };
        let errors = conditions
            .into_iter()
            .filter(|condition| condition.kind.ends_with("Error"))
            .map(|condition| condition.message);
        let operation = match operation_state.phase.as_str() {
            "Succeeded" => String::new(),
            _ => operation_state.message,
        };
        let complaints = errors.chain([operation, health.message]);
        Self {
            name: item.metadata.name,
            sync: known(sync.status),
            health: known(health.status),
            complaints: complaints.filter(|words| !words.is_empty()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argo_cd_is_read_with_what_it_leaves_out() {
        let said = r#"{"kind": "List", "items": [
            {"metadata": {"name": "metallb"}},
            {"metadata": {"name": "root", "labels": {}}, "status": {
                "sync": {"status": "OutOfSync", "revisions": ["0a"]},
                "health": {"status": "Degraded", "message": "healthy, but not in sync"},
                "conditions": [
                    {"type": "SharedResourceWarning", "message": "two of them"},
                    {"type": "ComparisonError", "message": "authentication required"}],
                "operationState": {"phase": "Running", "message": "waiting for health"}}}]}"#;
        let Stand::There {
            root: Some(root),
            others,
        } = read(said)
        else {
            panic!("no root");
        };
        assert_eq!(root.to_string(), "root is OutOfSync and Degraded");
        let complaints = [
            "authentication required",
            "waiting for health",
            "healthy, but not in sync",
        ];
        assert_eq!(root.complaints, complaints);
        assert_eq!(others[0].to_string(), "metallb is Unknown and Unknown");
        assert!(!root.is_well() && !others[0].is_well());
    }

    #[test]
    fn what_an_operation_said_that_succeeded_is_no_complaint() {
        let said = r#"{"items": [{"metadata": {"name": "root"}, "status": {
            "sync": {"status": "Synced"}, "health": {"status": "Healthy"},
            "operationState": {"phase": "Succeeded", "message": "successfully synced"}}}]}"#;
        let stand = read(said);
        assert!(stand.is_well(), "{stand:?}");
        let Stand::There { root, .. } = stand else {
            panic!("{stand:?}");
        };
        assert_eq!(root.expect("root").complaints, Vec::<String>::new());
    }

    #[test]
    fn a_list_that_is_none_is_silence() {
        for said in ["", "{}", "null", r#"{"items": [{}]}"#] {
            assert!(matches!(read(said), Stand::Silent(_)), "{said}");
        }
        let none = Stand::There {
            root: None,
            others: Vec::new(),
        };
        assert_eq!(read(r#"{"items": []}"#), none);
    }
}
