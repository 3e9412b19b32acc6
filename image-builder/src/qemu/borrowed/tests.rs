//! The RAM disk, unpacked again by cpio's counterpart in libarchive.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::cmd::Cmd;

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        Self { dir }
    }

    /// A package as dpkg makes it: dpkg reads no control file when nothing is built.
    fn package(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let tree = self.dir.path().join(format!("{name}-tree"));
        for (path, content) in files {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs::write(path, content).expect("file");
        }
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: none\n"
        );
        fs::create_dir_all(tree.join("DEBIAN")).expect("folder");
        fs::write(tree.join("DEBIAN/control"), control).expect("control");
        let deb = self.dir.path().join(format!("{name}.deb"));
        let build = Cmd::new("dpkg-deb", "run ci/setup").arg("--build");
        build.arg(&tree).arg(&deb).run(&[0]).expect("dpkg-deb");
        deb
    }
}

fn kernel(lab: &Lab) -> PathBuf {
    let module = |needs: &str| format!("\x7fELF\0depends={needs}\0").into_bytes();
    let (ext4, crc, net) = (module("crc16"), module(""), module(""));
    lab.package(
        "linux-image",
        &[
            ("boot/vmlinuz-6.12.1-arm64", b"MZ"),
            ("boot/config-6.12.1-arm64", b"CONFIG_X=y"),
            (
                "usr/lib/modules/6.12.1-arm64/modules.order",
                b"kernel/fs/ext4/ext4.ko\n",
            ),
            ("usr/lib/modules/6.12.1-arm64/kernel/fs/ext4/ext4.ko", &ext4),
            ("usr/lib/modules/6.12.1-arm64/kernel/lib/crc16.ko", &crc),
            (
                "usr/lib/modules/6.12.1-arm64/kernel/drivers/net/vxlan/vxlan.ko",
                &net,
            ),
            (
                "usr/lib/modules/6.12.1-arm64/kernel/drivers/net/wireless/w.ko",
                &net,
            ),
            ("usr/lib/modules/6.12.1-arm64/kernel/drivers/gpu/g.ko", &net),
        ],
    )
}

#[test]
fn a_ram_disk_has_drivers_in_order_and_the_modules_of_a_node() {
    let lab = Lab::new();
    let busybox = lab.package("busybox-static", &[("usr/bin/busybox", b"\x7fELF busybox")]);
    let Borrowed { image, initrd } = make(&kernel(&lab), &busybox).expect("made");
    assert_eq!(image, b"MZ");

    let archive = lab.dir.path().join("initrd");
    fs::write(&archive, initrd).expect("written");
    let (list, out) = (lab.dir.path().join("list"), lab.dir.path().join("out"));
    fs::create_dir(&out).expect("folder");
    let tool = Cmd::new("bsdtar", "run ci/setup")
        .arg("-xpf")
        .arg(&archive)
        .arg("-C");
    tool.arg(&out).run(&[0]).expect("unpacked");
    let tool = Cmd::new("sh", "").arg("-c");
    let find = format!(
        "cd '{}' && find . -printf '%P %m %y\\n' | sort",
        out.display()
    );
    let found = tool.arg(find).run(&[0]).expect("find").stdout;
    fs::write(&list, &found).expect("written");
    assert_eq!(
        String::from_utf8_lossy(&found).trim(),
        [
            "755 d",
            "bin 755 d",
            "bin/busybox 755 f",
            "dev 755 d",
            "drivers 755 d",
            "drivers/000-crc16.ko 644 f",
            "drivers/001-ext4.ko 644 f",
            "init 755 f",
            "modules 755 d",
            "proc 755 d",
            "root 755 d",
            "sys 755 d",
            "tree 755 d",
            "tree/6.12.1-arm64 755 d",
            "tree/6.12.1-arm64/kernel 755 d",
            "tree/6.12.1-arm64/kernel/drivers 755 d",
            "tree/6.12.1-arm64/kernel/drivers/net 755 d",
            "tree/6.12.1-arm64/kernel/drivers/net/vxlan 755 d",
            "tree/6.12.1-arm64/kernel/drivers/net/vxlan/vxlan.ko 644 f",
            "tree/6.12.1-arm64/kernel/fs 755 d",
            "tree/6.12.1-arm64/kernel/fs/ext4 755 d",
            "tree/6.12.1-arm64/kernel/fs/ext4/ext4.ko 644 f",
            "tree/6.12.1-arm64/kernel/lib 755 d",
            "tree/6.12.1-arm64/kernel/lib/crc16.ko 644 f",
            "tree/6.12.1-arm64/modules.order 644 f",
        ]
        .join("\n")
    );
    let init = fs::read_to_string(out.join("init")).expect("init");
    assert!(init.contains("/sbin/depmod 6.12.1-arm64 "), "{init}");
}

#[test]
fn what_is_no_such_package_is_named() {
    let lab = Lab::new();
    let busybox = lab.package("busybox-static", &[("usr/bin/busybox", b"b")]);
    let error = make(&busybox, &busybox).err().expect("no kernel");
    assert!(error.to_string().contains("has no kernel in it"), "{error}");
    let error = make(&kernel(&lab), &kernel(&lab))
        .err()
        .expect("no busybox");
    assert!(
        error.to_string().contains("has no busybox in it"),
        "{error}"
    );
    let nonsense = lab.dir.path().join("nonsense");
    fs::write(&nonsense, "no archive").expect("written");
    let error = make(&nonsense, &busybox).err().expect("no package");
    assert!(
        format!("{error:#}").contains("reading the package"),
        "{error:#}"
    );
}
