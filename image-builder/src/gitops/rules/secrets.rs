//! No plain secret: what is in Git is in every copy of it, for ever.

use super::walk;
use crate::config::is_private;
use crate::config::problem::Wrong;
use crate::gitops::complaints::Complaints;
use crate::gitops::yaml::Node;

/// Ends of keys whose value is a secret, in lower case.
const SECRET: [&str; 7] = [
    "password",
    "passwd",
    "secretkey",
    "secretaccesskey",
    "apitoken",
    "apikey",
    "privatekey",
];

const HINT: &str = "seal it with kubeseal, or take it from a Secret that is not in Git";

/// Looks for secrets in a document. What they are is never said.
pub(in crate::gitops) fn check(file: &str, document: &Node, complaints: &mut Complaints) {
    if document.text_at(&["kind"]) == "Secret" {
        for key in ["data", "stringData"] {
            if document.get(key).is_some_and(|data| !data.is_empty()) {
                let message = "a Secret's content is readable by whoever reads the repository";
                complaints.add(file, document.place([key]), Wrong::new(message, HINT));
            }
        }
    }
    walk(
        document,
        &mut Vec::new(),
        document.at,
        &mut |path, at, node| {
            let key = path.last().copied().unwrap_or_default();
            let is_secret = |name: &str| {
                let name = name.to_ascii_lowercase().replace(['-', '_'], "");
                SECRET.iter().any(|end| name.ends_with(end))
            };
            let says = |node: Option<&Node>| {
                node.and_then(Node::text)
                    .is_some_and(|text| !text.is_empty())
            };
            let message = if node.text().is_some_and(is_private) {
                "this is a private key"
            } else if is_secret(key) && says(Some(node)) {
                "this looks like a secret in plain text"
            } else if is_secret(node.text_at(&["name"])) && says(node.get("value")) {
                // An environment variable.
                "this looks like a secret in plain text"
            } else {
                return;
            };
            complaints.add(file, at, Wrong::new(message, HINT));
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitops::yaml;

    #[test]
    fn secrets_are_found_and_not_shown() {
        for (text, count) in [
            ("kind: Secret\ndata: {a: YQ==}", 1),
            ("kind: Secret\nstringData: {a: hunter2}", 1),
            ("kind: Secret\ndata: {}", 0),
            ("admin: {password: hunter2}", 1),
            ("admin: {password: ''}", 0),
            ("admin: {existingSecret: a, passwordKey: p}", 0),
            ("env: [{name: DB_PASSWORD, value: hunter2}]", 1),
            (
                "env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: a, key: password}}}]",
                0,
            ),
            ("apiTokenSecretRef: {name: a, key: token}", 0),
            (
                "data: {key: \"-----BEGIN OPENSSH PRIVATE KEY-----\\nhunter2\"}",
                1,
            ),
        ] {
            let mut complaints = Complaints::default();
            check("f", &yaml::document(text).expect("YAML"), &mut complaints);
            let problems = complaints.into_problems(&crate::gitops::Tree::default());
            let count_found = problems.as_ref().map_or(0, |all| all.iter().count());
            assert_eq!(count_found, count, "{text}: {problems:?}");
            let said = problems.map(|all| all.to_string()).unwrap_or_default();
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
