//! Two bases in memory, in the shape that `raspberry-pi.md` (sections 1 to 4)
//! describes. The texts are ours; names and places are the stock image's.

use super::super::Part::{Boot, Root};
use super::super::memory::MemoryBase;

/// What both suites have.
fn common() -> MemoryBase {
    MemoryBase::default()
        .links(&[
            ("/lib", "usr/lib"),
            ("/bin", "usr/bin"),
            ("/sbin", "usr/sbin"),
            ("/etc/localtime", "/usr/share/zoneinfo/Europe/London"),
            ("/var/lib/dbus/machine-id", "/etc/machine-id"),
            ("/boot/overlays", "firmware/overlays"),
            ("/etc/systemd/network/99-default.link", "/dev/null"),
            ("/etc/systemd/system/multi-user.target.wants/userconfig.service", "/lib/systemd/system/userconfig.service"),
            ("/etc/systemd/system/multi-user.target.wants/sshswitch.service", "/lib/systemd/system/sshswitch.service"),
        ])
        .files(
            Boot,
            &[
                ("/config.txt", "dtparam=audio=on\nauto_initramfs=1\narm_64bit=1\n\n[cm5]\ndtoverlay=dwc2,dr_mode=host\n\n[all]\n"),
                ("/kernel8.img", "kernel"),
                ("/kernel_2712.img", "kernel"),
                ("/overlays/disable-wifi.dtbo", "overlay"),
                ("/overlays/disable-wifi-pi5.dtbo", "overlay"),
            ],
        )
        .files(
            Root,
            &[
                ("/etc/hostname", "raspberrypi\n"),
                ("/etc/hosts", "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\n\n127.0.1.1\t\traspberrypi\n"),
                (
                    "/etc/fstab",
                    "proc            /proc           proc    defaults          0       0\n\
                     PARTUUID=8a1b2c3d-01  /boot/firmware  vfat    defaults          0       2\n\
                     PARTUUID=8a1b2c3d-02  /               ext4    defaults,noatime  0       1\n",
                ),
                (
                    "/etc/passwd",
                    "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                     sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\npi:x:1000:1000:,,,:/home/pi:/usr/sbin/nologin\n",
                ),
                ("/etc/shadow", "root:*:20345:0:99999:7:::\ndaemon:*:20345:0:99999:7:::\nsshd:!:20345::::::\npi:!:20345:0:99999:7:::\n"),
                (
                    "/etc/group",
                    "root:x:0:\ndaemon:x:1:\nadm:x:4:pi\ndialout:x:20:pi\ncdrom:x:24:pi\nsudo:x:27:pi\naudio:x:29:pi\n\
                     shadow:x:42:\nvideo:x:44:pi\nplugdev:x:46:pi\ngames:x:60:pi\nusers:x:100:pi\ninput:x:102:pi\n\
                     render:x:103:pi\nnetdev:x:104:pi\nspi:x:993:pi\ni2c:x:994:pi\ngpio:x:995:pi\nnogroup:x:65534:\npi:x:1000:\n",
                ),
                ("/etc/gshadow", "root:*::\nsudo:*::pi\nshadow:*::\nvideo:*::pi\npi:!::\n"),
                ("/etc/subuid", "pi:100000:65536\n"),
                ("/etc/subgid", "pi:100000:65536\n"),
                ("/etc/sudoers", "%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"),
                ("/etc/skel/.bashrc", "# bash\n"),
                ("/etc/skel/.config/keep", ""),
                ("/home/pi/.bashrc", "# bash\n"),
                ("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n"),
                ("/etc/ssh/sshd_config.d/rename_user.conf", "Banner /usr/share/userconf-pi/sshd_banner\n"),
                ("/etc/default/keyboard", "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"gb\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\n\nBACKSPACE=\"guess\"\n"),
                ("/etc/console-setup/cached_setup_keyboard.sh", "#!/bin/sh\n"),
                ("/usr/share/zoneinfo/Etc/UTC", "TZif"),
                ("/usr/share/zoneinfo/Europe/Berlin", "TZif"),
                ("/usr/share/zoneinfo/Europe/Bern", "TZif"),
                ("/usr/share/zoneinfo/Europe/London", "TZif"),
                ("/usr/lib/locale/C.utf8/LC_CTYPE", "C"),
                ("/usr/lib/locale/locale-archive", "\u{1}en_GB.utf8\0en_GB\0"),
                ("/var/lib/NetworkManager/NetworkManager.state", "[main]\nWirelessEnabled=false\n"),
                ("/var/lib/systemd/rfkill/platform-1001100000.mmc:wlan", "1\n"),
                ("/var/lib/systemd/rfkill/platform-1001100000.mmc:bluetooth", "0\n"),
                ("/usr/bin/ip", "\u{7f}ELF"),
                ("/usr/bin/systemctl", "\u{7f}ELF"),
                ("/usr/bin/date", "\u{7f}ELF"),
                ("/usr/bin/partx", "\u{7f}ELF"),
                ("/usr/sbin/wipefs", "\u{7f}ELF"),
                ("/usr/sbin/mke2fs", "\u{7f}ELF"),
                ("/usr/sbin/resize2fs", "\u{7f}ELF"),
                ("/usr/lib/systemd/system/NetworkManager.service", "[Install]\nWantedBy=multi-user.target\n"),
                ("/usr/lib/systemd/system/ssh.service", "[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n"),
                ("/usr/lib/systemd/system/getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"),
                ("/usr/lib/systemd/system/fstrim.timer", "[Install]\nWantedBy=timers.target\n"),
                ("/usr/lib/systemd/system/bluetooth.service", "[Install]\nWantedBy=bluetooth.target\n"),
                ("/usr/lib/systemd/system/userconfig.service", "[Install]\nWantedBy=multi-user.target\n"),
                ("/usr/lib/systemd/system/sshswitch.service", "[Install]\nWantedBy=multi-user.target\n"),
                ("/usr/lib/systemd/system/rpi-eeprom-update.service", "[Install]\nWantedBy=multi-user.target\n"),
            ],
        )
}

/// Raspberry Pi OS Lite, trixie: cloud-init, `resize`, locale.conf.
pub(super) fn trixie() -> MemoryBase {
    common()
        .links(&[
            ("/etc/default/locale", "../locale.conf"),
            ("/etc/systemd/system/sysinit.target.wants/rpi-resize.service", "/usr/lib/systemd/system/rpi-resize.service"),
        ])
        .files(
            Boot,
            &[
                (
                    "/cmdline.txt",
                    "console=serial0,115200 console=tty1 root=PARTUUID=8a1b2c3d-02 rootfstype=ext4 fsck.repair=yes rootwait resize\n",
                ),
                ("/meta-data", "dsmode: local\ninstance_id: rpios-image\n"),
                ("/user-data", "# nothing\n"),
                ("/network-config", "# nothing\n"),
            ],
        )
        .files(
            Root,
            &[
                ("/usr/lib/netplan/00-network-manager-all.yaml", "network:\n  version: 2\n  renderer: NetworkManager\n"),
                ("/etc/netplan/50-cloud-init.yaml", "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n"),
                ("/etc/machine-id", "uninitialized\n"),
                ("/etc/locale.conf", "LANG=en_GB.UTF-8\n"),
                ("/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg", "datasource_list: [NoCloud, None]\n"),
                ("/etc/sudoers.d/90-cloud-init-users", "pi ALL=(ALL) NOPASSWD:ALL\n"),
                ("/usr/lib/systemd/system/sshd-keygen.service", "[Install]\nWantedBy=ssh.service\n"),
                ("/usr/lib/systemd/system/rpi-resize.service", "[Install]\nWantedBy=sysinit.target\n"),
            ],
        )
}

/// Raspberry Pi OS Lite, bookworm: `init=...firstboot`, key regeneration, a
/// System V script that grows the root.
pub(super) fn bookworm() -> MemoryBase {
    common()
        .links(&[
            (
                "/etc/systemd/system/multi-user.target.wants/regenerate_ssh_host_keys.service",
                "/lib/systemd/system/regenerate_ssh_host_keys.service",
            ),
            ("/etc/rc3.d/S01resize2fs_once", "../init.d/resize2fs_once"),
            ("/etc/rc0.d/K01other", "../init.d/other"),
        ])
        .files(
            Boot,
            &[(
                "/cmdline.txt",
                "console=serial0,115200 console=tty1 root=PARTUUID=8a1b2c3d-02 rootfstype=ext4 fsck.repair=yes rootwait \
                 quiet init=/usr/lib/raspberrypi-sys-mods/firstboot",
            )],
        )
        .files(
            Root,
            &[
                ("/etc/machine-id", ""),
                ("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:5a5a\n"),
                ("/etc/timezone", "Europe/London\n"),
                ("/etc/default/locale", "LANG=en_GB.UTF-8\n"),
                ("/etc/init.d/resize2fs_once", "#!/bin/sh\n"),
                ("/etc/ssh/ssh_host_ecdsa_key", "shared by every copy of this base\n"),
                ("/etc/sudoers.d/010_pi-nopasswd", "pi ALL=(ALL) NOPASSWD: ALL\n"),
                (
                    "/etc/NetworkManager/system-connections/Wired connection 1.nmconnection",
                    "[connection]\nid=Wired connection 1\ntype=802-3-ethernet\n",
                ),
                ("/etc/NetworkManager/system-connections/cafe.nmconnection", "[connection]\ntype=wifi\n"),
                ("/usr/lib/systemd/system/regenerate_ssh_host_keys.service", "[Install]\nWantedBy=multi-user.target\n"),
            ],
        )
}
