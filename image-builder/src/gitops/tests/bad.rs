//! The tree with one mistake each: every check is shown to fail.

use super::*;

/// A file, what stands in it, what it is replaced by, and a part of what is said.
const MISTAKES: [(&str, &str, &str, &str); 44] = [
    // YAML.
    (
        "kube-apps/manifests/home/homepage/homepage/service.yaml",
        "spec:\n",
        "spec:\n  type: ClusterIP\n  type: ClusterIP\n",
        "service.yaml:8:3: the key `type` is there already, in line 7",
    ),
    (
        "kube-apps/values/home/home-assistant/home-assistant/values.yaml",
        "hostNetwork: true",
        "hostNetwork: yes",
        "`yes` is a truth value to some readers of YAML",
    ),
    (
        "kube-apps/values/home/home-assistant/home-assistant/values.yaml",
        "hostNetwork: true",
        "hostNetwork: [",
        "this is not YAML",
    ),
    // Kubernetes' own kinds.
    (
        "kube-apps/manifests/home/homepage/homepage/deployment.yaml",
        "replicas: 1",
        "replica: 1",
        "deployment.yaml:9:3: there is no key `replica` here",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/deployment.yaml",
        "replicas: 1",
        "replicas: one",
        "invalid type: string \"one\"",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/deployment.yaml",
        "- name: http\n              containerPort: 3000",
        "- name: http",
        "there is no `containerPort`, which is required here",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/deployment.yaml",
        "apiVersion: apps/v1",
        "apiVersion: extensions/v1beta1",
        "there is no Deployment of extensions/v1beta1 here; write apiVersion: apps/v1",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/deployment.yaml",
        "kind: Deployment",
        "kind: Deploymend",
        "did you mean Deployment?",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/namespace.yaml",
        "kind: Namespace",
        "sort: Namespace",
        "this is no Kubernetes object",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/namespace.yaml",
        "  labels:",
        "  label:",
        "there is no key `label` here",
    ),
    // Custom kinds.
    (
        "kube-apps/manifests/platform/metallb-system/lan-pool/pool.yaml",
        "ipAddressPools:",
        "ipAddressPool:",
        "('ipAddressPool' was unexpected)",
    ),
    (
        "kube-apps/manifests/platform/longhorn-system/longhorn-jobs/jobs.yaml",
        "task: backup",
        "task: copy",
        "\"copy\" is not one of",
    ),
    (
        "kube-apps/manifests/gateway/gateway/home/gateway.yaml",
        "gatewayClassName: istio",
        "gatewayClass: istio",
        "('gatewayClass' was unexpected)",
    ),
    (
        "kube-apps/manifests/platform/cert-manager/home-ca/issuer.yaml",
        "  name: self-signed\nspec:\n  selfSigned: {}",
        "  name: self-signed\n  annotation: {}\nspec:\n  selfSigned: {}",
        "there is no key `annotation` here",
    ),
    (
        "bootstrap/project.yaml",
        "sourceRepos:",
        "sourceRepo:",
        "('sourceRepo' was unexpected)",
    ),
    (
        "kube-apps/applicationsets/own-charts.yaml",
        "goTemplate: true",
        "goTemplates: true",
        "('goTemplates' was unexpected)",
    ),
    // Values of charts.
    (
        "kube-apps/values/platform/metallb-system/metallb/values.yaml",
        "frrk8s:",
        "frr-k9s:",
        "the chart has no key `frr-k9s`",
    ),
    (
        "kube-apps/values/platform/longhorn-system/longhorn/values.yaml",
        "defaultDataPath:",
        "defaultDatapath:",
        "did you mean `defaultDataPath`?",
    ),
    (
        "kube-apps/values/observability/monitoring/loki/values.yaml",
        "deploymentMode: Monolithic",
        "deploymentMode: [Monolithic]",
        "is not of type \"string\"",
    ),
    (
        "bootstrap/argocd-values.yaml",
        "  ingress:\n    enabled: true",
        "  ingres:\n    enabled: true",
        "the chart has no key `server.ingres`; did you mean `ingress`?",
    ),
    // ApplicationSets and what they refer to.
    (
        "kube-apps/applicationsets/external-charts.yaml",
        "{{ .chart }}",
        "{{ .charts }}",
        "there is no parameter `.charts`",
    ),
    (
        "kube-apps/applicationsets/external-charts.yaml",
        "goTemplateOptions: [\"missingkey=error\"]",
        "goTemplateOptions: []",
        "set goTemplate: true and goTemplateOptions",
    ),
    (
        "kube-apps/applicationsets/external-charts.yaml",
        "/values.yaml\"",
        "/value.yaml\"",
        "/value.yaml, which is not there",
    ),
    (
        "kube-apps/applicationsets/own-charts.yaml",
        "\"{{ .path.basename }}\"\n      labels",
        "\"One\"\n      labels",
        "\"One\" is not a name for an Application; write \"one\": it is the folder's name",
    ),
    (
        "kube-apps/applications/argocd.yaml",
        "targetRevision: main",
        "targetRevision: develop",
        "the Application argocd is of the revision develop",
    ),
    (
        "kube-apps/applications/argocd.yaml",
        "path: cluster/kube-apps/charts/argo-cd",
        "path: cluster/kube-apps/charts/argocd",
        "of the chart argocd, which is neither vendored nor in charts.toml; did you mean argo-cd?",
    ),
    (
        "kube-apps/applications/argocd.yaml",
        "path: cluster/kube-apps/charts/argo-cd",
        "path: cluster/kube-apps/nowhere",
        "takes cluster/kube-apps/nowhere, which is not there",
    ),
    (
        "kube-apps/applications/argocd.yaml",
        "repoURL: https://git.example.org/homelab.git",
        "repoURL: https://github.com/else/where.git",
        "which the project bootstrap does not permit",
    ),
    (
        "kube-apps/applications/longhorn.yaml",
        "project: homelab",
        "project: home",
        "of the project home, which is not there; the projects are `bootstrap` and `homelab`",
    ),
    (
        "kube-apps/applications/longhorn.yaml",
        "  name: longhorn\n",
        "  name: metallb\n",
        "two Applications are named metallb",
    ),
    (
        "kube-apps/applications/longhorn.yaml",
        "namespace: longhorn-system\n  syncPolicy",
        "namespace: longhorn\n  syncPolicy",
        "does not let longhorn into the namespace longhorn; add {server",
    ),
    (
        "kube-apps/sets.yaml",
        "- set: home\n",
        "- set: hom\n",
        "there is nothing in the set \"hom\"; did you mean home?",
    ),
    // The cluster file.
    (
        "bootstrap/root.yaml",
        "targetRevision: main",
        "targetRevision: trunk",
        "the cluster file says \"main\"",
    ),
    (
        "kube-apps/manifests/platform/metallb-system/lan-pool/pool.yaml",
        "192.168.4.230-192.168.4.249",
        "192.168.4.10-192.168.4.249",
        "holds 192.168.4.11, the address of pi-1",
    ),
    (
        "kube-apps/manifests/platform/metallb-system/lan-pool/pool.yaml",
        "192.168.4.230-192.168.4.249",
        "192.168.4.230-192.168.4.248",
        "no pool is 192.168.4.230-192.168.4.249, which the cluster file says",
    ),
    // Projects and namespaces.
    (
        "bootstrap/project.yaml",
        "    - {group: networking.k8s.io, kind: IngressClass}\n    - {group: rbac.authorization.k8s.io, kind: ClusterRole}\n",
        "",
        "does not permit ClusterRole, which is beside all namespaces; add {group: \"rbac",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/service.yaml",
        "namespace: homepage",
        "namespace: home-page",
        "into the namespace home-page",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/namespace.yaml",
        "  name: homepage",
        "  name: homepage2",
        "nobody makes the namespace homepage",
    ),
    // Rules of the house.
    (
        "kube-apps/manifests/home/homepage/homepage/deployment.yaml",
        "homepage:v1.13.2",
        "homepage",
        "has no tag",
    ),
    (
        "kube-apps/manifests/pihole/pihole/pihole/pihole.yaml",
        "pihole:2026.07.2",
        "pihole:latest",
        "the image's tag is `latest`",
    ),
    (
        "kube-apps/manifests/pihole/pihole/pihole/pihole.yaml",
        "192.168.4.231",
        "192.168.4.23",
        "192.168.4.23 is in no pool of MetalLB",
    ),
    (
        "kube-apps/values/platform/ingress-nginx/ingress-nginx/values.yaml",
        "192.168.4.230",
        "192.168.4.250",
        "192.168.4.250 is in no pool of MetalLB",
    ),
    (
        "kube-apps/values/velero/velero/velero/values.yaml",
        "existingSecret: velero-s3",
        "existingSecret: velero-s3\n  secretAccessKey: abc",
        "this looks like a secret in plain text",
    ),
    (
        "kube-apps/manifests/home/homepage/homepage/config.yaml",
        "kind: ConfigMap",
        "kind: Secret",
        "a Secret's content is readable by whoever reads the repository",
    ),
];

#[test]
fn every_mistake_is_found() {
    let good = tree();
    for (file, from, to, expected) in MISTAKES {
        let text = good.text(file).unwrap_or_else(|| panic!("{file}"));
        assert!(text.contains(from), "{file} has no {from:?}");
        let said = said(&good.with(file, text.replacen(from, to, 1).into_bytes()));
        assert!(
            said.contains(expected),
            "{file}: {from} -> {to}\nsaid: {said}"
        );
        let lines = said.lines();
        assert!(
            lines
                .into_iter()
                .all(|line| line.starts_with("cluster/") && line.contains("; ")),
            "{said}"
        );
    }
}

/// As above, in the tree's own chart.
const OWN: [(&str, &str, &str, &str); 12] = [
    (
        "Chart.yaml",
        "apiVersion: v2",
        "apiVersion: v1",
        "write apiVersion: v2",
    ),
    (
        "Chart.yaml",
        "name: pi-exporter",
        "name: exporter",
        "the chart's name is not its folder's, pi-exporter",
    ),
    (
        "Chart.yaml",
        "version: 0.1.0",
        "version: 0.1",
        "the chart has no version",
    ),
    (
        "Chart.yaml",
        "description:",
        "descripton:",
        "did you mean `description`?",
    ),
    (
        "values.yaml",
        "port: 9101",
        "port: 80",
        "80 is less than the minimum",
    ),
    (
        "values.yaml",
        "kubeletPort: 10250\n",
        "kubeletPort: 10250\n\nextra: 1\n",
        "no template uses `extra`",
    ),
    (
        "values.schema.json",
        "\"type\": \"object\",",
        "\"type\": \"objekt\",",
        "this is no JSON schema",
    ),
    (
        "templates/daemonset.yaml",
        ".Values.image.tag",
        ".Values.image.tags",
        "values.yaml has no `image.tags`",
    ),
    (
        "templates/daemonset.yaml",
        "include \"pi-exporter.labels\"",
        "include \"pi-exporter.label\"",
        "no template defines \"pi-exporter.label\"",
    ),
    (
        "templates/daemonset.yaml",
        "{{ .Values.port }}",
        "{{ if .Values.port }}",
        "this block has no `end`",
    ),
    (
        "templates/configmap.yaml",
        "files/exporter.py",
        "files/export.py",
        "the chart has no file files/export.py",
    ),
    (
        "values.yaml",
        "  tag: 3.14-alpine3.23",
        "  tag: latest",
        "the image's tag is `latest`",
    ),
];

#[test]
fn mistakes_in_own_charts_are_found() {
    let good = tree();
    for (name, from, to, expected) in OWN {
        let file = format!("kube-apps/own-charts/observability/monitoring/pi-exporter/{name}");
        let text = good.text(&file).unwrap_or_else(|| panic!("{file}"));
        assert!(text.contains(from), "{file} has no {from:?}");
        let said = said(&good.with(&file, text.replacen(from, to, 1).into_bytes()));
        assert!(
            said.contains(expected),
            "{file}: {from} -> {to}\nsaid: {said}"
        );
    }
}

#[test]
fn what_is_not_deployed_or_twice_there_is_said() {
    let good = tree();
    let map = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: homepage}\n";
    let lost = good.with("kube-apps/manifests/lost.yaml", map.to_vec());
    assert!(said(&lost).contains("no Application deploys ConfigMap a"));
    let folder = "kube-apps/manifests/home/homepage/homepage";
    let once = good.with(&format!("{folder}/a.yaml"), map.to_vec());
    assert_eq!(said(&once), "");
    let twice = once.with(&format!("{folder}/b.yaml"), map.to_vec());
    assert!(said(&twice).contains("b.yaml:1:1: ConfigMap a is there twice"));
    let app = b"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a, namespace: homepage}\n\
                spec: {project: homelab, destination: {}}\n";
    let app = good.with(&format!("{folder}/a.yaml"), app.to_vec());
    assert!(said(&app).contains("the project homelab refuses Application"));
}

#[test]
fn two_running_services_do_not_share_an_address() {
    let good = tree();
    let sets = good
        .text("kube-apps/sets.yaml")
        .expect("sets")
        .replace("# - set: traefik", "- set: traefik");
    let both = good.with("kube-apps/sets.yaml", sets.into_bytes());
    assert!(
        said(&both).contains("192.168.4.230 is asked for in"),
        "{}",
        said(&both)
    );
}

#[test]
fn a_tree_without_its_root_is_told_so() {
    let empty = Tree::of(Path::new("cluster"), []);
    let said = said(&empty);
    assert!(
        said.contains("cluster/bootstrap/root.yaml:1:1: there is no Application named root"),
        "{said}"
    );
}

#[test]
fn a_vendored_chart_goes_before_every_other_and_brings_its_kinds() {
    let good = tree();
    let chart = |path: &str, text: &str, tree: Tree| {
        tree.with(
            &format!("kube-apps/charts/sealed-secrets/{path}"),
            text.as_bytes().to_vec(),
        )
    };
    let vendored = chart(
        "Chart.yaml",
        "apiVersion: v2\nname: sealed-secrets\nversion: 2.18.6\n",
        good,
    );
    let vendored = chart(
        "values.yaml",
        "fullnameOverride: ''\nresources: {}\n",
        vendored,
    );
    assert!(said(&vendored).contains("the chart has no key `metrics`"));
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: sealedsecrets.bitnami.com}\n\
               spec:\n  group: bitnami.com\n  scope: Namespaced\n  names: {kind: SealedSecret, plural: sealedsecrets}\n  versions:\n  \
               - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {encryptedData: {type: object, additionalProperties: {type: string}}}}}}}}\n";
    let vendored = chart("crds/sealedsecret.yaml", crd, vendored);
    let sealed = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a, namespace: homepage}\nspec: {encryptedDate: {}}\n";
    let file = "kube-apps/manifests/home/homepage/homepage/sealed.yaml";
    let vendored = vendored.with(file, sealed.as_bytes().to_vec());
    assert!(
        said(&vendored).contains("('encryptedDate' was unexpected)"),
        "{}",
        said(&vendored)
    );
}
