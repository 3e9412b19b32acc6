//! An image as Raspberry Pi OS makes them, whose kernel QEMU cannot run: tried with
//! one from the archive of the image's own sources.

use std::fs;

use imgbuild::overlay::{BaseView as _, Change, Part};
use imgbuild::view::ImageView;

use crate::lab::{Lab, NODE, stderr};
use crate::lock::{change_base, file, mirror, repository};

const STATUS: &str = "/var/lib/dpkg/status";

/// Where the modules of a Pi's kernel are.
const OF_THE_PI: &str = "/usr/lib/modules/6.12.47+rpt-rpi-2712/modules.order";

/// What makes the base one with a Pi's kernel: nothing of Debian's is left on it.
fn pi_kernel(base: &ImageView) -> Vec<(String, Change)> {
    let mut changes = Vec::new();
    for name in base.list(Part::Root, "/usr/lib/modules").expect("modules") {
        changes.push((format!("/usr/lib/modules/{name}"), Change::Remove));
    }
    changes.push((OF_THE_PI.to_owned(), file(Vec::new())));
    let status = base.read(Part::Root, STATUS).expect("status");
    let status = String::from_utf8(status.expect("status")).expect("text");
    let stanzas = status.split_inclusive("\n\n");
    let others = stanzas.filter(|stanza| !stanza.starts_with("Package: linux-image-"));
    changes.push((STATUS.to_owned(), file(others.collect::<String>().into())));
    changes
}

#[test]
fn an_image_with_a_pi_kernel_boots_with_a_borrowed_one() {
    let (Some(mut lab), Some(repo)) = (Lab::new(), repository()) else {
        return;
    };
    lab.cache = lab.path("cache");
    change_base(&lab, &repo, pi_kernel);
    lab.edit("cluster.toml", |text| {
        text.replacen("[[users]]", &format!("{}\n[[users]]", mirror(&repo)), 1)
    });
    let image = lab.build("pi-1.img");
    let before = fs::read(&image).expect("image");

    let looks = "uname -r; ls /usr/lib/modules; findmnt -n -o FSTYPE /boot/firmware; \
                 systemctl is-system-running --wait; /sbin/modprobe --dry-run vxlan && echo vxlan";
    let mut command = lab.imgbuild();
    command
        .arg("try")
        .arg(&image)
        .args(["--timeout", "420", "--run", looks, "--identity"]);
    let output = command.arg(lab.path("key")).output().expect("imgbuild");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("is built for the Pi") && said.contains("kernel: linux-image-"),
        "{said}"
    );
    let shown = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    let release = lines[0];
    assert!(release.ends_with("-arm64"), "{shown}");
    assert_eq!(lines, [release, release, "vfat", "running", "vxlan"]);
    assert!(
        fs::read(&image).expect("image") == before,
        "{NODE}'s image was written"
    );

    // Once it is here, it is here.
    let mut command = lab.imgbuild();
    command
        .arg("try")
        .arg(&image)
        .args(["--offline", "--timeout", "1"]);
    let output = command.output().expect("imgbuild");
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no report in time"),
        "{}",
        stderr(&output)
    );
}
