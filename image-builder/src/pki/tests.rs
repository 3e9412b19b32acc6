//! openssl judges what is made here.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{authorities, made};
use super::*;
use crate::secret::fixture::Sequence;

/// A folder in which openssl works at the time of the fixture.
struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary directory"))
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, text).expect("written");
        name.to_owned()
    }

    /// What it prints, or what it complains of.
    fn try_run(&self, line: &str) -> Result<String, String> {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("LC_ALL", "C")
            .output()
            .expect("openssl; run ci/setup");
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).expect("text")),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn run(&self, line: &str) -> String {
        self.try_run(line)
            .unwrap_or_else(|words| panic!("openssl {line}: {words}"))
    }

    fn verify(&self, flags: &str, file: &str) -> Result<String, String> {
        let at = made().unix_timestamp();
        self.try_run(&format!(
            "verify -x509_strict -attime {at} -CAfile root.pem {flags} {file}"
        ))
    }

    /// A certificate's sha256 as lower-case hex.
    fn fingerprint(&self, file: &str) -> String {
        let line = self.run(&format!("x509 -noout -fingerprint -sha256 -in {file}"));
        let (_, hex) = line.trim_end().split_once('=').expect("a fingerprint");
        hex.replace(':', "").to_lowercase()
    }

    /// A file's sha256.
    fn sha256(&self, file: &str) -> String {
        let line = self.run(&format!("dgst -sha256 -r {file}"));
        line.split(' ').next().expect("a digest").to_owned()
    }
}

#[test]
fn the_list_of_files_is_complete() {
    let minted = authorities();
    let ssl = OpenSsl::new();
    let mut text = String::new();
    for file in minted.files() {
        let lines = file.content.expose().lines();
        let marks: Vec<&str> = lines.filter(|line| line.contains("BEGIN")).collect();
        let mark = marks[0].trim_matches('-').trim_start_matches("BEGIN ");
        text += &format!("{:04o} {} {}x {mark}", file.mode, file.path, marks.len());
        if file.path.ends_with(".crt") {
            let name = ssl.put(file.path, file.content.expose());
            // Every certificate in it, in order.
            ssl.run(&format!("crl2pkcs7 -nocrl -certfile {name} -out chain.p7"));
            for line in ssl.run("pkcs7 -in chain.p7 -print_certs -noout").lines() {
                if let Some(subject) = line.strip_prefix("subject=") {
                    text += &format!("\n      {}", subject.replace(' ', ""));
                }
            }
        }
        text += "\n";
    }
    assert_eq!(text, include_str!("files.txt"));
}

#[test]
fn openssl_follows_every_chain_to_the_root() {
    let minted = authorities();
    let ssl = OpenSsl::new();
    ssl.put("root.pem", &minted.root.certificate);
    let other = Authorities::mint(&mut Sequence(1 << 40), made()).expect("minted");
    ssl.put("other.pem", &other.root.certificate);
    for ([crt, key], authority) in minted.in_tls() {
        ssl.put(crt, &minted.chain(authority));
        ssl.put(key, authority.key.expose());
        let flags = format!("-untrusted {crt}");
        let said = ssl.verify(&flags, crt).expect("verified");
        assert_eq!(said, format!("{crt}: OK\n"));
        ssl.verify("", crt).expect_err("the intermediate is needed");
        let of_other = ssl.try_run(&format!("verify -CAfile other.pem -untrusted {crt} {crt}"));
        of_other.expect_err("another root");
        // The key is the certificate's, whole, and of the kind K3s writes itself.
        let public = ssl.run(&format!("x509 -pubkey -noout -in {crt}"));
        assert_eq!(ssl.run(&format!("pkey -pubout -in {key}")), public);
        ssl.run(&format!("ec -check -noout -in {key}"));
        let shown = ssl.run(&format!("x509 -noout -text -in {crt}"));
        for line in [
            "ASN1 OID: prime256v1",
            "CA:TRUE",
            "Digital Signature, Key Encipherment, Certificate Sign",
        ] {
            assert!(shown.contains(line), "{crt}: {line}: {shown}");
        }
    }
    ssl.put("service.key", minted.service.0.expose());
    ssl.run("rsa -check -noout -in service.key");
    let shown = ssl.run("rsa -text -noout -in service.key");
    assert!(shown.contains("2048 bit"), "{shown}");
}

#[test]
fn dates_come_from_the_time_that_is_given() {
    let minted = authorities();
    let ssl = OpenSsl::new();
    let days = |seconds: i64| (seconds - made().unix_timestamp()) / 86_400;
    for (authority, last) in [(&minted.root, 7300), (&minted.server, 3700)] {
        ssl.put("a.pem", &authority.certificate);
        let shown = ssl.run("x509 -noout -dates -dateopt iso_8601 -in a.pem");
        let dates: Vec<i64> = shown
            .lines()
            .map(|line| {
                let (_, date) = line.split_once('=').expect("a date");
                let date = date.replace(' ', "T");
                let time = humantime::parse_rfc3339(&date).expect("a time");
                let since = time.duration_since(std::time::UNIX_EPOCH);
                since.expect("after 1970").as_secs() as i64
            })
            .collect();
        assert_eq!(
            dates.iter().map(|date| days(*date)).collect::<Vec<_>>(),
            [-1, last]
        );
        let ends = authority.not_after().expect("a date");
        assert_eq!(ends.unix_timestamp(), dates[1]);
        assert!(
            ssl.fingerprint("a.pem")
                .starts_with(&authority.fingerprint().expect("readable"))
        );
    }
}

#[test]
fn the_hash_is_of_the_root_or_of_the_file() {
    let minted = authorities();
    let ssl = OpenSsl::new();
    ssl.put("root.pem", &minted.root.certificate);
    ssl.put("server-ca.crt", &minted.chain(&minted.server));
    let hash = minted.hash().expect("a hash").to_string();
    assert_eq!(hash, ssl.fingerprint("root.pem"));
    assert_ne!(hash, ssl.sha256("server-ca.crt"));
    // As every other chain below the same root, in whatever order.
    for authority in [&minted.client, &minted.etcd_peer] {
        let [one, two] = [&minted.root, &minted.intermediate].map(|each| &*each.certificate);
        let bundle = [authority.certificate.as_str(), one, two].concat();
        let other = CaHash::of_bundle(bundle.as_bytes()).expect("a hash");
        assert_eq!(other.to_string(), hash);
    }
    // One certificate: the bytes, comments and line ends included.
    for text in [
        minted.root.certificate.clone(),
        format!("# mine\n{}\n", minted.server.certificate),
    ] {
        ssl.put("one.pem", &text);
        let one = CaHash::of_bundle(text.as_bytes()).expect("a hash");
        assert_eq!(one.to_string(), ssl.sha256("one.pem"));
    }
    // Several that lead nowhere: K3s takes the bytes.
    let loose = [&minted.server, &minted.root]
        .map(|each| &*each.certificate)
        .concat();
    ssl.put("loose.pem", &loose);
    let loose = CaHash::of_bundle(loose.as_bytes()).expect("a hash");
    assert_eq!(loose.to_string(), ssl.sha256("loose.pem"));

    assert_eq!(CaHash::of_bundle(b""), Err(HashError::Empty));
    let cut = &minted.root.certificate.replace("MII", "MIJ");
    assert_eq!(CaHash::of_bundle(cut.as_bytes()), Err(HashError::Damaged));
}

#[test]
fn the_hash_of_a_chain_that_openssl_made() {
    let ssl = OpenSsl::new();
    ssl.put("ca.ext", "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n");
    // RSA, and a root that names itself as its signer: as K3s' script makes them.
    ssl.run("req -x509 -new -nodes -newkey rsa:2048 -keyout root.key -out root.pem -subj /CN=root -days 30");
    let root = ssl.run("x509 -noout -ext authorityKeyIdentifier -in root.pem");
    assert!(root.contains("Authority Key Identifier"), "{root}");
    let mut above = "root";
    for name in ["intermediate", "leaf"] {
        ssl.run(&format!(
            "req -new -nodes -newkey rsa:2048 -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        ssl.run(&format!("x509 -req -in {name}.csr -CA {above}.pem -CAkey {above}.key -CAcreateserial -days 30 -extfile ca.ext -out {name}.pem"));
        above = name;
    }
    let read = |name: &str| fs::read_to_string(ssl.0.path().join(name)).expect("file");
    let bundle = ["leaf.pem", "intermediate.pem", "root.pem"]
        .map(read)
        .concat();
    let hash = CaHash::of_bundle(bundle.as_bytes()).expect("a hash");
    assert_eq!(hash.to_string(), ssl.fingerprint("root.pem"));
}

#[test]
fn an_administrator_is_one_to_openssl() {
    let minted = authorities();
    let ssl = OpenSsl::new();
    let admin = minted.admin(&mut Sequence(7), made()).expect("made");
    ssl.put("root.pem", &minted.root.certificate);
    ssl.put("admin.crt", &admin.chain);
    ssl.put("admin.key", admin.key.expose());
    let flags = "-purpose sslclient -untrusted admin.crt";
    ssl.verify(flags, "admin.crt").expect("verified");
    let server = ssl.verify("-purpose sslserver -untrusted admin.crt", "admin.crt");
    server.expect_err("not for servers");
    // Signed by the client CA: what the API server asks for.
    ssl.put("client-ca.pem", &minted.client.certificate);
    ssl.put("server-ca.pem", &minted.server.certificate);
    let at = made().unix_timestamp();
    let alone = |ca: &str| {
        ssl.try_run(&format!(
            "verify -partial_chain -attime {at} -CAfile {ca} admin.crt"
        ))
    };
    alone("client-ca.pem").expect("by the client CA");
    alone("server-ca.pem").expect_err("not by the server CA");
    let subject = ssl.run("x509 -noout -subject -nameopt RFC2253 -in admin.crt");
    assert_eq!(subject, "subject=CN=system:admin,O=system:masters\n");
    let public = ssl.run("x509 -pubkey -noout -in admin.crt");
    assert_eq!(ssl.run("pkey -pubout -in admin.key"), public);

    let text = kubeconfig(minted, &admin, "home", "https://192.168.4.11:6443");
    assert!(!format!("{text:?} {admin:?}").contains("PRIVATE"));
    let mut shape = String::new();
    for line in text.expose().lines() {
        let Some((key, data)) = line.split_once("-data: ") else {
            shape += &format!("{line}\n");
            continue;
        };
        ssl.put("encoded", &format!("{data}\n"));
        ssl.run("base64 -d -A -in encoded -out decoded");
        let decoded = fs::read_to_string(ssl.0.path().join("decoded")).expect("text");
        let same = match key.trim() {
            "certificate-authority" => minted.chain(&minted.server),
            "client-certificate" => admin.chain.clone(),
            _ => admin.key.expose().to_owned(),
        };
        assert_eq!(decoded, same, "{key}");
        shape += &format!("{key}-data: ...\n");
    }
    assert_eq!(shape, include_str!("kubeconfig.txt"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let minted = authorities();
    minted.check().expect("sound");
    let other = Authorities::mint(&mut Sequence(1 << 41), made()).expect("minted");
    let damage = |change: &dyn Fn(&mut Authorities)| {
        let mut copy = minted.clone();
        change(&mut copy);
        copy.check().expect_err("refused").to_string()
    };
    let foreign_key = damage(&|copy| copy.server.key = other.server.key.clone());
    assert_eq!(
        foreign_key,
        "the server CA is damaged: its key is not that of its certificate"
    );
    let foreign = damage(&|copy| copy.client = other.client.clone());
    assert_eq!(
        foreign,
        "the client CA is damaged: another authority signed it"
    );
    let root = damage(&|copy| copy.root = other.root.clone());
    assert_eq!(
        root,
        "the intermediate CA is damaged: another authority signed it"
    );
    let leaf = minted.admin(&mut Sequence(9), made()).expect("made");
    let (certificate, _) = leaf
        .chain
        .split_at(leaf.chain.find("-----END").expect("PEM") + 26);
    let no_ca = damage(&|copy| {
        copy.etcd_peer = Authority {
            certificate: certificate.into(),
            key: leaf.key.clone(),
        };
    });
    assert_eq!(
        no_ca,
        "the etcd peer CA is damaged: its certificate is not an authority's"
    );
    for canary in ["canary", "-----BEGIN EC PRIVATE KEY-----\ncanary\n"] {
        let said = damage(&|copy| copy.root.key = canary.into());
        assert!(!said.contains("canary"), "{said}");
        let said = damage(&|copy| copy.service.0 = canary.into());
        assert!(!said.contains("canary"), "{said}");
    }
}

#[test]
fn nothing_shows_a_key() {
    let minted = authorities();
    let shown = format!("{minted:?} {:?}", minted.files());
    let keys = minted.files().into_iter().filter(|file| file.mode == 0o600);
    let above = [&minted.root, &minted.intermediate].map(|each| each.key.clone());
    for key in keys.map(|file| file.content).chain(above) {
        let lines = key.expose().lines().filter(|line| !line.starts_with('-'));
        for line in lines {
            assert!(!shown.contains(line));
        }
    }
    assert!(!Path::new(TLS_DIR).is_relative());
}
