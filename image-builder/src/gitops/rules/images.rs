//! No image without a tag: what runs is what Git says, today and at the next restart.

use super::walk;
use crate::config::problem::{Wrong, quoted};
use crate::gitops::complaints::Complaints;
use crate::gitops::yaml::Node;

/// Looks at every image that a document names.
pub(in crate::gitops) fn check(file: &str, document: &Node, complaints: &mut Complaints) {
    // What a ConfigMap holds is not for Kubernetes.
    if ["ConfigMap", "Secret"].contains(&document.text_at(&["kind"])) {
        return;
    }
    walk(
        document,
        &mut Vec::new(),
        document.at,
        &mut |path, at, node| {
            let key = path.last().copied().unwrap_or_default();
            let wrong = match (key, node.text()) {
                ("image" | "imageName", Some(image)) => untagged(image),
                _ => node.get("repository").and_then(|repository| {
                    repository.text()?;
                    tag(node.get("tag"))
                }),
            };
            if let Some(wrong) = wrong {
                complaints.add(file, at, wrong);
            }
        },
    );
}

/// An image by one text: registry, name, tag or digest.
fn untagged(image: &str) -> Option<Wrong> {
    let hint = "write the version that is to run, such as name:1.2.3";
    if image.contains('@') {
        return None;
    }
    // A colon before the last slash is a port.
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        Some((_, "latest")) => Some(Wrong::new(
            "the image's tag is `latest`, which is another every week",
            hint,
        )),
        Some((name, tag)) if !name.is_empty() && !tag.is_empty() => None,
        _ => Some(Wrong::new(
            format!("the image {} has no tag", quoted(image)),
            hint,
        )),
    }
}

/// An image by several keys. Without `tag` it is the chart's own, which is pinned with
/// the chart.
fn tag(tag: Option<&Node>) -> Option<Wrong> {
    let hint = "write a version, or leave `tag` out to take the chart's";
    match tag?.text() {
        Some("latest") => Some(Wrong::new(
            "the image's tag is `latest`, which is another every week",
            hint,
        )),
        Some(_) => None,
        None => Some(Wrong::new("the image's tag is no text", "put it in quotes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitops::yaml;

    #[test]
    fn tags() {
        for good in ["a:1", "r.io:5000/b/a:v1.2", "a@sha256:00", "a:1@sha256:00"] {
            assert_eq!(untagged(good), None, "{good}");
        }
        for bad in ["a", "a:latest", "r.io:5000/a", "a:", ":1", ""] {
            assert!(untagged(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn every_form_is_found() {
        for (text, count) in [
            ("spec: {containers: [{image: a}, {image: b:1}]}", 1),
            ("spec: {imageName: pg}", 1),
            ("image: {repository: a, tag: latest}", 1),
            ("image: {repository: a, tag: 1.5}", 1),
            ("image: {repository: a, tag: v1}\nother: {repository: b}", 0),
            ("kind: ConfigMap\ndata: {image: a}", 0),
        ] {
            let mut complaints = Complaints::default();
            check("f", &yaml::document(text).expect("YAML"), &mut complaints);
            let tree = crate::gitops::Tree::default();
            let found = complaints
                .into_problems(&tree)
                .map_or(0, |all| all.iter().count());
            assert_eq!(found, count, "{text}");
        }
    }
}
