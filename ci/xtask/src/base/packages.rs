//! Which of Debian's packages the image holds.

/// Beside everything marked essential. A lean choice: what a node's first boot and K3s touch, and nothing whose scripts are slow
/// under emulation. open-iscsi, nfs-common and curl are left out on purpose: adding those offline is the builder's work.
pub(super) const PACKAGES: &[&str] = &[
    "apt",
    "ca-certificates",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "gdisk",
    "initramfs-tools",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    // Not the smaller one for the cloud: that knows no USB, and nodes boot from USB disks.
    "linux-image-arm64",
    "login",
    "mount",
    "netbase",
    "network-manager",
    "nftables",
    "openssh-server",
    "passwd",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
    "systemd-timesyncd",
    // Without /etc/localtime, systemd-firstboot asks for a time zone on the console and waits for ever.
    "tzdata",
    "udev",
    "zstd",
];

/// Left out of every package, as in the smallest Debian images; and the kernel's drivers for what QEMU's virt machine has not.
pub(super) const EXCLUDED_PATHS: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/lib/modules/*/kernel/drivers/gpu/*",
    "/usr/lib/modules/*/kernel/drivers/iio/*",
    "/usr/lib/modules/*/kernel/drivers/infiniband/*",
    "/usr/lib/modules/*/kernel/drivers/media/*",
    "/usr/lib/modules/*/kernel/drivers/net/wireless/*",
    "/usr/lib/modules/*/kernel/drivers/staging/*",
    "/usr/lib/modules/*/kernel/sound/*",
];

/// What the initramfs needs to find root on the disks QEMU can show: virtio, NVMe, USB.
pub(super) const INITRAMFS_MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "nvme",
    "xhci_pci",
    "usb_storage",
    "uas",
    "sd_mod",
    "ext4",
];
