//! How long the disk takes to make a small write durable: what etcd waits for with
//! every change in the cluster.

use std::time::Duration;

use node_config::{NodeConfig, paths};

use super::super::StageError;
use super::super::k3s::DROP_IN_DIR;
use super::Finding::{self, Fine, Warning};
use crate::system::{System, SystemError, read_text, replace};

/// etcd's own limit for a write to its log (docs: etcd, "Hardware recommendations":
/// 99 of 100 below 10 ms).
const SLOW: Duration = Duration::from_millis(10);

/// Writes, and which of them counts by its place from the longest: what else the
/// machine writes at its first boot may disturb one or two.
const WRITES: usize = 20;
const COUNTS: usize = 2;

/// An entry of etcd's log with a small object.
const SIZE: usize = 4096;

/// On the file system that etcd will be on.
const PROBE: &str = "/var/lib/imgbuild/fsync-probe";

/// The result, in microseconds: the disk is not worn with it at each boot.
const RESULT: &str = "/var/lib/imgbuild/fsync-us";

/// Read by K3s after the labels that were baked, and added to them (docs: K3s,
/// "Configuration File", on `+`).
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/20-disk.yaml";
const LABEL: &str = "disk";
const DROP_IN_TEXT: &str = "node-label+:\n  - \"disk=slow\"\n";

/// What was measured, if it was.
pub(super) fn measured(sys: &dyn System) -> Result<Option<Duration>, SystemError> {
    let text = read_text(sys, RESULT)?;
    Ok(text.trim().parse().ok().map(Duration::from_micros))
}

/// What it means.
pub(super) fn judge(time: Duration) -> Finding {
    let shown = format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    match time <= SLOW {
        true => Fine(format!("fsync in {shown}")),
        false => Warning(format!(
            "the disk takes {shown} to make a write durable, and etcd wants less than {} ms: use \
             an SSD, or have servers elsewhere; the node has the label disk=slow unless it has \
             another `disk`",
            SLOW.as_millis()
        )),
    }
}

/// Measures, and labels the node where it is slow. The result is written last: with
/// it on the disk, all is.
pub(super) fn measure(node: &NodeConfig, sys: &dyn System) -> Result<(), StageError> {
    // What a cut left would be appended to.
    sys.remove(PROBE)?;
    let mut times = Vec::with_capacity(WRITES);
    let mut before = sys.elapsed();
    for _ in 0..WRITES {
        sys.append(PROBE, 0o600, &[0; SIZE])?;
        let now = sys.elapsed();
        times.push(now.saturating_sub(before));
        before = now;
    }
    sys.remove(PROBE)?;
    times.sort();
    let time = times[WRITES - 1 - COUNTS];
    if time > SLOW && !node.node.labels.contains_key(LABEL) {
        sys.make_dir(DROP_IN_DIR, 0o755)?;
        replace(sys, DROP_IN, 0o600, DROP_IN_TEXT.as_bytes())?;
    }
    sys.make_dir(paths::STATE_DIR, 0o700)?;
    let text = format!("{}\n", time.as_micros());
    Ok(replace(sys, RESULT, 0o644, text.as_bytes())?)
}
