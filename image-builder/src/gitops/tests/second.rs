//! A second opinion: another reader of YAML, of version 1.1 as Kubernetes' is, reads the
//! same from every file.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

const READ: &str = "\
import json, sys, yaml
files = json.load(sys.stdin)
json.dump({path: list(yaml.safe_load_all(text)) for path, text in files.items()}, sys.stdout, default=str)
";

#[test]
fn another_reader_of_yaml_reads_the_same() {
    let tree = tree();
    let upstream = upstream();
    let own = tree
        .paths()
        .filter(|path| {
            object::is_yaml(path)
                && !path.contains("/templates/")
                && !path.starts_with(tree::CHARTS)
        })
        .map(|path| (path.to_owned(), tree.text(path).expect("text")));
    // Charts' own defaults are read too, with all that others write.
    let others = upstream
        .paths()
        .filter(|path| path.ends_with("/values.yaml"))
        .map(|path| (path.to_owned(), upstream.text(path).expect("text")));
    let files: std::collections::BTreeMap<String, String> = own.chain(others).collect();
    assert!(files.len() > 50, "{}", files.len());

    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3; ci/setup installs it");
    let input = serde_json::to_vec(&files).expect("JSON");
    let mut stdin = python.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = python.wait_with_output().expect("its output");
    writer.join().expect("no panic").expect("written");
    assert!(output.status.success());
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");

    for (path, text) in &files {
        let whose = match path.starts_with("charts/") {
            true => yaml::Whose::Others,
            false => yaml::Whose::Own,
        };
        let ours = yaml::documents_of(text, whose)
            .unwrap_or_else(|(at, wrong)| panic!("{path}:{at:?}: {wrong:?}"));
        let ours: serde_json::Value = ours.iter().map(yaml::Node::to_json).collect();
        assert_eq!(ours, theirs[path], "{path}");
    }
}

/// Helm is in no distribution's packages, and vendored charts come over the network, so
/// this is no part of the one check: `ci/soak` runs it where there is a helm.
#[test]
#[ignore = "needs helm; ci/soak runs it"]
fn helm_renders_every_chart_that_is_here_into_good_objects() {
    let (tree, root) = (tree(), repository().join("cluster"));
    let known = Known::embedded().with(&tree);
    let mut rendered = 0;
    for Listed { application, .. } in checked(&tree).applications {
        for source in &application.sources {
            let inside =
                |path: &str| root.join(path.strip_prefix("cluster/").expect("in the tree"));
            let chart = inside(&source.path);
            if !chart.join("Chart.yaml").is_file() {
                continue;
            }
            let mut helm = Command::new("helm");
            helm.args([
                "template",
                &application.name,
                "--namespace",
                &application.namespace,
            ]);
            helm.args(["--include-crds", "--kube-version", "1.35.0"])
                .arg(&chart);
            for file in &source.value_files {
                helm.arg("--values").arg(inside(file));
            }
            let output = helm.output().expect("helm on PATH");
            assert!(
                output.status.success(),
                "{}: {}",
                application.name,
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8(output.stdout).expect("text");
            let mut complaints = Complaints::default();
            let documents = yaml::documents_of(&text, yaml::Whose::Others);
            let documents = documents
                .unwrap_or_else(|(at, wrong)| panic!("{}:{at:?}: {wrong:?}", application.name));
            for node in documents.into_iter().filter(|node| !node.is_empty()) {
                let object = Object {
                    file: application.name.clone(),
                    node,
                };
                // What a chart's own operator defines is not all known here.
                if kinds::builtin::find(object.api_version(), object.kind()).is_some() {
                    kinds::check(&object, &known, &mut complaints);
                }
            }
            let problems = complaints.into_problems(&tree);
            assert!(problems.is_none(), "{}: {problems:?}", application.name);
            rendered += 1;
        }
    }
    assert!(rendered > 0, "no chart is here, not even the tree's own");
}
