//! Applications: those that stand in the tree, and those its ApplicationSets make.

pub(super) mod check;
pub(super) mod generate;
pub(super) mod project;
mod template;

use serde_json::{Value, json};

use super::complaints::Complaints;
use super::object::Object;
use crate::config::problem::Wrong;
use generate::Checkout;

pub(super) use template::fill_text;

/// An Application, as Argo CD would have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// The namespace of what it deploys.
    pub namespace: String,
    /// Its AppProject.
    pub project: String,
    /// Whether it makes the namespace.
    pub makes_namespace: bool,
    /// The cluster.
    pub server: String,
    /// Where it takes it from; at least one.
    pub sources: Vec<Source>,
    /// The file that says so, by its path in the tree, and where.
    pub file: String,
    /// Line and column.
    pub at: (usize, usize),
}

/// Where an Application's manifests come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The repository.
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// The folder in it.
    pub path: String,
    /// Values of a chart, by their paths in the repository.
    pub value_files: Vec<String>,
    /// Whether it takes only some of the folder's files: those of Argo CD's own.
    pub picks: bool,
}

impl Application {
    /// Reads one from its JSON.
    fn of(json: &Value, file: &str, at: (usize, usize)) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &json["spec"];
        let single = spec.get("source").into_iter();
        let several = spec["sources"].as_array().into_iter().flatten();
        let options = spec["syncPolicy"]["syncOptions"].as_array();
        Self {
            name: text(&json["metadata"]["name"]),
            namespace: text(&spec["destination"]["namespace"]),
            project: text(&spec["project"]),
            makes_namespace: options
                .is_some_and(|options| options.contains(&json!("CreateNamespace=true"))),
            server: text(&spec["destination"]["server"]),
            sources: single.chain(several).map(Source::of).collect(),
            file: file.to_owned(),
            at,
        }
    }
}

impl Source {
    fn of(json: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let path = text(&json["path"]);
        let files = json["helm"]["valueFiles"].as_array().into_iter().flatten();
        // With a slash in front they begin at the repository, else at the chart.
        let value_files = files.filter_map(Value::as_str);
        let value_files = value_files.map(|file| match file.strip_prefix('/') {
            Some(file) => file.to_owned(),
            None => format!("{path}/{file}"),
        });
        Self {
            repository: text(&json["repoURL"]),
            revision: text(&json["targetRevision"]),
            value_files: value_files.collect(),
            picks: json["directory"].get("include").is_some(),
            path,
        }
    }
}

/// The Applications among these objects and those that ApplicationSets among them make.
pub(super) fn expand(
    objects: &[Object],
    checkout: Checkout<'_>,
    complaints: &mut Complaints,
) -> Vec<Application> {
    let mut all = Vec::new();
    for object in objects {
        let (json, file, at) = (object.node.to_json(), &object.file, object.node.at);
        match object.kind() {
            "Application" => all.push(Application::of(&json, file, at)),
            "ApplicationSet" => match made(&json, checkout) {
                Ok(made) => all.extend(made.iter().map(|json| Application::of(json, file, at))),
                Err(message) => {
                    let place = object.node.place(["spec", "generators"]);
                    let hint = "mend it: Argo CD would make no Application of it, or others";
                    complaints.add(file, place, Wrong::new(message, hint));
                }
            },
            _ => {}
        }
    }
    all
}

fn made(set: &Value, checkout: Checkout<'_>) -> Result<Vec<Value>, String> {
    let spec = &set["spec"];
    if spec["goTemplate"] != true || spec["goTemplateOptions"] != json!(["missingkey=error"]) {
        return Err(
            "set goTemplate: true and goTemplateOptions: [\"missingkey=error\"], or a mistyped \
             parameter becomes the text <no value>"
                .to_owned(),
        );
    }
    let mut all = Vec::new();
    for generator in spec["generators"].as_array().into_iter().flatten() {
        for parameters in generate::parameters(generator, checkout)? {
            let template = template::fill(&spec["template"], &parameters)?;
            all.push(template);
        }
    }
    Ok(all)
}
