//! `imgbuild secrets` as it is used: what it makes, what it says, and that it says
//! no secret. age and ssh-keygen judge.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use imgbuild::cmd::Cmd;

use crate::terminal::talk;

const CLUSTER: &str = r#"
version = 1

[cluster]
name = "lab"
id = "5d8f2a52-0f60-44cb-9d3c-6b7a9d1f0c55"

[network]
subnet = "192.168.4.0/24"
gateway = "192.168.4.1"

[[users]]
name = "admin"
ssh_key_files = ["key.pub"]

[[nodes]]
name = "pi-1"
address = "192.168.4.11"
role = "server"
profile = "lab"
"#;

const PROFILE: &str = "version = 1\n[base]\nfile = \"none.img\"\n";

const AGENT: &str = "
[[nodes]]
name = \"pi-2\"
address = \"192.168.4.12\"
role = \"agent\"
profile = \"lab\"
";

/// A cluster's folder, and what was said in it.
struct Lab {
    dir: tempfile::TempDir,
    env: BTreeMap<&'static str, String>,
    said: String,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let lab = Self {
            dir,
            env: BTreeMap::new(),
            said: String::new(),
        };
        fs::create_dir_all(lab.path("profiles")).expect("profiles");
        fs::create_dir_all(lab.path("cluster")).expect("cluster");
        fs::write(lab.path("cluster/cluster.toml"), CLUSTER).expect("cluster.toml");
        fs::write(lab.path("profiles/lab.toml"), PROFILE).expect("profile");
        let key = lab.path("cluster/key");
        tool(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", text(&key)],
        );
        lab
    }

    /// A lab with an age key, which is told of in the environment.
    fn with_key() -> Self {
        let mut lab = Self::new();
        let key = lab.path("key.txt");
        tool("age-keygen", &["-o", text(&key)]);
        lab.env
            .insert("IMGBUILD_SECRETS_IDENTITY", text(&key).to_owned());
        lab
    }

    fn recipient(&self) -> String {
        let public = tool("age-keygen", &["-y", text(&self.path("key.txt"))]);
        public.trim().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self) -> Vec<u8> {
        fs::read(self.path("cluster/secrets.age")).expect("secrets.age")
    }

    fn command(&self, line: &str) -> Command {
        // Without a terminal, wherever the tests run: nobody shall be asked.
        let mut command = Command::new("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_imgbuild")]);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        if !line.starts_with("kubeconfig") {
            command.arg("secrets");
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("IMGBUILD_") {
                command.env_remove(name);
            }
        }
        command.envs(&self.env).args(line.split_whitespace());
        command
    }

    fn run(&mut self, line: &str) -> Output {
        let output = self.command(line).output().expect("imgbuild");
        let words = String::from_utf8_lossy(&output.stderr);
        if !line.starts_with("export") && !line.starts_with("kubeconfig") {
            self.said += &String::from_utf8_lossy(&output.stdout);
        }
        self.said += &words;
        output
    }

    /// What it prints.
    fn good(&mut self, line: &str) -> String {
        let output = self.run(line);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {words}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it complains of; the secrets file is as it was.
    fn bad(&mut self, code: i32, line: &str) -> String {
        let before = fs::read(self.path("cluster/secrets.age")).ok();
        let output = self.run(line);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {words}");
        assert_eq!(
            fs::read(self.path("cluster/secrets.age")).ok(),
            before,
            "{line}"
        );
        assert!(output.stdout.is_empty(), "{line}");
        words
    }

    /// Nothing that was said holds a value or key line of the decrypted file.
    fn said_no_secret(&self, plain: &str) {
        let mut count = 0;
        let mut in_certificate = false;
        for line in plain.lines() {
            if line.contains("-----") {
                in_certificate = line.contains("BEGIN CERTIFICATE");
                continue;
            }
            let value = line.split_once(" = \"").map_or(line, |(_, value)| value);
            let value = value.trim_matches(['"', '\'']);
            let public = ["cluster = ", "recipients", "    \"age1"];
            if value.len() < 16
                || in_certificate
                || public.iter().any(|word| line.starts_with(word))
            {
                continue;
            }
            count += 1;
            assert!(!self.said.contains(value), "{line}\n{}", self.said);
        }
        assert!(count > 50, "{count} lines were looked for");
    }
}

fn tool(program: &str, args: &[&str]) -> String {
    let cmd = args
        .iter()
        .fold(Cmd::new(program, "run ci/setup"), |cmd, arg| cmd.arg(*arg));
    let output = cmd.run(&[0]).expect(program);
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("file").permissions().mode() & 0o777
}

#[test]
fn a_cluster_keeps_its_secrets_in_one_file() {
    let mut lab = Lab::with_key();
    assert!(lab.bad(11, "show").contains("secrets init"));
    let recipient = lab.recipient();
    lab.good(&format!(
        "init --recipient {recipient} --recipient cluster/key.pub"
    ));
    assert_eq!(mode(&lab.path("cluster/secrets.age")), 0o600);
    assert!(!lab.path("cluster/secrets").exists());
    assert!(
        lab.bad(11, &format!("init --recipient {recipient}"))
            .contains("is there already")
    );

    let shown: serde_json::Value = serde_json::from_str(&lab.good("show --json")).expect("JSON");
    assert_eq!(shown["recipients"].as_array().map(Vec::len), Some(2));
    let text_form = lab.good("show");
    for entry in shown["entries"].as_array().expect("entries") {
        let name = entry["name"].as_str().expect("a name");
        assert!(text_form.contains(name), "{name}: {text_form}");
    }

    // Every key that it was encrypted for opens it.
    let ssh = lab.path("cluster/key");
    let other = lab
        .env
        .insert("IMGBUILD_SECRETS_IDENTITY", String::new())
        .expect("set");
    assert!(lab.bad(11, "show").contains("--identity"));
    assert_eq!(
        lab.good(&format!("--identity {} show", text(&ssh))),
        text_form
    );
    let key = fs::read_to_string(&other).expect("key");
    lab.env.insert(
        "IMGBUILD_SECRETS_IDENTITY",
        key.lines().last().expect("a key").to_owned(),
    );
    assert_eq!(lab.good("show"), text_form);

    // Out of the file and into others.
    let token = lab.good("export agent-token");
    let hash = shown["ca_hash"].as_str().expect("a hash");
    assert!(token.starts_with(&format!("K10{hash}::node:")), "{token}");
    lab.good("export nodes/pi-1/ssh_host_ed25519_key --output host_key");
    assert_eq!(mode(&lab.path("host_key")), 0o600);
    let listed = tool("ssh-keygen", &["-l", "-f", text(&lab.path("host_key"))]);
    let fingerprint = listed.split(' ').nth(1).expect("a fingerprint");
    assert!(text_form.contains(fingerprint), "{listed}");
    let taken = lab.bad(6, "export agent-token --output host_key");
    assert!(taken.contains("--force"), "{taken}");
    lab.good("export agent-token --output host_key --force");
    assert_eq!(
        fs::read_to_string(lab.path("host_key")).expect("file"),
        token
    );
    assert!(lab.bad(11, "export agent-tokem").contains("secrets show"));

    // A way in for the administrator.
    let config = lab.good("kubeconfig");
    assert!(
        config.contains("server: \"https://192.168.4.11:6443\""),
        "{config}"
    );
    lab.good("kubeconfig --server https://api.lab/ --output kubeconfig");
    assert_eq!(mode(&lab.path("kubeconfig")), 0o600);
    let config = fs::read_to_string(lab.path("kubeconfig")).expect("file");
    assert!(config.contains("server: \"https://api.lab\""), "{config}");

    // A new node, new secrets, and what follows.
    let before = lab.file();
    lab.good("add");
    assert_eq!(lab.file(), before, "nothing to add");
    fs::write(
        lab.path("cluster/cluster.toml"),
        format!("{CLUSTER}{AGENT}"),
    )
    .expect("written");
    assert!(lab.bad(11, "rotate node pi-2").contains("secrets add"));
    lab.good("add");
    assert!(lab.good("show").contains("nodes/pi-2/password"));
    lab.good("rotate agent-token");
    assert!(
        lab.said.contains("in this order: pi-1, pi-2"),
        "{}",
        lab.said
    );
    assert_ne!(lab.good("export agent-token"), token);
    assert!(lab.bad(3, "rotate ssh pi-3").contains("there is no node"));

    // age's own program sees what we see; nobody was told any of it.
    let sealed = lab.path("cluster/secrets.age");
    let plain = tool("age", &["-d", "-i", text(&ssh), text(&sealed)]);
    lab.said_no_secret(&plain);
}

#[test]
fn a_passphrase_comes_from_the_environment_or_a_file() {
    let mut lab = Lab::with_key();
    assert!(
        lab.bad(1, "init")
            .contains("IMGBUILD_SECRETS_NEW_PASSPHRASE")
    );
    lab.env
        .insert("IMGBUILD_SECRETS_NEW_PASSPHRASE", "canary one".into());
    lab.good("init");
    assert!(lab.bad(11, "show").contains("there is no terminal"));
    lab.env
        .insert("IMGBUILD_SECRETS_PASSPHRASE", "canary two".into());
    assert!(
        lab.bad(11, "rotate agent-token")
            .contains("passphrase does not open")
    );
    lab.env.remove("IMGBUILD_SECRETS_PASSPHRASE");
    fs::write(lab.path("passphrase"), "canary one\n").expect("file");
    let file = text(&lab.path("passphrase")).to_owned();
    lab.env.insert("IMGBUILD_SECRETS_PASSPHRASE_FILE", file);
    assert!(lab.good("show").contains("opens with a passphrase"));

    let recipient = lab.recipient();
    assert!(
        lab.bad(11, "rekey --recipient AGE-SECRET-KEY-1CANARY")
            .contains("a private key")
    );
    assert!(
        lab.bad(11, "rekey --recipient key.txt")
            .contains("a private key")
    );
    lab.good(&format!("rekey --recipient {recipient}"));
    assert!(
        lab.good("show")
            .contains(&format!("opens for  {recipient}"))
    );

    // For the wrong cluster, damaged, or somebody else's.
    let id = "5d8f2a52-0f60-44cb-9d3c-6b7a9d1f0c55";
    let other = CLUSTER.replace(id, "5d8f2a52-0f60-44cb-9d3c-6b7a9d1f0c56");
    fs::write(lab.path("cluster/cluster.toml"), other).expect("written");
    assert!(
        lab.bad(11, "show")
            .contains("belongs to the cluster with the id")
    );
    fs::write(lab.path("cluster/cluster.toml"), CLUSTER).expect("written");
    let whole = lab.file();
    let sealed = lab.path("cluster/secrets.age");
    fs::write(&sealed, &whole[..whole.len() / 2]).expect("cut");
    assert!(lab.bad(11, "show").contains("is damaged"));
    fs::write(&sealed, &whole).expect("restored");
    assert!(!lab.said.to_lowercase().contains("canary"), "{}", lab.said);
}

#[test]
fn host_keys_are_imported_as_they_are() {
    let mut lab = Lab::with_key();
    let dir = lab.path("cluster/secrets/pi-1");
    fs::create_dir_all(&dir).expect("directory");
    for (kind, bits) in [("ed25519", "256"), ("rsa", "3072")] {
        let file = dir.join(format!("ssh_host_{kind}_key"));
        let args = [
            "-q",
            "-t",
            kind,
            "-b",
            bits,
            "-N",
            "",
            "-C",
            "pi-1",
            "-f",
            text(&file),
        ];
        tool("ssh-keygen", &args);
    }
    let recipient = lab.recipient();
    let init = format!("init --recipient {recipient}");
    assert!(lab.bad(1, &init).contains("--import"));
    lab.good(&format!("{init} --import cluster/secrets"));
    for kind in ["ed25519", "rsa"] {
        let name = format!("ssh_host_{kind}_key");
        let kept = lab.good(&format!("export nodes/pi-1/{name}"));
        assert_eq!(
            kept,
            fs::read_to_string(dir.join(&name)).expect("key"),
            "{name}"
        );
    }
}

#[test]
fn a_terminal_is_asked_without_an_echo_and_shown_no_secret() {
    let mut lab = Lab::new();
    // A key with a passphrase asks as a file with one does, and opens faster.
    let key = lab.path("key");
    let args = [
        "-q",
        "-t",
        "ed25519",
        "-a",
        "1",
        "-N",
        "canary",
        "-f",
        text(&key),
    ];
    tool("ssh-keygen", &args);
    lab.good("init --recipient key.pub");
    let on_terminal = |line: &str| {
        let line = format!("secrets --identity key {line}");
        talk(lab.dir.path(), &line, &[("key: ", "canary")])
    };
    let (code, said) = on_terminal("show");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Passphrase of ") && said.contains("opens for  ssh-ed25519"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
    let (code, said) = on_terminal("export server-token");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--output") && !said.contains("K10"), "{said}");
}

#[test]
fn what_reads_the_repository_is_kept_and_not_said() {
    let mut lab = Lab::with_key();
    let recipient = lab.recipient();
    lab.good(&format!("init --recipient {recipient}"));
    let token = "canary-token-0123456789\n";
    fs::write(lab.path("token"), token).expect("token");
    let words = lab.bad(1, "set repository --from token");
    assert!(words.contains("add [gitops] first"), "{words}");

    let with = |repository: &str| format!("{CLUSTER}\n[gitops]\nrepository = \"{repository}\"\n");
    let file = lab.path("cluster/cluster.toml");
    fs::write(&file, with("https://git.home.arpa/a.git")).expect("cluster.toml");
    lab.good("set repository --from token --user me");
    assert!(lab.good("show").contains("repository/password"));
    assert_eq!(lab.good("export repository/password"), token);
    let words = lab.bad(1, "set repository --from cluster/key");
    assert!(words.contains("no password or token"), "{words}");

    fs::write(&file, with("git@git.home.arpa:a.git")).expect("cluster.toml");
    let words = lab.bad(1, "set repository --from cluster/key");
    assert!(words.contains("--known-hosts"), "{words}");
    let host = fs::read_to_string(lab.path("cluster/key.pub")).expect("key");
    fs::write(lab.path("hosts"), format!("git.home.arpa {host}")).expect("hosts");
    let words = lab.bad(1, "set repository --from token --known-hosts hosts");
    assert!(words.contains("no private key"), "{words}");
    lab.good("set repository --from cluster/key --known-hosts hosts");
    let key = fs::read_to_string(lab.path("cluster/key")).expect("key");
    assert_eq!(lab.good("export repository/key"), key);

    lab.good("set repository --none");
    assert!(!lab.good("show").contains("repository/"));
    let said = &lab.said;
    assert!(!said.contains("canary-token") && !key.lines().any(|line| said.contains(line)));
}
