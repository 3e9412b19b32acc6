//! Progress for people: a bar on a terminal, plain lines elsewhere; Ctrl-C.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::exit::INTERRUPTED;
use crate::progress::{Interrupted, Progress};

/// Steps shorter than this are not worth a line in a log.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// How often a bar is drawn though nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// Set by the first Ctrl-C (or SIGTERM); the second ends the program at once.
#[derive(Debug, Clone)]
pub(super) struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Begins to listen.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the shutdown looks at the flag before it is set.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(INTERRUPTED),
                Arc::clone(&flag),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .context("listening for Ctrl-C")?;
        }
        Ok(Self(flag))
    }

    /// Whether the work is to stop.
    pub(super) fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Progress on stderr.
#[derive(Debug)]
pub(super) struct Terminal {
    bar: ProgressBar,
    interrupts: Interrupts,
    begun: Option<(String, Instant)>,
    /// Before every word, where there are several of these.
    name: String,
}

impl Terminal {
    /// Begins to listen for Ctrl-C as well.
    pub(super) fn new() -> anyhow::Result<Self> {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
        Ok(Self {
            bar,
            interrupts: Interrupts::listen()?,
            begun: None,
            name: String::new(),
        })
    }

    /// One for each of several works at the same time: a bar below another; without
    /// a terminal lines that begin with the name. A single one goes without.
    pub(super) fn several(names: &[String], interrupts: &Interrupts) -> Vec<Self> {
        let bars = MultiProgress::with_draw_target(match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        });
        let one = |name: &String| {
            let bar = bars.add(ProgressBar::no_length());
            bar.enable_steady_tick(TICK);
            Self {
                bar,
                interrupts: interrupts.clone(),
                begun: None,
                name: match names.len() {
                    1 => String::new(),
                    _ => format!("{name}: "),
                },
            }
        };
        names.iter().map(one).collect()
    }

    /// What it listens to.
    pub(super) fn interrupts(&self) -> Interrupts {
        self.interrupts.clone()
    }

    /// Ends the last step.
    pub(super) fn finish(&mut self) {
        self.end_step();
        self.bar.finish_and_clear();
    }

    fn end_step(&mut self) {
        if let Some((name, since)) = self.begun.take()
            && self.bar.is_hidden()
            && since.elapsed() >= WORTH_A_LINE
        {
            eprintln!(
                "{}{name}: {:.1} s",
                self.name,
                since.elapsed().as_secs_f64()
            );
        }
    }
}

impl Progress for Terminal {
    fn step(&mut self, name: &str, total: Option<u64>) {
        self.end_step();
        self.begun = Some((name.to_owned(), Instant::now()));
        self.bar.reset();
        self.bar.set_style(style(total));
        self.bar.set_message(format!("{}{name}", self.name));
        match total {
            Some(total) => self.bar.set_length(total),
            None => self.bar.unset_length(),
        }
    }

    fn advance(&mut self, bytes: u64) -> io::Result<()> {
        self.bar.inc(bytes);
        Ok(self.interrupts.check()?)
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| eprintln!("{}note: {text}", self.name));
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => "{msg:>24} [{bar:30}] {bytes:>10}/{total_bytes} {binary_bytes_per_sec} {eta:>4}",
        None => "{msg:>24} {spinner} {elapsed}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}

/// Prints a value for programs, on stdout.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("rendering JSON")?;
    print_text(text + "\n")
}

/// Prints data on stdout. A reader that went away (`| head`) is no error.
pub(super) fn print_text(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    match io::Write::write_all(&mut io::stdout().lock(), text.as_ref()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("writing to stdout"),
    }
}
