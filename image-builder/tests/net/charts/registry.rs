//! A real registry: Debian's `docker-registry`, encrypted, with a chart pushed into
//! it as Helm does.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use imgbuild::fetch::Settings;
use rustls::crypto::ring::default_provider;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::shop::{Shop, chart};
use crate::lab::{quick, sha256};
use crate::tls::identity;

const PATIENCE: Duration = Duration::from_secs(30);

/// A registry; it ends with the value.
struct Registry {
    child: Child,
    port: u16,
    agent: Agent,
    _dir: tempfile::TempDir,
    ca_file: std::path::PathBuf,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts one on a port nobody has.
    fn start() -> Option<Self> {
        let program = Path::new("/usr/bin/docker-registry");
        if !program.exists() {
            assert!(
                std::env::var_os("IMGBUILD_NO_SKIP").is_none(),
                "cannot be skipped here: run ci/setup"
            );
            eprintln!("skipped: there is no {}; run ci/setup", program.display());
            return None;
        }
        let dir = tempfile::tempdir().expect("directory");
        let at = |name: &str| dir.path().join(name);
        let identity = identity();
        let pem = identity.authority.clone();
        for (name, text) in [
            ("ca.pem", identity.authority),
            ("cert.pem", identity.certificate),
            ("key.pem", identity.key),
        ] {
            fs::write(at(name), text).expect("file");
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("port")
            .port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {store}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: none\n  tls: {{certificate: {cert}, key: {key}}}\n",
            store = at("store").display(),
            cert = at("cert.pem").display(),
            key = at("key.pem").display(),
        );
        fs::write(at("config.yml"), config).expect("file");
        let log = fs::File::create(at("log")).expect("log");
        let child = Command::new(program)
            .arg("serve")
            .arg(at("config.yml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry");
        let root = Certificate::from_pem(pem.as_bytes())
            .expect("certificate")
            .to_owned();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![root])))
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()));
        let registry = Self {
            child,
            port,
            agent: Agent::config_builder()
                .tls_config(tls.build())
                .proxy(None)
                .build()
                .new_agent(),
            ca_file: at("ca.pem"),
            _dir: dir,
        };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Pushes a blob in one piece (distribution specification, "POST then PUT").
    fn push_blob(&self, repository: &str, bytes: &[u8]) {
        let url = format!("https://{}/v2/{repository}/blobs/uploads/", self.host());
        let begun = self.agent.post(&url).send_empty().expect("upload");
        let location = begun.headers().get("location").expect("location");
        let location = location.to_str().expect("text");
        let put = format!("{location}&digest=sha256:{}", sha256(bytes));
        let done = self
            .agent
            .put(&put)
            .header("content-type", "application/octet-stream")
            .send(bytes);
        assert_eq!(done.expect("blob").status(), 201);
    }

    /// Pushes a chart as `helm push` does.
    fn push_chart(&self, repository: &str, tag: &str, archive: &[u8]) -> String {
        let config = br#"{"name":"a"}"#;
        for bytes in [&config[..], archive] {
            self.push_blob(repository, bytes);
        }
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:{}","size":{}}},"layers":[{{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"sha256:{}","size":{}}}]}}"#,
            sha256(config),
            config.len(),
            sha256(archive),
            archive.len()
        );
        let url = format!("https://{}/v2/{repository}/manifests/{tag}", self.host());
        let put = self
            .agent
            .put(&url)
            .header("content-type", "application/vnd.oci.image.manifest.v1+json");
        let done = put.send(manifest.as_bytes()).expect("manifest");
        let digest = done.headers().get("docker-content-digest").expect("digest");
        digest.to_str().expect("text").to_owned()
    }
}

#[test]
fn a_real_registry_gives_what_was_pushed() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let archive = chart("a", "1.0.0+build.1");
    let digest = registry.push_chart("charts/x/a", "1.0.0_build.1", &archive);
    registry.push_chart("charts/x/a", "1.1.0", &chart("a", "1.1.0"));
    registry.push_chart("charts/x/a", "2.0.0-rc.1", &chart("a", "2.0.0-rc.1"));

    let mut shop = Shop::with(Settings {
        ca_file: Some(registry.ca_file.clone()),
        ..quick()
    });
    let at = format!("oci://{}/charts/x", registry.host());
    shop.want(&[("a", &at, "1.0.0+build.1", "")]);
    shop.vendor().expect("vendored");
    assert_eq!(shop.check(), [] as [&str; 0]);
    let lock = shop.lock();
    let entry = lock.get("a").expect("a");
    assert_eq!(
        (entry.sha256.as_str(), entry.size),
        (sha256(&archive).as_str(), archive.len() as u64)
    );
    // The registry's own word for it.
    assert_eq!(entry.oci.as_ref().expect("OCI").manifest, digest);
    let news = shop.news().expect("news");
    assert_eq!(
        news[0].newer.as_ref().map(|version| version.as_str()),
        Some("1.1.0")
    );

    shop.want(&[("a", &at, "3.0.0", "")]);
    let error = shop.vendor().expect_err("no such version");
    assert!(
        format!("{error:#}").contains("there is no such file"),
        "{error:#}"
    );
    // Who does not know its authority does not talk to it.
    let mut stranger = Shop::new();
    stranger.want(&[("a", &at, "1.1.0", "")]);
    assert!(stranger.refused().contains("cannot be trusted"));
}
