//! The HelmChart by which K3s installs Argo CD (docs.k3s.io, "Helm").

/// Name, namespace and release are those of the Application that takes Argo CD over.
/// The chart comes from the server's own files: `%{KUBERNETES_API}%` is K3s' word for
/// where it serves them.
pub(super) fn helm_chart(archive: &str, values: &str) -> String {
    format!(
        "# Installs Argo CD, which then manages itself out of Git. Written by imgbuild.\n\
         apiVersion: helm.cattle.io/v1\n\
         kind: HelmChart\n\
         metadata:\n\
         \x20 name: argocd\n\
         \x20 namespace: kube-system\n\
         spec:\n\
         \x20 chart: https://%{{KUBERNETES_API}}%/static/charts/{archive}\n\
         \x20 targetNamespace: argocd\n\
         \x20 createNamespace: true\n\
         \x20 valuesContent: {}",
        block(values)
    )
}

/// A text as a block of YAML that gives the same text back (YAML 1.2.2, 8.1): every
/// line is indented, and how far is said, since the first line may have an indent of
/// its own. The last thing in its document: all line ends behind it are its own.
fn block(text: &str) -> String {
    let ends = match text.ends_with('\n') {
        true => "+",
        false => "-",
    };
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    });
    format!("|2{ends}\n{}", lines.collect::<String>())
}
