//! The page over loopback, with clients of every kind.

use std::net::Ipv4Addr;

use node_config::report::{Outcome, StageReport, State};

use super::*;

const LOOPBACK: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
const HOUR: Duration = Duration::from_secs(3600);

fn report(message: &str) -> String {
    let stage = StageReport {
        name: "network".into(),
        outcome: Outcome::Retrying,
        message: message.into(),
        attempts: 4,
        seconds: 12,
    };
    let report = Report {
        version: node_config::report::VERSION,
        node: "pi-1".into(),
        image_id: uuid::Uuid::nil(),
        state: State::Running,
        stages: vec![stage],
    };
    report.render()
}

fn ask(at: SocketAddrV4, path: &str) -> String {
    let mut client = TcpStream::connect(at).expect("open");
    let question = format!("GET {path} HTTP/1.1\r\nHost: pi-1\r\n\r\n");
    client.write_all(question.as_bytes()).expect("asks");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("answers");
    answer
}

#[test]
fn it_shows_the_latest_report_to_people_and_programs() {
    let page = Page::default();
    let at = page.open(LOOPBACK, HOUR).expect("opens");
    assert!(ask(at, "/").starts_with("HTTP/1.1 503 "));
    page.show(&report("no link on <eth0>"));
    let html = ask(at, "/");
    assert!(html.contains("<td>no link on &lt;eth0&gt;"), "{html}");
    assert!(html.contains("http-equiv=\"refresh\""), "{html}");
    let json = ask(at, "/report.json");
    let (_, body) = json.split_once("\r\n\r\n").expect("a body");
    assert_eq!(body, report("no link on <eth0>"));
    page.show(&report("plugged in"));
    page.show("no report");
    assert!(ask(at, "/").contains("<td>plugged in"));
}

#[test]
fn whoever_takes_its_time_is_hung_up_on_and_the_others_are_served() {
    let page = Page::default();
    page.show(&report("hello"));
    let at = page.open(LOOPBACK, HOUR).expect("opens");
    // More of them than there are workers, and none says what it wants.
    let slow: Vec<TcpStream> = (0..2 * WORKERS)
        .map(|_| {
            let mut client = TcpStream::connect(at).expect("open");
            client.write_all(b"GET /").expect("begins");
            client
        })
        .collect();
    let began = Instant::now();
    assert!(ask(at, "/").contains("hello"));
    let waited = began.elapsed();
    assert!(waited < 3 * PATIENCE, "{waited:?}");
    drop(slow);
}

#[test]
fn whoever_says_too_much_or_reads_nothing_does_no_harm() {
    let page = Page::default();
    page.show(&report(&"long ".repeat(100_000)));
    let at = page.open(LOOPBACK, HOUR).expect("opens");
    let mut loud = TcpStream::connect(at).expect("open");
    let noise = [b'x'; 4 * LONGEST_QUESTION];
    // It may be hung up on before it is through.
    let _ = loud.write_all(&noise);
    let deaf: Vec<TcpStream> = (0..WORKERS)
        .map(|_| {
            let mut client = TcpStream::connect(at).expect("open");
            client
                .write_all(b"GET / HTTP/1.1\r\n\r\n")
                .expect("asks, and never listens");
            client
        })
        .collect();
    assert!(ask(at, "/report.json").starts_with("HTTP/1.1 200 "));
    drop(deaf);
}

#[test]
fn it_closes_when_its_time_is_over() {
    let page = Page::default();
    let at = page
        .open(LOOPBACK, Duration::from_millis(300))
        .expect("opens");
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(at).is_ok() {
        assert!(Instant::now() < deadline, "still open");
        thread::sleep(Duration::from_millis(100));
    }
}
