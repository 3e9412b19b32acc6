//! The pages that nodes show of their first boot: asked again and again, each node
//! by a thread of its own, for one that is switched off must not hold up the others.
//!
//! Whoever has a node's address answers in its place, so nothing is believed here
//! that anything but a picture depends on.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use node_config::{Report, paths};
use ureq::Agent;

/// Between two questions to a node. Its stages take seconds.
const PAUSE: Duration = Duration::from_secs(2);

/// A node answers within milliseconds, if it is there and not starting.
const PATIENCE: Duration = Duration::from_secs(4);

/// A report has a few KiB.
const LONGEST_REPORT: u64 = 256 << 10;

/// A node to watch.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Where its page is.
    pub page: SocketAddrV4,
}

/// How a node stands, as far as its page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// What it reports.
    Report(Report),
    /// Nothing can be seen; why.
    Nothing(String),
}

/// Looks at nodes until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    news: Receiver<(usize, Sight)>,
    over: Arc<AtomicBool>,
}

impl Watcher {
    /// Begins to look.
    ///
    /// # Errors
    /// When there can be no threads.
    pub fn start(targets: &[Target]) -> io::Result<Self> {
        let (sender, news) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        for (index, target) in targets.iter().cloned().enumerate() {
            let (sender, over) = (sender.clone(), Arc::clone(&over));
            thread::Builder::new().spawn(move || look_on(index, &target, &sender, &over))?;
        }
        Ok(Self { news, over })
    }

    /// The next news of a node, by its place among the targets; none within that
    /// time.
    pub fn next(&self, patience: Duration) -> Option<(usize, Sight)> {
        match self.news.recv_timeout(patience) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            // Without targets there are no threads.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(patience);
                None
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn look_on(index: usize, target: &Target, sender: &Sender<(usize, Sight)>, over: &AtomicBool) {
    let agent = agent();
    let mut last = None;
    while !over.load(Ordering::Relaxed) {
        let sight = look(&agent, target);
        if last.as_ref() != Some(&sight) {
            last = Some(sight.clone());
            if sender.send((index, sight)).is_err() {
                return;
            }
        }
        thread::sleep(PAUSE);
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        // It is a neighbour, and no place to be sent elsewhere from.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("imgbuild/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn look(agent: &Agent, target: &Target) -> Sight {
    let url = format!("http://{}{}", target.page, paths::PAGE_REPORT);
    let ask = || -> Result<Result<Report, String>, ureq::Error> {
        let mut answer = agent.get(&url).call()?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(LONGEST_REPORT);
        Ok(read(status, &body.read_to_string()?, &target.name))
    };
    match ask() {
        Ok(Ok(report)) => Sight::Report(report),
        Ok(Err(why)) => Sight::Nothing(format!("{url} {why}")),
        Err(_) => Sight::Nothing(format!(
            "{} does not answer: it is off, starting, or was done a while ago",
            target.page
        )),
    }
}

/// A report of that node, or what is wrong with the answer.
fn read(status: u16, body: &str, name: &str) -> Result<Report, String> {
    if status != 200 {
        return Err(format!("answers with {status}"));
    }
    let report = Report::parse(body).map_err(|error| format!("shows no report: {error}"))?;
    if report.node != name {
        return Err(format!(
            "is the page of {}, which has this node's address",
            report.node
        ));
    }
    Ok(report)
}
