//! The tree as it is.

use std::fmt::Write as _;

use super::*;

#[test]
fn the_tree_has_no_problem() {
    assert_eq!(said(&tree()), "");
}

#[test]
fn the_applications_are_these() {
    let mut list = String::new();
    for Listed { application, runs } in checked(&tree()).applications {
        let Application {
            name,
            namespace,
            project,
            sources,
            ..
        } = application;
        let runs = if runs { "on" } else { "off" };
        let _ = writeln!(list, "{name}  {runs}  {namespace}  {project}");
        for source in sources {
            let _ = writeln!(
                list,
                "    {}  {}",
                source.path,
                source.value_files.join(" ")
            );
        }
    }
    let list = list.replace("  \n", "\n");
    let path = repository().join("image-builder/src/gitops/tests/applications.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &list).expect("written");
    }
    let golden = std::fs::read_to_string(&path).expect("applications.txt");
    assert!(
        golden == list,
        "the tree makes other Applications than applications.txt says; if that is meant, run \
         UPDATE_GOLDEN=1 cargo test -p image-builder --lib gitops\n{list}"
    );
}

#[test]
fn every_chart_is_looked_at_but_those_without_defaults() {
    let notes = checked(&tree()).notes.join("\n");
    assert_eq!(notes.lines().count(), WITHOUT_DEFAULTS.len(), "{notes}");
    for chart in WITHOUT_DEFAULTS {
        assert!(
            notes.contains(&format!("its chart {chart} is not vendored")),
            "{notes}"
        );
    }
}

#[test]
fn every_dashboard_is_json_with_an_id_of_its_own() {
    let tree = tree();
    let mut ids = BTreeSet::new();
    for path in tree.below("kube-apps/manifests/observability/monitoring/dashboards") {
        let text = tree.text(path).expect("text");
        let document = yaml::document(&text).expect("YAML");
        let data = document.get("data").expect("data");
        for (name, _, content) in data.entries() {
            let dashboard: serde_json::Value =
                serde_json::from_str(content.text().expect("text")).expect(name);
            let id = dashboard["uid"].as_str().expect("a uid").to_owned();
            assert!(ids.insert(id), "{name}: its uid is another's");
            let panels = dashboard["panels"].as_array().expect("panels");
            for panel in panels {
                let targets = panel["targets"].as_array().expect("targets");
                assert!(!targets.is_empty(), "{name}: {}", panel["title"]);
            }
        }
    }
    assert_eq!(ids.len(), 6);
}
