//! What was written, for people and for programs.

use serde_json::json;

use crate::build::Access;
use crate::cli::terminal::print_text;
use crate::device::{Bytes, Device};
use crate::flash::Outcome;
use crate::write::Ejected;

/// Says what was done: to people on stderr, to programs on stdout.
pub(super) fn show(
    what: &str,
    device: &Device,
    outcome: &Outcome,
    access: Option<&Access>,
    ejected: Ejected,
    as_json: bool,
) -> anyhow::Result<()> {
    let disk = device.path.display();
    let seconds = outcome.took.as_secs_f64();
    let all = outcome.written + outcome.zeroed + outcome.same;
    let mut text = format!(
        "{what} is on {disk}: {} written, {} zeroed, {} there already, {} read back, in {seconds:.1} s ({}/s)",
        Bytes(outcome.written).short(),
        Bytes(outcome.zeroed).short(),
        Bytes(outcome.same).short(),
        Bytes(outcome.verified).short(),
        Bytes(rate(all, seconds)).short(),
    );
    text += match ejected {
        Ejected::Off => "\n  it is switched off; unplug it",
        Ejected::Stays => "\n  everything is on the medium; it may be unplugged",
    };
    if !outcome.recorded {
        text += "\n  there is no room for a record of what was written; `imgbuild verify` will not work on it";
    }
    if let Some(access) = access {
        text += &format!(
            "\n  log in with: ssh -F {} {what}",
            access.ssh_config.display()
        );
    }
    eprintln!("{text}");
    if !as_json {
        return Ok(());
    }
    let line = json!({
        "what": what,
        "disk": device.path,
        "model": device.model,
        "serial": device.serial,
        "written_bytes": outcome.written,
        "zeroed_bytes": outcome.zeroed,
        "same_bytes": outcome.same,
        "discarded_bytes": outcome.discarded,
        "verified_bytes": outcome.verified,
        "seconds": seconds,
        "bytes_per_second": rate(all, seconds),
        "sha256": outcome.record.digest(),
        "recorded": outcome.recorded,
        "switched_off": ejected == Ejected::Off,
        "known_hosts": access.map(|access| &access.known_hosts),
        "ssh_config": access.map(|access| &access.ssh_config),
    });
    print_text(format!("{line}\n"))
}

fn rate(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds.max(0.001)) as u64
}
