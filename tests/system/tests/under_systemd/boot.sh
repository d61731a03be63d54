# A systemd of its own: first process of new namespaces, on this machine's files below a memory file system, with the
# units and programs of this clone installed. Arguments: top of the clone, directory of the programs, name of its cgroup.
set -e
clone=$1 programs=$2 group=$3

if [ -z "$4" ]; then
    # What it sorts its services into begins below a group of its own.
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/cgroup
    mount -t cgroup2 cgroup2 /mnt/cgroup
    mkdir "/mnt/cgroup/$group"
    echo $$ >"/mnt/cgroup/$group/cgroup.procs"
    exec unshare --cgroup sh "$0" "$clone" "$programs" "$group" inside
fi

mkdir /mnt/upper /mnt/work /mnt/root
root=/mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay $root
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
mount -t tmpfs -o mode=755 tmpfs $root/dev
for device in null zero full random urandom tty; do
    : >$root/dev/$device
    mount --bind /dev/$device $root/dev/$device
done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd

units=$root/etc/systemd/system
mkdir -p $root/usr/libexec/keepalived-rs $root/etc/keepalived $units
cp "$programs/keepalived-rs" $root/usr/sbin/
for child in vrrpd checkerd ipvsd; do
    cp "$programs/$child" $root/usr/libexec/keepalived-rs/
done
cp "$clone"/systemd/*.service $units/
mkdir -p $root/usr/share/keepalived-rs
cp "$clone/systemd/keepalived-rs.service.d/strict.conf" $root/usr/share/keepalived-rs/
systemd-sysusers --root=$root "$clone/systemd/sysusers.d/keepalived-rs.conf"
systemd-tmpfiles --root=$root --create "$clone/systemd/tmpfiles.d/keepalived-rs.conf"
cp "$clone/tests/system/tests/under_systemd/keepalived.conf" $root/etc/keepalived/
rm -f $root/etc/machine-id
echo 0123456789abcdef0123456789abcdef >$root/etc/machine-id

# Nothing is started but the journal, and nothing that would change the machine around it.
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n' >$units/only.target
for unit in apparmor.service systemd-binfmt.service systemd-journal-flush.service systemd-modules-load.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-random-seed.service systemd-remount-fs.service \
    systemd-sysctl.service systemd-sysusers.service systemd-timesyncd.service systemd-tmpfiles-setup.service \
    systemd-tmpfiles-setup-dev.service systemd-udevd.service systemd-udev-trigger.service systemd-update-utmp.service \
    dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount; do
    ln -sf /dev/null $units/$unit
done

ip link set lo up
ip link add eth0 type veth peer name other
ip address add 10.20.0.1/24 dev eth0
ip link set eth0 up
ip link set other up

cd $root
mkdir old
pivot_root . old
umount -l /old
# As a machine's first process finds it: what a service mounts is seen by others as far as its unit says.
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=only.target --show-status=0
