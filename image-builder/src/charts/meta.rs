//! `Chart.yaml`: what a chart says it is (helm.sh, "Charts").

use super::wanted::name;
use super::yaml::{Events, Item, YamlError, form};

/// The most of a text that is in memory, in bytes: Helm takes no longer file.
const LIMIT: u64 = 5 << 20;

/// What is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of what it installs.
    pub app_version: Option<String>,
    /// The names of the charts that must be in it.
    pub dependencies: Vec<String>,
}

impl Meta {
    /// Reads a `Chart.yaml`.
    ///
    /// # Errors
    /// When it is none, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let texts =
            texts(bytes).map_err(|error| format!("its Chart.yaml cannot be read: {error}"))?;
        let missing = |key: &str| format!("its Chart.yaml has no `{key}`");
        Ok(Self {
            name: name(&texts.name.ok_or_else(|| missing("name"))?)?,
            version: texts.version.ok_or_else(|| missing("version"))?,
            app_version: texts.app_version.filter(|text| !text.is_empty()),
            dependencies: names(&texts.dependencies)?,
        })
    }

    /// Adds what a `requirements.yaml` asks for, where charts of Helm 2 have that.
    ///
    /// # Errors
    /// When it is none, in words.
    pub fn add_requirements(&mut self, bytes: &[u8]) -> Result<(), String> {
        let texts = texts(bytes)
            .map_err(|error| format!("its requirements.yaml cannot be read: {error}"))?;
        self.dependencies.extend(names(&texts.dependencies)?);
        Ok(())
    }
}

/// What is read of either file.
#[derive(Default)]
struct Texts {
    name: Option<String>,
    version: Option<String>,
    app_version: Option<String>,
    dependencies: Vec<String>,
}

fn texts(bytes: &[u8]) -> Result<Texts, YamlError> {
    let mut events = Events::of_map(bytes, LIMIT)?;
    let mut texts = Texts::default();
    while let Some(key) = events.key()? {
        match key.as_str() {
            "name" => texts.name = events.text(&key)?,
            "version" => texts.version = events.text(&key)?,
            "appVersion" => texts.app_version = events.text(&key)?,
            "dependencies" => texts.dependencies = dependencies(&mut events)?,
            _ => events.skip()?,
        }
    }
    events.finish()?;
    Ok(texts)
}

fn dependencies(events: &mut Events<'_, &[u8]>) -> Result<Vec<String>, YamlError> {
    let mut found = Vec::new();
    if !events.list("dependencies")? {
        return Ok(found);
    }
    loop {
        match events.next()? {
            Item::End => return Ok(found),
            Item::Map => {}
            _ => return Err(form("one of its `dependencies` is no table")),
        }
        let mut name = None;
        while let Some(key) = events.key()? {
            match key.as_str() {
                "name" => name = events.text(&key)?,
                _ => events.skip()?,
            }
        }
        found.push(name.ok_or_else(|| form("one of its `dependencies` has no name"))?);
    }
}

fn names(texts: &[String]) -> Result<Vec<String>, String> {
    texts.iter().map(|text| name(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_of_both_generations() {
        let text = "apiVersion: v2\nname: a-b\nversion: v1.2.3\nappVersion: 1.10\nicon: x\n\
                    dependencies:\n- name: c\n  version: ~1.0\n  alias: d\n- {name: e, condition: e.enabled}\n";
        let mut meta = Meta::parse(text.as_bytes()).expect("chart");
        assert_eq!(
            (meta.name.as_str(), meta.version.as_str()),
            ("a-b", "v1.2.3")
        );
        // As written: it is no number.
        assert_eq!(meta.app_version.as_deref(), Some("1.10"));
        assert_eq!(meta.dependencies, ["c", "e"]);
        meta.add_requirements(b"dependencies: []\n").expect("empty");
        meta.add_requirements(b"dependencies:\n- name: f\n")
            .expect("requirements");
        assert_eq!(meta.dependencies, ["c", "e", "f"]);
        let bare = Meta::parse(b"name: a\nversion: 1.0.0\nappVersion: \"\"\ndependencies:\n")
            .expect("bare");
        assert_eq!((bare.app_version, bare.dependencies), (None, Vec::new()));
    }

    #[test]
    fn what_is_no_chart_is_refused() {
        for bad in [
            "",
            "name: a\n",
            "version: 1.0.0\n",
            "name: ../a\nversion: 1.0.0\n",
            "name: a\nversion: 1.0.0\ndependencies: [{name: ../../b}]\n",
            "- name: a\n",
            "name: [a]\nversion: 1.0.0\n",
            "{",
        ] {
            assert!(Meta::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
