//! Kubernetes' own kinds, as the `k8s-openapi` crate has them for the minor version that
//! a cluster gets by default.
//!
//! Its types take unknown keys and do without required ones; both are found here: the
//! first by who asks to ignore them, the second by writing the value out again, which
//! adds what was missing.

use std::any::TypeId;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{NamespaceResourceScope, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Scope;
use crate::config::problem::Wrong;

/// A complaint and the keys and indices that lead to its place.
pub(in crate::gitops) type At = (Vec<String>, Wrong);

/// One kind.
pub(in crate::gitops) struct Builtin {
    version: &'static str,
    kind: &'static str,
    /// Where its objects lie.
    pub(super) scope: Scope,
    strict: fn(&Value) -> Vec<At>,
}

impl Builtin {
    /// What is wrong with an object of this kind.
    pub(in crate::gitops) fn check(&self, object: &Value) -> Vec<At> {
        (self.strict)(object)
    }
}

/// The kind, if it is one of Kubernetes' own.
pub(in crate::gitops) fn find(version: &str, kind: &str) -> Option<&'static Builtin> {
    KINDS
        .iter()
        .find(|known| (known.version, known.kind) == (version, kind))
}

/// All of them: API version and kind.
pub(super) fn kinds<'k>() -> impl Iterator<Item = (&'k str, &'k str)> {
    KINDS.iter().map(|known| (known.version, known.kind))
}

/// What is wrong with the metadata of an object of any kind.
pub(super) fn metadata(object: &Value) -> Vec<At> {
    let mut found = strict::<ObjectMeta>(&object["metadata"]);
    for (path, _) in &mut found {
        path.insert(0, "metadata".to_owned());
    }
    found
}

macro_rules! kinds {
    ($($group:ident { $($version:ident :: $kind:ident),* $(,)? })*) => {
        &[$($(entry::<k8s_openapi::api::$group::$version::$kind>,)*)*
          entry::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>,
          entry::<k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService>]
    };
}

/// What people write into a tree; what controllers make for themselves is left out.
static KINDS: std::sync::LazyLock<Vec<Builtin>> = std::sync::LazyLock::new(|| {
    let kinds: &[fn() -> Builtin] = kinds! {
        admissionregistration {
            v1::MutatingWebhookConfiguration, v1::ValidatingAdmissionPolicy,
            v1::ValidatingAdmissionPolicyBinding, v1::ValidatingWebhookConfiguration,
        }
        apps { v1::DaemonSet, v1::Deployment, v1::ReplicaSet, v1::StatefulSet }
        autoscaling { v1::HorizontalPodAutoscaler, v2::HorizontalPodAutoscaler }
        batch { v1::CronJob, v1::Job }
        coordination { v1::Lease }
        core {
            v1::ConfigMap, v1::Endpoints, v1::LimitRange, v1::Namespace, v1::PersistentVolume,
            v1::PersistentVolumeClaim, v1::Pod, v1::ResourceQuota, v1::Secret, v1::Service,
            v1::ServiceAccount,
        }
        discovery { v1::EndpointSlice }
        networking { v1::Ingress, v1::IngressClass, v1::NetworkPolicy }
        node { v1::RuntimeClass }
        policy { v1::PodDisruptionBudget }
        rbac { v1::ClusterRole, v1::ClusterRoleBinding, v1::Role, v1::RoleBinding }
        scheduling { v1::PriorityClass }
        storage { v1::CSIDriver, v1::StorageClass }
    };
    kinds.iter().map(|entry| entry()).collect()
});

fn entry<T>() -> Builtin
where
    T: Resource + DeserializeOwned + Serialize,
    T::Scope: 'static,
{
    let is_namespaced = TypeId::of::<T::Scope>() == TypeId::of::<NamespaceResourceScope>();
    Builtin {
        version: T::API_VERSION,
        kind: T::KIND,
        scope: match is_namespaced {
            true => Scope::Namespace,
            false => Scope::Cluster,
        },
        strict: strict::<T>,
    }
}

fn strict<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<At> {
    let mut found: Vec<At> = Vec::new();
    let mut unknown = |path: serde_ignored::Path<'_>| {
        let path = segments(&path);
        let key = path.last().cloned().unwrap_or_default();
        let message = format!("there is no key `{key}` here");
        found.push((
            path,
            Wrong::new(message, "take it away, or mend its name or indentation"),
        ));
    };
    let reader = serde_ignored::Deserializer::new(object, &mut unknown);
    let read: Result<T, _> = serde_path_to_error::deserialize(reader);
    match read {
        Ok(value) => {
            let complete = serde_json::to_value(value).unwrap_or_default();
            missing(&complete, object, &mut Vec::new(), &mut found);
        }
        Err(error) => {
            use serde_path_to_error::Segment;
            let path = error.path().iter().filter_map(|segment| match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { .. } | Segment::Unknown => None,
            });
            let path = path.collect();
            let wrong = Wrong::new(error.inner().to_string(), "write a value of that type");
            found.push((path, wrong));
        }
    }
    found
}

/// Keys that a complete value has and the written one lacks.
fn missing(complete: &Value, written: &Value, path: &mut Vec<String>, found: &mut Vec<At>) {
    match (complete, written) {
        (Value::Object(complete), Value::Object(written)) => {
            for (key, value) in complete {
                // It may be absent with all that is in it.
                let empty_metadata = key == "metadata" && *value == serde_json::json!({});
                path.push(key.clone());
                match written.get(key) {
                    Some(written) => missing(value, written, path, found),
                    None if empty_metadata || key == "status" => {}
                    None => {
                        let message = format!("there is no `{key}`, which is required here");
                        found.push((path.clone(), Wrong::new(message, "add it")));
                    }
                }
                path.pop();
            }
        }
        (Value::Array(complete), Value::Array(written)) => {
            for (index, (complete, written)) in complete.iter().zip(written).enumerate() {
                path.push(index.to_string());
                missing(complete, written, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn segments(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    match path {
        Path::Root => Vec::new(),
        Path::Seq { parent, index } => with(parent, index.to_string()),
        Path::Map { parent, key } => with(parent, key.clone()),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => segments(parent),
    }
}

fn with(parent: &serde_ignored::Path<'_>, last: String) -> Vec<String> {
    let mut path = segments(parent);
    path.push(last);
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(object: Value) -> Vec<String> {
        let (version, kind) = (object["apiVersion"].clone(), object["kind"].clone());
        let kind = find(
            version.as_str().expect("text"),
            kind.as_str().expect("text"),
        );
        let found = kind.expect("a kind").check(&object);
        let lines = found.into_iter();
        lines
            .map(|(path, wrong)| format!("{}: {}", path.join("."), wrong.message))
            .collect()
    }

    fn deployment(container: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [container]},
                },
            },
        })
    }

    #[test]
    fn unknown_missing_and_mistyped_keys_are_found() {
        let good = json!({"name": "a", "image": "a:1", "ports": [{"containerPort": 80}]});
        assert_eq!(said(deployment(good)), [] as [&str; 0]);
        let unknown = json!({"name": "a", "imag": "a:1"});
        assert_eq!(
            said(deployment(unknown)),
            ["spec.template.spec.containers.0.imag: there is no key `imag` here"]
        );
        let missing = json!({"image": "a:1", "ports": [{"name": "http"}]});
        assert_eq!(
            said(deployment(missing)),
            [
                "spec.template.spec.containers.0.name: there is no `name`, which is required here",
                "spec.template.spec.containers.0.ports.0.containerPort: there is no \
                 `containerPort`, which is required here",
            ]
        );
        let mistyped = json!({"name": "a", "env": [{"name": "A", "value": 1}]});
        let said = said(deployment(mistyped));
        assert_eq!(said.len(), 1);
        let place = "spec.template.spec.containers.0.env.0.value: ";
        assert!(said[0].starts_with(place), "{said:?}");
    }

    #[test]
    fn scopes_are_those_of_kubernetes() {
        let scope = |version, kind| find(version, kind).expect("a kind").scope;
        assert_eq!(scope("v1", "Namespace"), Scope::Cluster);
        assert_eq!(scope("v1", "Service"), Scope::Namespace);
        assert_eq!(scope("storage.k8s.io/v1", "StorageClass"), Scope::Cluster);
        assert!(find("extensions/v1beta1", "Ingress").is_none());
    }

    #[test]
    fn metadata_is_held_against_its_type_too() {
        let object = json!({"metadata": {"name": "a", "label": {}}});
        let found = metadata(&object);
        assert_eq!(found[0].0, ["metadata", "label"]);
    }
}
