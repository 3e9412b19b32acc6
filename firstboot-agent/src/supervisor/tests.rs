//! The ladder against the double, over real TLS.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::system::host::Host;
use crate::tests::supervisor::{Double, Shape};

const HEADER: &str = "Basic bm9kZTpwdw==";

fn open() -> Shape {
    Shape {
        lets_in: vec![HEADER.into()],
        ..Shape::default()
    }
}

fn climb(double: &Double) -> Rung {
    climb_with(double, &double.ca_hash, HEADER)
}

fn climb_with(double: &Double, ca_hash: &str, header: &str) -> Rung {
    let visitor = Visitor {
        ca_hash: ca_hash.into(),
        authorization: header.into(),
    };
    visitor.climb(double.address, &Host::new("/"))
}

#[test]
fn a_server_of_ours_lets_us_in_whatever_its_ca_is_made_of() {
    for depth in [1, 2, 3] {
        let double = Double::start(Shape { depth, ..open() });
        assert_eq!(climb(&double), Rung::Ready, "{depth}");
        let readyz = format!("/v1-k3s/readyz {HEADER}");
        assert_eq!(
            double.seen(),
            ["/ping", "/cacerts", "/cacerts", readyz.as_str()],
            "{depth}"
        );
    }
}

#[test]
fn a_bootstrap_token_is_shown_as_such() {
    let header = "Bearer abcdef.0123456789abcdef";
    let double = Double::start(Shape {
        lets_in: vec![header.into()],
        ..Shape::default()
    });
    assert_eq!(climb_with(&double, &double.ca_hash, header), Rung::Ready);
    assert_eq!(climb(&double), Rung::Refused(401));
}

#[test]
fn a_server_that_is_not_ready_is_ours_all_the_same() {
    let phases = vec![503, 429, 403, 401, 500];
    let double = Double::start(Shape { phases, ..open() });
    let rungs: Vec<Rung> = (0..6).map(|_| climb(&double)).collect();
    let expected = [
        Rung::Busy(503),
        Rung::Busy(429),
        Rung::Refused(403),
        Rung::Refused(401),
        Rung::Busy(500),
        Rung::Ready,
    ];
    assert_eq!(rungs, expected);
    assert!(rungs.iter().all(Rung::is_ours));
}

#[test]
fn another_cluster_never_sees_the_token() {
    let (ours, another) = (Double::start(open()), Double::start(open()));
    assert_eq!(climb_with(&another, &ours.ca_hash, HEADER), Rung::OtherCa);
    // One that shows our authorities as its own, alone or beside its own, cannot
    // prove it.
    let bundle = ours.bundle.clone();
    for impostor in [
        Shape {
            instead: Some(bundle.clone()),
            ..open()
        },
        Shape {
            beside: bundle,
            ..open()
        },
    ] {
        let impostor = Double::start(impostor);
        assert_eq!(climb_with(&impostor, &ours.ca_hash, HEADER), Rung::OtherCa);
        let seen = impostor.seen();
        assert!(!seen.iter().any(|line| line.contains("Basic")), "{seen:?}");
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_is_a_matter_of_clocks() {
    for valid in [(2000, 2001), (2090, 2100)] {
        let double = Double::start(Shape { valid, ..open() });
        let rung = climb(&double);
        assert_eq!(rung, Rung::Clock, "{valid:?}");
        assert!(rung.is_ours());
    }
}

/// The server's certificate is for the years 2000 and 2001; this machine's clock is
/// right, which is as far off as one in 1970.
#[test]
fn the_time_is_taken_from_who_can_prove_to_be_ours_at_that_time() {
    let valid = (2000, 2002);
    for (date, expected) in [
        (Some("Sun, 09 Sep 2001 01:46:40 GMT"), Some(1_000_000_000)),
        // By itself it says that its certificate is not valid.
        (Some("Tue, 14 Nov 2023 22:13:20 GMT"), None),
        (Some("Thu, 01 Jan 1970 00:00:17 GMT"), None),
        (Some("about noon"), None),
        (None, None),
    ] {
        let shape = Shape {
            valid,
            date,
            ..open()
        };
        let double = Double::start(shape);
        let told = time_of(double.address, &double.ca_hash, &Host::new("/"));
        assert_eq!(told, expected, "{date:?}");
        let seen = double.seen();
        assert!(!seen.iter().any(|line| line.contains("Basic")), "{seen:?}");
    }
}

#[test]
fn nobody_else_sets_the_clock() {
    let date = Some("Sun, 09 Sep 2001 01:46:40 GMT");
    let ours = Double::start(open());
    let bundle = ours.bundle.clone();
    for impostor in [
        Shape { date, ..open() },
        Shape {
            date,
            instead: Some(bundle.clone()),
            ..open()
        },
        Shape {
            date,
            beside: bundle,
            ..open()
        },
        // Ours, for another address.
        Shape {
            date,
            host: "192.168.4.12",
            ..open()
        },
    ] {
        let own = impostor.host != "127.0.0.1";
        let impostor = Double::start(impostor);
        let hash = match own {
            true => &impostor.ca_hash,
            false => &ours.ca_hash,
        };
        assert_eq!(time_of(impostor.address, hash, &Host::new("/")), None);
    }
}

#[test]
fn who_cannot_be_told_is_not_taken_for_nobody() {
    let cases = [
        Shape {
            ping: (404, "404 page not found"),
            ..open()
        },
        Shape {
            ping: (200, "<html>"),
            ..open()
        },
        // For another address than the one that answers.
        Shape {
            host: "192.168.4.12",
            ..open()
        },
    ];
    for shape in cases {
        let words = format!("{shape:?}");
        let rung = climb(&Double::start(shape));
        assert!(matches!(rung, Rung::Unclear(_)), "{words}: {rung:?}");
        assert!(!rung.is_ours());
    }
    // It accepts, and hangs up.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let port = listener.local_addr().expect("address").port();
    let accepting = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut wire, _) = listener.accept().expect("accepts");
            let _ = wire.read(&mut [0; 16]);
        }
    });
    let visitor = Visitor {
        ca_hash: "0a".repeat(32),
        authorization: HEADER.into(),
    };
    let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let rung = visitor.climb(server, &Host::new("/"));
    assert!(matches!(rung, Rung::Unclear(_)), "{rung:?}");
    accepting.join().expect("accepted twice");
    // And now nobody listens.
    assert_eq!(visitor.climb(server, &Host::new("/")), Rung::Silent);
}

#[test]
fn a_slow_server_is_waited_for() {
    let slowness = Duration::from_millis(400);
    let double = Double::start(Shape { slowness, ..open() });
    assert_eq!(climb(&double), Rung::Ready);
}

#[test]
fn a_bundle_without_an_end_is_not_read_to_it() {
    let beside = "-".repeat(200_000);
    let rung = climb(&Double::start(Shape { beside, ..open() }));
    assert!(matches!(rung, Rung::Unclear(_)), "{rung:?}");
}

#[test]
fn the_server_that_k3s_was_told_is_read_back() {
    let told_of = |text: &str| told(text).map(|server| server.to_string());
    let drop_in = "server: \"https://192.168.4.12:6443\"\n";
    assert_eq!(told_of(drop_in).as_deref(), Some("192.168.4.12"));
    for other in [
        "",
        "cluster-init: true\n",
        "server: \"https://[::1]:6443\"\n",
    ] {
        assert_eq!(told_of(other), None, "{other}");
    }
}
