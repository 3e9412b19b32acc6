//! AppProjects: what an Application may take, and where it may put it.

use serde_json::Value;

use crate::gitops::object::Object;

/// What a project permits.
#[derive(Debug, Clone)]
pub(in crate::gitops) struct Project {
    pub(in crate::gitops) name: String,
    /// The file it stands in.
    pub(in crate::gitops) file: String,
    sources: Vec<String>,
    /// Server and namespace.
    destinations: Vec<(String, String)>,
    /// Group and kind.
    cluster_kinds: Vec<(String, String)>,
    refused_kinds: Vec<(String, String)>,
}

impl Project {
    /// The projects among these objects.
    pub(in crate::gitops) fn all(objects: &[Object]) -> Vec<Self> {
        let projects = objects
            .iter()
            .filter(|object| object.kind() == "AppProject");
        projects.map(Self::of).collect()
    }

    fn of(object: &Object) -> Self {
        let json = object.node.to_json();
        let spec = &json["spec"];
        let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = |key: &str, first: &str, second: &str| {
            let items = list(key);
            let pairs = items
                .iter()
                .map(|item| (text(&item[first]), text(&item[second])));
            pairs.collect::<Vec<_>>()
        };
        Self {
            name: object.name().to_owned(),
            file: object.file.clone(),
            sources: list("sourceRepos").iter().map(text).collect(),
            destinations: pairs("destinations", "server", "namespace"),
            cluster_kinds: pairs("clusterResourceWhitelist", "group", "kind"),
            refused_kinds: pairs("namespaceResourceBlacklist", "group", "kind"),
        }
    }

    pub(in crate::gitops) fn permits_source(&self, repository: &str) -> bool {
        self.sources
            .iter()
            .any(|source| matches(source, repository))
    }

    pub(in crate::gitops) fn permits_destination(&self, server: &str, namespace: &str) -> bool {
        self.destinations
            .iter()
            .any(|(to, into)| matches(to, server) && matches(into, namespace))
    }

    /// Kinds beside namespaces are refused unless they are named.
    pub(in crate::gitops) fn permits_in_cluster(&self, group: &str, kind: &str) -> bool {
        let mut kinds = self.cluster_kinds.iter();
        kinds.any(|(of, named)| matches(of, group) && matches(named, kind))
    }

    /// Kinds in namespaces are permitted unless they are refused.
    pub(in crate::gitops) fn permits_in_namespace(&self, group: &str, kind: &str) -> bool {
        let mut kinds = self.refused_kinds.iter();
        !kinds.any(|(of, named)| matches(of, group) && matches(named, kind))
    }
}

/// A star is anything, at the end of a word too.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitops::complaints::Complaints;
    use crate::gitops::object;

    #[test]
    fn a_project_permits_what_it_names() {
        let text = "\
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: p}
spec:
  sourceRepos: [https://git/one.git, 'https://charts/*']
  destinations: [{server: here, namespace: a}]
  clusterResourceWhitelist: [{group: '', kind: Namespace}]
  namespaceResourceBlacklist: [{group: argoproj.io, kind: '*'}]
";
        let objects = object::read("p.yaml", text, &mut Complaints::default());
        let [project] = Project::all(&objects).try_into().expect("one");
        assert!(project.permits_source("https://git/one.git"));
        assert!(project.permits_source("https://charts/any"));
        assert!(!project.permits_source("https://git/two.git"));
        assert!(project.permits_destination("here", "a"));
        assert!(!project.permits_destination("here", "b"));
        assert!(!project.permits_destination("there", "a"));
        assert!(project.permits_in_cluster("", "Namespace"));
        assert!(!project.permits_in_cluster("rbac.authorization.k8s.io", "ClusterRole"));
        assert!(project.permits_in_namespace("", "Secret"));
        assert!(!project.permits_in_namespace("argoproj.io", "Application"));
    }
}
