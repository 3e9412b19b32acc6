//! What K3s would read.

use std::fs;

use node_config::handover::{Credential, helm_chart};
use node_config::paths;
use saphyr_parser::{Event, Parser};

use super::{Handover, HandoverError};
use crate::plan::{GitOps, Trust};
use crate::secrets::Repository;

/// The keys and values of a YAML document, in order.
fn read(text: &str) -> Vec<String> {
    let events = Parser::new_from_str(text).map(|event| event.expect(text).0);
    let texts = events.filter_map(|event| match event {
        Event::Scalar(text, ..) => Some(text.into_owned()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn the_values_reach_k3s_as_they_are() {
    for values in [
        "",
        "a: 1",
        "a: 1\n",
        "a: 1\n\n\n",
        "\n\n# first\na:\n  b: |\n    text\n\n    more\n",
        "    a: 1\n    b: \"x: y # no comment\"\n",
        "a: '---'\n---\nb: 2\n",
        "- %{KUBERNETES_API}%\n- \"{{ .Values }}\"\n",
    ] {
        let read = read(&helm_chart("argo-cd-1.0.0.tgz", values));
        assert_eq!(read.last().map(String::as_str), Some(values), "{values:?}");
    }
}

#[test]
fn argo_cd_is_installed_as_the_tree_takes_it_over() {
    let read = read(&helm_chart("argo-cd-10.1.1.tgz", "a: 1\n"));
    let expected = [
        "apiVersion helm.cattle.io/v1",
        "kind HelmChart",
        "metadata name argocd namespace kube-system",
        "spec chart https://%{KUBERNETES_API}%/static/charts/argo-cd-10.1.1.tgz",
        "targetNamespace argocd createNamespace true valuesContent a: 1\n",
    ];
    assert_eq!(read.join(" "), expected.join(" "));
}

#[test]
fn files_go_where_k3s_looks() {
    let handover =
        Handover(["a: 1\n", "kind: AppProject\n", "kind: Application\n"].map(str::to_owned));
    let files = handover.files("10.1.1", "archive".into());
    let paths: Vec<_> = files
        .iter()
        .map(|file| (file.path.as_str(), file.mode))
        .collect();
    let [chart, projects, root] = paths::K3S_HANDOVER;
    let archive = "/var/lib/rancher/k3s/server/static/charts/argo-cd-10.1.1.tgz";
    let unit = "/etc/systemd/system/imgbuild-handover.service";
    assert_eq!(
        paths,
        [
            (archive, 0o644),
            (chart, 0o600),
            (projects, 0o600),
            (root, 0o600),
            (unit, 0o644)
        ]
    );
    assert_eq!(files[3].content.inline(), Some(&b"kind: Application\n"[..]));
    // K3s names what it applies by the file, up to the first dot, and wants a name
    // that Kubernetes takes; and it takes the files in the order of their paths.
    let [chart, projects, root] = paths::K3S_HANDOVER;
    let all = [chart, projects, root, paths::K3S_REPOSITORY];
    let names = all.map(|path| {
        path.rsplit('/')
            .next()
            .and_then(|name| name.split('.').next())
    });
    let is_name = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    assert!(names.iter().flatten().all(|name| is_name(name)));
    assert!(all.is_sorted());
}

#[test]
fn the_agent_is_told_where_from_once_it_is_said_whose() {
    let mut gitops = GitOps {
        repository: "git@git.home.arpa:a.git".into(),
        revision: "main".into(),
        path: "cluster".into(),
        trust: None,
        ca: Some("a CA\n".into()),
        pool: None,
    };
    let key = Repository::Key {
        key: "canary-key\n".into(),
        known_hosts: "git.home.arpa ssh-ed25519 AAAA\n".into(),
    };
    assert_eq!(
        super::told("10.1.1", Some(&gitops), Some(&key)).source,
        None
    );
    gitops.trust = Some(Trust::Commit("0a".repeat(20)));
    let told = super::told("10.1.1", Some(&gitops), Some(&key));
    assert_eq!(told.chart, "argo-cd-10.1.1.tgz");
    let source = told.source.expect("some");
    assert_eq!(source.path_of("root.yaml"), "cluster/bootstrap/root.yaml");
    assert_eq!(source.known_hosts.as_deref(), key.known_hosts());
    assert_eq!(source.ca.as_deref(), Some("a CA\n"));
    // It is told in a file that everybody can read.
    assert!(!format!("{source:?}").contains("canary"));

    let file = super::credential(&gitops, &key);
    assert_eq!(
        (file.path.as_str(), file.mode),
        (paths::K3S_REPOSITORY, 0o600)
    );
    assert!(!format!("{file:?}").contains("canary"), "{file:?}");
    let text = str::from_utf8(file.content.inline().expect("a text")).expect("UTF-8");
    assert_eq!(Credential::parse(text), Some(key.credential()));
}

#[test]
fn the_texts_are_all_there_or_none_is() {
    let dir = tempfile::tempdir().expect("directory");
    assert_eq!(Handover::load(dir.path()).expect("none"), None);
    let bootstrap = dir.path().join("bootstrap");
    fs::create_dir(&bootstrap).expect("folder");
    for name in ["root.yaml", "argocd-values.yaml", "project.yaml"] {
        let error = Handover::load(dir.path()).expect_err("some are missing");
        assert!(matches!(error, HandoverError::File { .. }), "{error}");
        fs::write(bootstrap.join(name), name).expect("file");
    }
    let handover = Handover::load(dir.path()).expect("read").expect("there");
    assert_eq!(handover.0, node_config::handover::TEXTS.map(str::to_owned));
    fs::write(bootstrap.join("root.yaml"), [0xff]).expect("file");
    let error = Handover::load(dir.path()).expect_err("no text");
    assert!(
        error.to_string().ends_with("root.yaml is not UTF-8"),
        "{error}"
    );
}

#[test]
fn systemd_takes_the_unit() {
    let dir = tempfile::tempdir().expect("directory");
    let text = super::unit::text();
    for path in paths::K3S_HANDOVER {
        assert!(text.contains(&format!("{path}.skip")), "{text}");
    }
    // The programs of a node are not all here.
    let here = text.replace("/usr/local/bin/k3s", "/bin/true");
    fs::write(dir.path().join(super::UNIT), here).expect("unit");
    fs::write(
        dir.path().join("k3s.service"),
        "[Service]\nExecStart=/bin/true\n",
    )
    .expect("unit");
    let verify = crate::cmd::Cmd::new("systemd-analyze", "run ci/setup");
    let said = verify
        .arg("verify")
        .arg("--man=no")
        .arg(dir.path().join(super::UNIT))
        .run(&[0])
        .expect("verified");
    assert_eq!(String::from_utf8_lossy(&said.stderr), "");
}
