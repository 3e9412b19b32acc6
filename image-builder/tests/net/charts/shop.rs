//! A cluster folder, a cache, and charts to put on servers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use imgbuild::charts::{
    Edited, Finding, Job, Locked, News, Outcome, Places, Source, Wanted, check, news, vendor,
};
use imgbuild::fetch::{Client, Mirror, Settings};
use imgbuild::source::Cache;
use tar::{Builder, Header};

use crate::lab::{FakeClock, Recorder, quick, sha256};
use crate::server::{Request, Server, Wire};

/// A chart as its publisher packs it.
pub(super) fn chart(name: &str, version: &str) -> Vec<u8> {
    let meta = format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: 1.10\n");
    packed(
        name,
        &[
            ("Chart.yaml", &meta),
            ("values.yaml", "replicas: 1\n"),
            ("templates/all.yaml", "kind: {{ .Values.kind }}\n"),
        ],
    )
}

/// Files in a folder of this name.
pub(super) fn packed(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut builder = Builder::new(encoder);
    for (path, text) in files {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let path = format!("{name}/{path}");
        builder
            .append_data(&mut header, path, text.as_bytes())
            .expect("entry");
    }
    builder
        .into_inner()
        .and_then(GzEncoder::finish)
        .expect("archive")
}

/// An entry of an index: the version, where the archive is, and the digest it says.
pub(super) fn entry(version: &str, url: &str, archive: &[u8]) -> String {
    format!(
        "  - version: {version}\n    digest: {}\n    urls:\n    - {url}\n",
        sha256(archive)
    )
}

/// An index with these charts.
pub(super) fn index(charts: &[(&str, &[String])]) -> String {
    let mut text = "apiVersion: v1\nentries:\n".to_owned();
    for (name, entries) in charts {
        text += &format!("  {name}:\n{}", entries.concat());
    }
    text + "generated: \"2026-11-27T00:00:00Z\"\n"
}

/// A server with these files.
pub(super) fn server(files: &[(&str, Vec<u8>)]) -> Server {
    let files: BTreeMap<String, Vec<u8>> = files
        .iter()
        .map(|(path, bytes)| ((*path).to_owned(), bytes.clone()))
        .collect();
    Server::start(move |_, request, wire| serve(&files, request, wire))
}

/// Answers with one of these files.
pub(super) fn serve(
    files: &BTreeMap<String, Vec<u8>>,
    request: &Request,
    wire: &mut Wire,
) -> io::Result<()> {
    match files.get(path(request)) {
        Some(bytes) => wire.file(request, bytes),
        None => wire.status("404 Not Found", &[]),
    }
}

/// What a request asks for.
pub(super) fn path(request: &Request) -> &str {
    request.line.split(' ').nth(1).unwrap_or_default()
}

/// A cluster folder and a client.
pub(super) struct Shop {
    dir: tempfile::TempDir,
    client: Client,
    cache: Cache,
    pub(super) notes: Vec<String>,
}

impl Shop {
    pub(super) fn new() -> Self {
        Self::with(quick())
    }

    /// With `https://registry.test/` at a server here.
    pub(super) fn at_registry(server: &Server) -> Self {
        Self::with(Settings {
            mirrors: vec![Mirror {
                from: "https://registry.test/".into(),
                to: server.url("/"),
            }],
            ..quick()
        })
    }

    pub(super) fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let clock = Arc::new(FakeClock::default());
        Self {
            client: Client::with_parts(settings, clock, |_| None).expect("client"),
            cache: Cache::new(dir.path().join("cache")),
            dir,
            notes: Vec::new(),
        }
    }

    /// From now on without a network.
    pub(super) fn go_offline(&mut self) {
        let settings = Settings {
            offline: true,
            ..quick()
        };
        let clock = Arc::new(FakeClock::default());
        self.client = Client::with_parts(settings, clock, |_| None).expect("client");
    }

    pub(super) fn places(&self) -> Places {
        Places::of(&self.dir.path().join("cluster"))
    }

    /// A path below the charts.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.places().charts.join(path)
    }

    /// Writes charts.toml: name, repository, version, and more lines.
    pub(super) fn want(&self, charts: &[(&str, &str, &str, &str)]) {
        let mut text = "version = 1\n".to_owned();
        for (name, repository, version, more) in charts {
            text += &format!(
                "\n[[chart]]\nname = \"{name}\"\nrepository = \"{repository}\"\nversion = \"{version}\"\n{more}"
            );
        }
        let path = self.places().wanted;
        fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        fs::write(path, text).expect("list");
    }

    pub(super) fn vendor(&mut self) -> anyhow::Result<Vec<Outcome>> {
        self.vendor_as(Edited::Refuse)
    }

    pub(super) fn vendor_as(&mut self, edited: Edited) -> anyhow::Result<Vec<Outcome>> {
        let places = self.places();
        let job = Job {
            places: &places,
            source: self.source(),
            edited,
        };
        let mut progress = Recorder::default();
        let outcomes = vendor(job, &mut progress);
        self.notes = progress.notes;
        outcomes
    }

    /// Vendors what cannot be, and gives the reason. Nothing is left of it.
    pub(super) fn refused(&mut self) -> String {
        let error = self.vendor().expect_err("refused");
        assert_eq!(self.names(), [] as [&str; 0], "{error:#}");
        assert!(!self.places().lock.exists(), "{error:#}");
        format!("{error:#}")
    }

    pub(super) fn news(&self) -> anyhow::Result<Vec<News>> {
        let wanted = Wanted::load(&self.places().wanted)?;
        let charts: Vec<_> = wanted.charts.iter().collect();
        news(&charts, self.source(), &mut Recorder::default())
    }

    fn source(&self) -> Source<'_> {
        Source {
            client: &self.client,
            cache: &self.cache,
        }
    }

    pub(super) fn check(&self) -> Vec<String> {
        let findings = check(&self.places(), Some(&self.cache)).expect("readable");
        findings.iter().map(Finding::to_string).collect()
    }

    pub(super) fn lock(&self) -> Locked {
        Locked::load(&self.places().lock).expect("lock")
    }

    /// The folders of charts there are.
    pub(super) fn names(&self) -> Vec<String> {
        names(&self.places().charts)
    }
}

/// What is in a folder, sorted.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}
