//! A lab whose nodes have K3s: a stand-in takes its place, unless `IMGBUILD_K3S` names
//! a real one for arm64.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgbuild::cmd::Cmd;
use imgbuild::qemu::Size;

use crate::lab::{Lab, skip, stderr};

/// The real one, if one was handed in.
pub(crate) fn real() -> Option<PathBuf> {
    std::env::var_os("IMGBUILD_K3S").map(PathBuf::from)
}

/// Of a machine with K3s, beside others of its kind.
pub(crate) fn size() -> Size {
    match real() {
        // Requirements of its documentation, for a server.
        Some(_) => Size {
            processors: 2,
            memory: 2048,
        },
        None => Size {
            processors: 1,
            memory: 768,
        },
    }
}

/// Until a node that starts beside others is Ready.
pub(crate) fn patience() -> Duration {
    Duration::from_secs(if real().is_some() { 3600 } else { 900 })
}

/// A lab whose nodes have K3s, with secrets, locked and fetched.
pub(crate) fn lab_with_k3s() -> Option<Lab> {
    lab_with_k3s_and(|lab| lab)
}

/// The same, after more was done to it.
pub(crate) fn lab_with_k3s_and(more: impl FnOnce(Lab) -> Lab) -> Option<Lab> {
    let mut lab = Lab::new()?;
    lab.cache = lab.path("cache");
    let release = lab.path("k3s/v1.35.7+k3s1");
    fs::create_dir_all(&release).expect("directory");
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/bin/k3s-stand-in");
    let program = real().unwrap_or(stand_in);
    if !program.exists() {
        skip(&format!(
            "there is no {}; run `ci/build tests`",
            program.display()
        ));
        return None;
    }
    let binary = release.join("k3s-arm64");
    fs::copy(program, &binary).expect("K3s");
    fs::write(
        release.join("sha256sum-arm64.txt"),
        format!("{}  k3s-arm64\n", sha256sum(&binary)),
    )
    .expect("sums");
    let mirrors = [
        ("https://github.com/k3s-io/k3s/releases/download/", "k3s"),
        ("https://argoproj.github.io/argo-helm/", "charts"),
    ];
    let mirrors = mirrors
        .map(|(url, folder)| format!("\"{url}\" = \"file://{}/\"\n", lab.path(folder).display()));
    lab.edit("cluster.toml", |text| {
        let k3s = format!("[k3s]\n\n[source.mirror]\n{}\n[[users]]", mirrors.concat());
        text.replacen("[[users]]", &k3s, 1)
    });
    let lab = more(lab);
    let key = lab.path("key.pub");
    for args in [
        &[
            "secrets",
            "init",
            "--recipient",
            key.to_str().expect("UTF-8"),
        ][..],
        &["lock"],
        &["fetch"],
    ] {
        let output = lab.imgbuild().args(args).output().expect("imgbuild");
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    Some(lab)
}

/// As `sha256sum` has it.
pub(crate) fn sha256sum(path: &Path) -> String {
    let sum = Cmd::new("sha256sum", "run ci/setup").arg(path);
    let said = sum.run(&[0]).expect("sha256sum").stdout;
    let said = String::from_utf8(said).expect("text");
    said.split(' ').next().expect("a digest").into()
}

/// Builds or rebuilds a node's image.
pub(crate) fn build(lab: &Lab, node: &str) -> PathBuf {
    let image = lab.path(&format!("{node}.img"));
    let mut imgbuild = lab.imgbuild();
    imgbuild.args(["build", node, "--force", "--identity"]);
    imgbuild.arg(lab.path("key")).arg("--output").arg(&image);
    let output = imgbuild.output().expect("imgbuild");
    assert!(output.status.success(), "{}", stderr(&output));
    image
}
