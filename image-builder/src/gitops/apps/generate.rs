//! The generators of an ApplicationSet, as far as they look into Git: `git` by files and
//! by directories, and `matrix` of two. What they give is what Argo CD gives (docs:
//! ApplicationSet, Git generator, Matrix generator).

use serde_json::{Value, json};

use super::template::fill;
use crate::gitops::tree::Tree;
use crate::gitops::yaml;

/// A repository with a tree in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::gitops) struct Checkout<'t> {
    pub(in crate::gitops) tree: &'t Tree,
    /// The tree's folder in the repository, `cluster`; nothing if it is all of it.
    pub(in crate::gitops) folder: &'t str,
}

impl<'t> Checkout<'t> {
    /// A path in the repository as one in the tree; nothing if it leads elsewhere.
    pub(in crate::gitops) fn inside<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.folder {
            "" => Some(path),
            folder => path.strip_prefix(folder)?.strip_prefix('/'),
        }
    }

    fn outside(&self, path: &str) -> String {
        match self.folder {
            "" => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }
}

/// The parameters that a generator gives, one set an Application.
///
/// # Errors
/// When it is of a kind that is not known here, or reads what is not right.
pub(in crate::gitops) fn parameters(
    generator: &Value,
    checkout: Checkout<'_>,
) -> Result<Vec<Value>, String> {
    if let Some(git) = generator.get("git") {
        return git_parameters(git, checkout);
    }
    if let Some(matrix) = generator.get("matrix") {
        return matrix_parameters(matrix, checkout);
    }
    let kind = generator.as_object().and_then(|table| table.keys().next());
    Err(format!(
        "the generator `{}` is not known here; use git, or matrix of two",
        kind.map_or("", String::as_str)
    ))
}

fn matrix_parameters(matrix: &Value, checkout: Checkout<'_>) -> Result<Vec<Value>, String> {
    let generators = matrix["generators"].as_array().map(Vec::as_slice);
    let Some([first, second]) = generators else {
        return Err("a matrix has two generators, no more and no fewer".to_owned());
    };
    let mut all = Vec::new();
    for outer in parameters(first, checkout)? {
        let second = fill(second, &outer)?;
        for inner in parameters(&second, checkout)? {
            let mut both = outer.clone();
            for (key, value) in inner.as_object().into_iter().flatten() {
                if both.get(key).is_some_and(|other| other != value) {
                    return Err(format!(
                        "both generators of a matrix give `{key}`; set pathParamPrefix on one"
                    ));
                }
                both[key] = value.clone();
            }
            all.push(both);
        }
    }
    Ok(all)
}

fn git_parameters(git: &Value, checkout: Checkout<'_>) -> Result<Vec<Value>, String> {
    let paths = |key: &str| {
        let items = git[key].as_array().into_iter().flatten();
        items.filter_map(|item| Some((item["path"].as_str()?, item["exclude"] == true)))
    };
    let prefix = git["pathParamPrefix"].as_str();
    let mut all = Vec::new();
    for (pattern, exclude) in paths("files") {
        if exclude {
            return Err("files that are excluded are not known here".to_owned());
        }
        for file in checkout.tree.paths() {
            let path = checkout.outside(file);
            if !across(pattern, &path) {
                continue;
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or((".", &path));
            for content in contents(checkout.tree, file)? {
                let mut place = place(folder);
                place["filename"] = Value::from(name);
                all.push(merged(content, place, prefix)?);
            }
        }
    }
    let (excluded, wanted): (Vec<_>, Vec<_>) =
        paths("directories").partition(|(_, exclude)| *exclude);
    for folder in folders(checkout) {
        let is = |patterns: &[(&str, bool)]| {
            let mut patterns = patterns.iter();
            patterns.any(|(pattern, _)| within(pattern, &folder))
        };
        let is_hidden = folder.split('/').any(|part| part.starts_with('.'));
        if is(&wanted) && !is(&excluded) && !is_hidden {
            all.push(merged(json!({}), place(&folder), prefix)?);
        }
    }
    Ok(all)
}

/// A file's tables: it is one, or a list of them.
fn contents(tree: &Tree, file: &str) -> Result<Vec<Value>, String> {
    let text = tree.text(file).unwrap_or_default();
    let read = yaml::document(&text);
    let read = read.map_err(|(at, wrong)| format!("{file}:{}: {}", at.0, wrong.message))?;
    let tables = match read.to_json() {
        Value::Array(items) => items,
        one => vec![one],
    };
    match tables.iter().all(Value::is_object) {
        true => Ok(tables),
        false => Err(format!("{file} is neither a table nor a list of tables")),
    }
}

fn place(folder: &str) -> Value {
    let basename = folder.rsplit('/').next().unwrap_or(folder);
    json!({
        "path": folder,
        "basename": basename,
        "segments": folder.split('/').collect::<Vec<_>>(),
    })
}

fn merged(mut content: Value, place: Value, prefix: Option<&str>) -> Result<Value, String> {
    let place = json!({"path": place});
    let (key, value) = match prefix {
        Some(prefix) => (prefix, place),
        None => ("path", place["path"].clone()),
    };
    if content.get(key).is_some() {
        return Err(format!(
            "a file says `{key}`, which the generator says itself"
        ));
    }
    content[key] = value;
    Ok(content)
}

/// Every folder, by its path in the repository.
fn folders(checkout: Checkout<'_>) -> Vec<String> {
    let mut folders = std::collections::BTreeSet::new();
    for path in checkout.tree.paths() {
        let path = checkout.outside(path);
        let ends = path.match_indices('/').map(|(end, _)| end);
        folders.extend(ends.map(|end| path[..end].to_owned()));
    }
    folders.into_iter().collect()
}

/// As git matches a path that names files (gitglossary, pathspec): `*` takes slashes too.
fn across(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = path.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// As Go's `path.Match`, which directories are matched by: `*` stays within a level.
fn within(pattern: &str, path: &str) -> bool {
    let (patterns, parts) = (pattern.split('/'), path.split('/'));
    patterns.clone().count() == parts.clone().count()
        && patterns
            .zip(parts)
            .all(|(pattern, part)| across(pattern, part))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree() -> Tree {
        let files = [
            ("sets.yaml", "- set: one\n- set: two\n"),
            ("values/one/ns/app/app.yaml", "chart: c\n"),
            ("values/one/ns/app/values.yaml", ""),
            ("values/two/ns/deep/er/app.yaml", "chart: d\n"),
            ("manifests/one/ns/raw/a.yaml", ""),
            ("manifests/one/ns/raw/more/b.yaml", ""),
            ("manifests/one/ns/.hidden/a.yaml", ""),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        Tree::of(Path::new("t"), files)
    }

    fn names(generator: Value) -> Result<Vec<String>, String> {
        let tree = tree();
        let checkout = Checkout {
            tree: &tree,
            folder: "c",
        };
        let all = parameters(&generator, checkout)?;
        let path = |one: &Value| one["path"]["path"].as_str().map(str::to_owned);
        Ok(all.iter().filter_map(path).collect())
    }

    #[test]
    fn directories_match_level_by_level() {
        let git = |pattern: &str| json!({"git": {"directories": [{"path": pattern}]}});
        assert_eq!(
            names(git("c/manifests/one/*/*")),
            Ok(vec!["c/manifests/one/ns/raw".to_owned()])
        );
        assert_eq!(
            names(git("c/manifests/*")),
            Ok(vec!["c/manifests/one".to_owned()])
        );
        assert_eq!(names(git("manifests/*")), Ok(vec![]));
        let but = json!({"git": {"directories": [
            {"path": "c/manifests/one/ns/*"}, {"path": "c/*/one/ns/raw", "exclude": true},
        ]}});
        assert_eq!(names(but), Ok(vec![]));
    }

    #[test]
    fn files_match_across_levels_as_git_does() {
        let git = json!({"git": {"files": [{"path": "c/values/*/*/app.yaml"}]}});
        let expected = ["c/values/one/ns/app", "c/values/two/ns/deep/er"];
        assert_eq!(names(git), Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_matrix_fills_the_second_from_the_first() {
        let sets = json!({"git": {"files": [{"path": "c/sets.yaml"}], "pathParamPrefix": "sets"}});
        let apps = |set: &str| json!({"git": {"directories": [{"path": format!("c/manifests/{set}/*/*")}]}});
        let matrix =
            |first: Value, second: Value| json!({"matrix": {"generators": [first, second]}});
        let found = names(matrix(sets.clone(), apps("{{ .set }}")));
        assert_eq!(found, Ok(vec!["c/manifests/one/ns/raw".to_owned()]));
        let error = names(matrix(sets.clone(), apps("{{ .sett }}"))).expect_err("a mistake");
        assert_eq!(error, "there is no parameter `.sett`");
        let clash = json!({"git": {"files": [{"path": "c/sets.yaml"}]}});
        let error = names(matrix(clash, apps("one"))).expect_err("a clash");
        assert!(error.contains("set pathParamPrefix on one"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_said() {
        let error = names(json!({"clusters": {}})).expect_err("not known");
        assert!(
            error.starts_with("the generator `clusters` is not known"),
            "{error}"
        );
    }

    #[test]
    fn stars() {
        for (pattern, path, is) in [
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/b/c", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*", "", true),
        ] {
            assert_eq!(across(pattern, path), is, "{pattern} {path}");
        }
        assert!(!within("a/*/c", "a/b/b/c") && within("a/*/c", "a/b/c"));
    }
}
