#!/bin/busybox sh
# First program of the guest: modules, the host's files below a tmpfs, then the command.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
# Where the kernel has them: the controls of AppArmor and of SELinux.
$b mount -t securityfs securityfs /sys/kernel/security
[ ! -d /sys/fs/selinux ] || $b mount -t selinuxfs selinuxfs /sys/fs/selinux
while read -r module; do
    $b insmod "/modules/$module" || echo "lab: $module did not load"
done </modules/order
# No tunnel devices of the kernel's own making in every new namespace.
echo 1 >/proc/sys/net/core/fb_tunnels_only_for_init_net
$b hostname lab
$b ip link set lo up
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /lower
$b mount -t tmpfs -o mode=755 tmpfs /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /new
$b mount --move /dev /new/dev
$b mkdir -p /new/dev/pts /new/dev/shm
$b mount -t devpts devpts /new/dev/pts
$b mount -t tmpfs tmpfs /new/dev/shm
$b mount --move /proc /new/proc
$b mount --move /sys /new/sys
$b mount -t tmpfs -o mode=755 tmpfs /new/run
$b cp /command /new/run/lab-command
exec $b switch_root /new /bin/sh /run/lab-command
