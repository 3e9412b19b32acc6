//! The unit that waits until Argo CD has the root Application in its hands.

use node_config::handover::{NAMESPACE, ROOT};
use node_config::paths;

/// K3s applies what it finds at every start, for ever: a root that has long been
/// changed in Git would be what it was when the image was made, until Argo CD puts
/// it right; and if it then leads to another repository, nobody does. So K3s is told
/// to leave these files alone (`.skip`: docs.k3s.io, "Packaged components"), once
/// what they hold is Argo CD's.
pub(super) fn text() -> String {
    let [chart, projects, root] = paths::K3S_HANDOVER;
    let skip = [chart, projects, root, paths::K3S_REPOSITORY].map(|path| format!("{path}.skip"));
    let [.., last] = &skip;
    format!(
        "[Unit]\n\
         Description=Hand the cluster over to Argo CD for good\n\
         After=k3s.service\n\
         # Made in one call, and this one is the last of them.\n\
         ConditionPathExists=!{last}\n\
         # However long that takes.\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/local/bin/k3s kubectl --namespace={NAMESPACE} wait applications.argoproj.io/{ROOT} \
         --for=jsonpath={{.status.sync.status}}=Synced --timeout=10m\n\
         ExecStart=/usr/bin/touch {}\n\
         TimeoutStartSec=15m\n\
         Restart=on-failure\n\
         RestartSec=30s\n\
         \n\
         [Install]\n\
         # Not by a target: it would count as reached only when this is done.\n\
         WantedBy=k3s.service\n",
        skip.join(" ")
    )
}
