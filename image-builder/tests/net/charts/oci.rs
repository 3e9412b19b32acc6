//! Registries that do what the real one beside cannot be made to do.

use std::io;

use imgbuild::fetch::FetchError;

use super::shop::{Shop, chart, path};
use crate::lab::{Lab, quick, sha256, unpinned};
use crate::server::{Request, Server, Wire};
use crate::tls::{authority, trusting_settings};

const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

/// The manifest that `helm push` makes, the archive behind something else.
fn manifest(archive: &[u8]) -> String {
    let layer = |media: &str, bytes: &[u8]| {
        format!(
            r#"{{"mediaType":"{media}","digest":"sha256:{}","size":{}}}"#,
            sha256(bytes),
            bytes.len()
        )
    };
    format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{},{}]}}"#,
        layer(CONFIG, b"{}"),
        layer(PROVENANCE, b"signed"),
        layer(CHART, archive)
    )
}

/// A registry that wants `token` before it says anything, and lets the archive be
/// fetched elsewhere.
fn registry(realm: String, cdn: String, archive: &[u8]) -> Server {
    let manifest = manifest(archive);
    let blob = format!("/v2/x/a/blobs/sha256:{}", sha256(archive));
    Server::start(move |_, request, wire| {
        if request.header("authorization") != Some("Bearer t0ken") {
            let asks = format!(
                r#"Bearer realm="{realm}",service="registry.test",scope="repository:x/a:pull""#
            );
            return wire.status("401 Unauthorized", &[("WWW-Authenticate", &asks)]);
        }
        match path(request) {
            "/v2/x/a/manifests/1.0.0_k3s1" => wire.file(request, manifest.as_bytes()),
            path if path == blob => wire.status("307 Temporary Redirect", &[("Location", &cdn)]),
            _ => wire.status("404 Not Found", &[]),
        }
    })
}

fn gives(text: &'static str) -> impl Fn(usize, &Request, &mut Wire) -> io::Result<()> {
    move |_, request, wire| wire.file(request, text.as_bytes())
}

fn shop(server: &Server) -> Shop {
    let shop = Shop::at_registry(server);
    shop.want(&[("a", "oci://registry.test/x", "1.0.0+k3s1", "")]);
    shop
}

#[test]
fn a_token_is_asked_for_and_given_to_nobody_else() {
    let archive = chart("a", "1.0.0+k3s1");
    let body = archive.clone();
    let cdn = Server::start(move |_, request, wire| wire.file(request, &body));
    let tokens = Server::start(gives(r#"{"token":"t0ken","expires_in":300}"#));
    let registry = registry(
        tokens.url("/token"),
        cdn.url("/bucket/a?signature=x"),
        &archive,
    );
    let mut shop = shop(&registry);
    shop.vendor().expect("vendored");
    assert_eq!(shop.check(), [] as [&str; 0]);

    for request in tokens.requests() {
        assert_eq!(
            path(&request),
            "/token?service=registry.test&scope=repository%3Ax%2Fa%3Apull"
        );
        assert_eq!(request.header("authorization"), None);
    }
    assert_eq!(cdn.requests().len(), 1);
    assert_eq!(cdn.requests()[0].header("authorization"), None);
    let manifests = registry.requests();
    assert_eq!(
        manifests[0].header("accept"),
        Some("application/vnd.oci.image.manifest.v1+json")
    );

    let lock = shop.lock();
    let entry = lock.get("a").expect("a");
    let oci = entry.oci.as_ref().expect("OCI");
    assert_eq!(
        oci.manifest,
        format!("sha256:{}", sha256(manifest(&archive).as_bytes()))
    );
    assert_eq!(oci.layer, format!("sha256:{}", sha256(&archive)));
    assert_eq!(
        entry.url,
        format!(
            "https://registry.test/v2/x/a/blobs/sha256:{}",
            sha256(&archive)
        )
    );
    assert_eq!(
        entry.digest_from,
        "https://registry.test/v2/x/a/manifests/1.0.0_k3s1"
    );
}

#[test]
fn whoever_gives_no_token_is_told() {
    let archive = chart("a", "1.0.0+k3s1");
    for (answer, why) in [
        ("{}", "what came is not one"),
        (r#"{"token":"other"}"#, "status 401"),
        ("<html>", "what came is not one"),
    ] {
        let tokens = Server::start(gives(answer));
        let registry = registry(tokens.url("/token"), String::new(), &archive);
        let reason = shop(&registry).refused();
        assert!(reason.contains(why), "{reason}");
        assert!(!reason.contains("other\""), "{reason}");
        // Asked once: it would say the same again.
        assert_eq!(tokens.requests().len(), 1);
    }
    // Who gives tokens wants one too.
    let registry = registry("http://127.0.0.1:1/".into(), String::new(), &archive);
    let circle = registry.url("/token");
    let registry = self::registry(circle, String::new(), &archive);
    let reason = shop(&registry).refused();
    assert!(reason.contains("status 401"), "{reason}");
    assert!(registry.requests().len() <= 2);
    for realm in ["no URL", "file:///etc/passwd"] {
        let registry = self::registry(realm.into(), String::new(), &archive);
        shop(&registry).refused();
        assert_eq!(registry.requests().len(), 1);
    }
}

#[test]
fn no_token_is_fetched_out_of_encryption() {
    let tokens = Server::start(gives(r#"{"token":"t0ken"}"#));
    let realm = tokens.url("/token");
    let (pem, config) = authority();
    let registry = Server::start_tls(config, move |_, _, wire| {
        let asks = format!(r#"Bearer realm="{realm}""#);
        wire.status("401 Unauthorized", &[("WWW-Authenticate", &asks)])
    });
    let (settings, _file) = trusting_settings(&pem);
    let lab = Lab::new(settings);
    let error = lab
        .fetch(&unpinned(registry.url("/v2/x")))
        .expect_err("refused");
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    assert!(tokens.requests().is_empty());
}

#[test]
fn a_login_is_not_traded_for_a_token() {
    let tokens = Server::start(gives(r#"{"token":"t0ken"}"#));
    let registry = registry(tokens.url("/token"), String::new(), b"");
    let lab = Lab::new(quick());
    let url = registry
        .url("/v2/x")
        .replace("http://", "http://me:hunter2@");
    let error = lab.fetch(&unpinned(url)).expect_err("refused");
    assert!(
        matches!(error, FetchError::Refused { status: 401, .. }),
        "{error}"
    );
    assert!(tokens.requests().is_empty());
}

#[test]
fn what_a_registry_says_is_doubted() {
    let archive = chart("a", "1.0.0+k3s1");
    let good = manifest(&archive);
    let other = sha256(b"other");
    let size = format!("\"size\":{}", archive.len());
    for (manifest, blob, why) in [
        (good.clone(), b"other".to_vec(), "bytes, expected are"),
        (
            good.replace(&size, "\"size\":5"),
            archive.clone(),
            "expected are 5",
        ),
        (
            good.replace(&sha256(&archive), &other),
            archive.clone(),
            &other[..],
        ),
        (
            good.replace(CHART, PROVENANCE),
            archive.clone(),
            "of its 2 layers",
        ),
        (
            good.replace(CONFIG, "image"),
            archive.clone(),
            "not a chart",
        ),
        (
            "{\"manifests\":[]}".into(),
            archive.clone(),
            "no single image",
        ),
        ("<html>".into(), archive.clone(), "not what a registry says"),
    ] {
        let server =
            Server::start(
                move |_, request, wire| match path(request).contains("/manifests/") {
                    true => wire.file(request, manifest.as_bytes()),
                    false => wire.file(request, &blob),
                },
            );
        let reason = shop(&server).refused();
        assert!(reason.contains(why), "{why}: {reason}");
    }
}

#[test]
fn tags_come_in_pages() {
    for pages in [Pages::Known, Pages::Ignored] {
        let server = Server::start(move |_, request, wire| {
            let tags = match (pages, path(request)) {
                (Pages::Ignored, _) => r#""1.0.0","1.1.0","sha256-x.sig""#,
                (_, "/v2/x/a/tags/list?n=1000") => r#""1.0.0","1.10.0","latest""#,
                (_, "/v2/x/a/tags/list?n=1000&last=latest") => r#""2.0.0-rc.1","1.9.0_k3s1""#,
                _ => "",
            };
            wire.file(
                request,
                format!(r#"{{"name":"x/a","tags":[{tags}]}}"#).as_bytes(),
            )
        });
        let shop = Shop::at_registry(&server);
        shop.want(&[("a", "oci://registry.test/x", "1.0.0", "")]);
        let news = shop.news().expect("news");
        let newest = news[0].newer.as_ref().map(|version| version.as_str());
        let (expected, asked) = match pages {
            Pages::Known => ("1.10.0", 3),
            Pages::Ignored => ("1.1.0", 2),
        };
        assert_eq!((newest, server.requests().len()), (Some(expected), asked));
    }
}

/// Whether a registry looks at what page it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pages {
    Known,
    Ignored,
}
