//! `imgbuild try`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use node_config::report::Outcome;
use node_config::{ConsoleLine, NodeConfig, paths};

use super::Global;
use super::build::default_output;
use super::network::Network;
use super::terminal::{Interrupts, Terminal, print_json, print_text};
use crate::io::Region;
use crate::lock::borrow;
use crate::overlay::{BaseView as _, Part};
use crate::plan::Source;
use crate::qemu::console::Event;
use crate::qemu::{self, DiskBus, ForThePi, Guest, Kernel, Lan, Machine, Size, Ssh, Waited};
use crate::source::find_partitions;
use crate::view::ImageView;

/// Arguments of `imgbuild try`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An image file, or a node whose image is in out/.
    #[arg(value_name = "NODE|IMAGE")]
    what: String,
    /// How the disk is attached.
    #[arg(long, value_enum, default_value = "virtio")]
    disk: DiskBus,
    /// Seconds until the boot counts as failed.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// The port on 127.0.0.1 that reaches the node's ssh [default: any free].
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        value_name = "PORT"
    )]
    ssh_port: u16,
    /// After the report, run this command on the node over ssh and print what
    /// it prints.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// The private key for --run.
    #[arg(long, short, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Leave the machine running after the report, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Show the node's console on stderr.
    #[arg(long)]
    console: bool,
    /// Print the result as JSON on stdout.
    #[arg(long)]
    json: bool,
    /// For a kernel from Debian, where the image's own runs on a Pi only.
    #[command(flatten)]
    network: Network,
}

/// The node did not report that its first boot is done.
#[derive(Debug, thiserror::Error)]
#[error("{node} did not come up: {why}\n  its console is in {}", log.display())]
pub(super) struct NotUp {
    node: String,
    why: String,
    log: PathBuf,
}

pub(super) fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    qemu::check_tools()?;
    let interrupts = Interrupts::listen()?;
    let image = find_image(&args.what)?;
    let reading = || format!("reading the image {}", image.display());
    let view = open(&image).with_context(reading)?;
    let (node, user) = read_node(&view).with_context(reading)?;
    let kernel = match Kernel::of(&view) {
        Err(error) if error.is::<ForThePi>() => {
            eprintln!(
                "{}: {error}; booting with Debian's instead",
                image.display()
            );
            borrow(global, args, &view, &interrupts)?
        }
        own => own.with_context(reading)?,
    };
    // 0700 and 0600: a node writes its secrets to its disk and, if it is broken,
    // perhaps to its console.
    let dir = tempfile::Builder::new()
        .prefix("imgbuild-try-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("making a scratch directory")?;
    let log = tempfile::Builder::new()
        .prefix("imgbuild-try-")
        .suffix(".log")
        .permissions(Permissions::from_mode(0o600))
        .tempfile()
        .context("making the console's log")?;
    let machine = Machine {
        image: &image,
        bus: args.disk,
        kernel: &kernel,
        size: Size::USUAL,
        node: &node,
        lan: Lan::Own,
        ssh_port: args.ssh_port,
        dir: dir.path(),
        log: log.path(),
    };
    let begun = Instant::now();
    let mut guest = machine.start()?;
    if args.console {
        guest.echo();
    }
    eprintln!(
        "{}: booting {} in QEMU, ssh on 127.0.0.1:{}",
        node.node.name,
        image.display(),
        guest.ssh_port()
    );
    let deadline = begun + Duration::from_secs(args.timeout);
    let result = follow(&mut guest, &node.node.name, deadline, &interrupts).and_then(|stages| {
        Ok((
            stages,
            log_in(args, &guest, &image, &node.node.name, &user)?,
        ))
    });
    let (stages, output) = match result {
        Ok(done) => done,
        Err(error) => {
            // What happened is in the log; the scratch disk goes.
            if error.is::<NotUp>() {
                log.keep().context("keeping the console's log")?;
            }
            return Err(error);
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{}: first boot done in {seconds:.0} s", node.node.name);
    if args.json {
        print_json(&serde_json::json!({
            "node": node.node.name, "image_id": node.image_id, "seconds": seconds, "stages": stages, "run": output,
        }))?;
    } else if let Some(output) = output {
        print_text(output)?;
    }
    if args.keep {
        keep(&mut guest, &interrupts)
    } else {
        Ok(())
    }
}

/// A node's image in out/, or the file named: what looks like a path is one.
fn find_image(what: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(what);
    if what.contains(['/', '.']) {
        return match path.is_file() {
            true => Ok(path),
            false => bail!("there is no image {what}"),
        };
    }
    let image = default_output(what);
    if !image.is_file() {
        bail!(
            "there is no image {}; run `imgbuild build {what}`",
            image.display()
        );
    }
    Ok(image)
}

fn open(image: &Path) -> anyhow::Result<ImageView> {
    let file = std::fs::File::open(image)?;
    let parts = find_partitions(&Region::whole(std::sync::Arc::new(file))?)?;
    ImageView::open(parts.boot, parts.root)
}

/// A kernel that runs in QEMU, from the archive of the image's own sources.
fn borrow(
    global: &Global,
    args: &Args,
    view: &ImageView,
    interrupts: &Interrupts,
) -> anyhow::Result<Kernel> {
    // An image can be tried without the cluster it is of.
    let source = match global.cluster.exists() {
        true => global.workspace()?.source().clone(),
        false => Source::default(),
    };
    let (client, cache) = (args.network.client(&source)?, global.cache()?);
    let source = borrow::Source {
        client: &client,
        cache: &cache,
        at: SystemTime::now().into(),
    };
    let mut terminals = Terminal::several(&[String::new()], interrupts);
    let mut terminal = terminals.pop().context("one terminal was asked for")?;
    let borrowed = borrow::borrow(view, source, &mut terminal)?;
    terminal.finish();
    eprintln!("kernel: {}", borrowed.name);
    Kernel::borrowed(view, &borrowed.kernel, &borrowed.busybox)
}

/// What the node was told, and its first user.
fn read_node(view: &ImageView) -> anyhow::Result<(NodeConfig, String)> {
    let text = |path: &str| -> anyhow::Result<String> {
        let bytes = view
            .read(Part::Root, path)?
            .with_context(|| format!("it has no {path}: not a node's image"))?;
        String::from_utf8(bytes).with_context(|| format!("{path} is not text"))
    };
    let node = NodeConfig::parse(&text(paths::NODE_CONFIG)?)?;
    let passwd = text("/etc/passwd")?;
    let user = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some("1000") && is_login_name(name)).then(|| name.to_owned())
    });
    let user = user.context("it has no user with uid 1000 and a plain name")?;
    Ok((node, user))
}

/// Letters, digits, `_` and `-`, and no `-` in front: nothing a program or a
/// shell could take for something else.
fn is_login_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// Follows the console to the agent's last word; gives the stages' reports.
fn follow(
    guest: &mut Guest,
    name: &str,
    deadline: Instant,
    interrupts: &Interrupts,
) -> anyhow::Result<Vec<serde_json::Value>> {
    let begun = Instant::now();
    let mut stages: Vec<serde_json::Value> = Vec::new();
    let mut last = "nothing was heard of its agent".to_owned();
    let not_up = |guest: &Guest, why: String| NotUp {
        node: name.to_owned(),
        why,
        log: guest.log().to_path_buf(),
    };
    loop {
        interrupts.check()?;
        if Instant::now() >= deadline {
            return Err(not_up(guest, format!("no report in time; {last}")).into());
        }
        let events = match guest.wait(Duration::from_millis(300))? {
            Waited::Events(events) => events,
            Waited::Nothing => continue,
            Waited::Ended(words) => return Err(not_up(guest, words).into()),
        };
        for event in events {
            match event {
                Event::Agent(ConsoleLine::AllDone { node }) if node == name => return Ok(stages),
                Event::Agent(ConsoleLine::Stage {
                    node,
                    number,
                    total,
                    stage,
                    outcome,
                    message,
                }) if node == name => {
                    let seconds = begun.elapsed().as_secs_f64();
                    eprintln!(
                        "{name}: {seconds:>4.0} s  {number}/{total} {stage} {outcome}  {message}"
                    );
                    last = format!("{stage} is {outcome}: {message}");
                    if outcome == Outcome::Failed {
                        return Err(not_up(guest, last).into());
                    }
                    if outcome == Outcome::Done {
                        stages.push(serde_json::json!({ "stage": stage, "seconds": seconds, "message": message }));
                    }
                }
                Event::Agent(_) | Event::Login => {}
                Event::Dead(row) => return Err(not_up(guest, row).into()),
            }
        }
    }
}

/// Runs the user's command over ssh, if there is one.
fn log_in(
    args: &Args,
    guest: &Guest,
    image: &Path,
    name: &str,
    user: &str,
) -> anyhow::Result<Option<String>> {
    let ssh = Ssh {
        port: guest.ssh_port(),
        host: name.to_owned(),
        user: user.to_owned(),
        identity: args.identity.clone(),
        known_hosts: image.with_extension("known_hosts"),
    };
    if args.keep {
        eprintln!("{name}: {}", ssh.command_line());
    }
    let Some(command) = &args.run else {
        return Ok(None);
    };
    let failed = |why: String| NotUp {
        node: name.to_owned(),
        why,
        log: guest.log().to_path_buf(),
    };
    ssh.wait(Duration::from_secs(60))
        .map_err(|error| failed(error.to_string()))?;
    let output = ssh.run(command)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!(
            "`{command}` ended with {}: {}",
            output.status,
            words.trim_end()
        ))
        .into());
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Keeps the guest's console drained until Ctrl-C or its end.
fn keep(guest: &mut Guest, interrupts: &Interrupts) -> anyhow::Result<()> {
    eprintln!("the machine stays up; Ctrl-C ends it");
    while interrupts.check().is_ok() {
        if let Waited::Ended(words) = guest.wait(Duration::from_millis(300))? {
            eprintln!("{words}");
            break;
        }
    }
    Ok(())
}
