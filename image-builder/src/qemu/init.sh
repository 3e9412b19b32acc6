#!/bin/busybox sh
# The first process of a borrowed kernel: drivers, root, and the kernel's modules where
# the system looks for its own. MODULES is the kernel's release.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /drivers/*; do $b insmod "$module" || $b echo "borrowed kernel: $module was not loaded"; done

# Raspberry Pi OS has its root in the second partition of the disk, whatever that is.
tries=0 root=
while [ -z "$root" ]; do
  for disk in /dev/vda2 /dev/nvme0n1p2 /dev/sda2; do [ ! -b $disk ] || root=$disk; done
  [ -n "$root" ] || { tries=$((tries + 1)); [ $tries -lt 600 ] || exec $b echo "borrowed kernel: no disk"; $b sleep 0.1; }
done
$b mount -t ext4 -o ro "$root" /root

# In memory, over those of the Pi's kernel: nothing of this gets onto the disk.
$b mount -t tmpfs -o mode=755 modules /modules
$b cp -a /tree/. /modules/
$b mount --bind /modules /root/usr/lib/modules
$b chroot /root /sbin/depmod MODULES || $b echo "borrowed kernel: depmod failed"
$b umount /modules /proc /sys
$b mount --move /dev /root/dev
exec $b switch_root /root /sbin/init
