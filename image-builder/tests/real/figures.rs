//! What the agent costs its node: figures, each beside its goal.

use std::fs;
use std::time::{Duration, Instant};

use imgbuild::qemu::console::Event;
use imgbuild::qemu::{DiskBus, Waited};
use node_config::ConsoleLine;
use node_config::report::Outcome;

use crate::boot::{PATIENCE, Rig, drain, text, wait_for};
use crate::k3s::{build, lab_with_k3s};
use crate::lab::{Lab, count};

/// As long as it is watched while it waits, and before that, for its pauses to grow.
const WAIT: Duration = Duration::from_secs(90);

const NAMES: [&str; 2] = ["with the agent", "with the agent masked"];

#[test]
#[ignore = "a dozen boots: ci/soak"]
fn figures_of_the_agent() {
    let Some(lab) = lab_with_k3s() else { return };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    eprintln!("load before: {}", load.trim());
    let mut figures = Figures::default();
    let size = fs::metadata(&lab.agent).expect("agent").len();
    figures.add("size of the program", mib(size), 4.0, "MiB");
    while_it_waits(&lab, &mut figures);
    to_the_login(&lab, &mut figures);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    eprintln!("load after: {}", load.trim());
    assert!(figures.missed.is_empty(), "missed: {:?}", figures.missed);
}

/// Figures, and which of them missed their goals.
#[derive(Default)]
struct Figures {
    missed: Vec<String>,
}

impl Figures {
    fn add(&mut self, what: &str, value: f64, goal: f64, unit: &str) {
        let row = format!("{what}: {value:.2} {unit}, goal at most {goal} {unit}");
        eprintln!("{row}");
        if value > goal {
            self.missed.push(row);
        }
    }
}

/// An agent whose servers are off: it asks for them again and again.
fn while_it_waits(lab: &Lab, figures: &mut Figures) {
    let rig = Rig::new(lab, &build(lab, "pi-2"));
    let mut guest = rig.start(DiskBus::Virtio);
    wait_for(
        &mut guest,
        PATIENCE,
        |line| matches!(line, ConsoleLine::Stage { stage, outcome: Outcome::Retrying, .. } if stage == "k3s"),
    );
    let ssh = rig.ssh(&guest);
    ssh.wait(PATIENCE).expect("login");
    drain(&mut guest, WAIT);
    // With all that it runs; by the guest's own clock.
    let spent = "systemctl show -P CPUUsageNSec firstboot-agent && cut -d ' ' -f 1 /proc/uptime";
    let look = || -> (f64, f64) {
        let said = text(ssh.run(spent).expect("ssh"));
        let (nanoseconds, uptime) = said.split_once('\n').expect("two lines");
        let number = |text: &str| text.parse::<f64>().expect("a number");
        (number(nanoseconds) / 1e9, number(uptime))
    };
    let (spent, began) = look();
    drain(&mut guest, WAIT);
    let (spent_then, ended) = look();
    let share = 100.0 * (spent_then - spent) / (ended - began);
    eprintln!(
        "watched for {:.0} s while it waits for a server",
        ended - began
    );
    figures.add("processor while it waits", share, 1.0, "%");
    let memory =
        "awk '/VmHWM/ { print $2 }' /proc/$(systemctl show -P MainPID firstboot-agent)/status";
    let kib: u64 = text(ssh.run(memory).expect("ssh")).parse().expect("KiB");
    figures.add("most memory it had", mib(kib << 10), 20.0, "MiB");
}

/// First boots of one image until somebody can log in, in turns.
fn to_the_login(lab: &Lab, figures: &mut Figures) {
    let image = build(lab, "pi-2");
    let (mut times, mut spent) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for round in 0..count("IMGBUILD_SOAK_BOOTS", 5) {
        for masked in [0, 1] {
            let mut rig = Rig::new(lab, &image);
            if masked == 1 {
                rig = rig.told("systemd.mask=firstboot-agent.service");
            }
            let (seconds, of_processor) = login(&rig);
            let boot = round + 1;
            eprintln!(
                "boot {boot}, {}: {seconds:.1} s, {of_processor:.1} s of a processor",
                NAMES[masked]
            );
            times[masked].push(seconds);
            spent[masked].push(of_processor);
        }
    }
    // Says the same of the agent where the machine has other work, which time does not.
    for (what, values) in [("of a processor", spent), ("", times.clone())] {
        let [with, without] = values.map(median);
        eprintln!(
            "median: {with:.1} s {what} {}, {without:.1} s {}, {:.3} times that",
            NAMES[0],
            NAMES[1],
            with / without
        );
    }
    let [with, without] = times.map(median);
    figures.add(
        "time to the login, times without it",
        with / without,
        1.05,
        "",
    );
}

/// Seconds until the login, and how many of a processor the emulator took for them.
fn login(rig: &Rig<'_>) -> (f64, f64) {
    let began = Instant::now();
    let mut guest = rig.start(DiskBus::Virtio);
    while began.elapsed() < PATIENCE {
        match guest.wait(Duration::from_secs(1)).expect("console") {
            Waited::Events(events) if events.contains(&Event::Login) => {
                return (began.elapsed().as_secs_f64(), processor_time(rig));
            }
            Waited::Ended(words) => panic!("the guest ended: {words}"),
            Waited::Events(_) | Waited::Nothing => {}
        }
    }
    panic!("no login in time; see {}", guest.log().display());
}

/// Of the process that runs the machine (proc_pid_stat(5): fields 14 and 15, in ticks of
/// 10 ms).
fn processor_time(rig: &Rig<'_>) -> f64 {
    let dir = rig.dir().display().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let ticks = processes.filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&line)
            .contains(&dir)
            .then_some(())?;
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields = fields.split(' ').skip(11).take(2);
        fields
            .map(|ticks| ticks.parse::<u32>().ok())
            .sum::<Option<u32>>()
    });
    f64::from(ticks.sum::<u32>()) / 100.0
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
