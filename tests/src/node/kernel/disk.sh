# Writes an ext4 image: disk.sh ROOTFS ADDITIONS DOCKER MODULES RELEASE MOUNTPOINT IMAGE. Runs in a mount
# namespace of its own, so that its mounts end with it, however it ends.
set -eu
rootfs=$1 additions=$2 docker=$3 modules=$4 release=$5 mountpoint=$6 image=$7
# A whiteout over the System V scripts: every unit has its own, and to keep the two alike
# `systemctl disable` takes 12 s on a kernel node.
mknod "$additions/etc/init.d" c 0 0
# Docker starts when it is asked to: there, it would take a minute of each boot.
wants=etc/systemd/system
for unit in multi-user.target.wants/docker.service multi-user.target.wants/containerd.service sockets.target.wants/docker.socket; do
    test -L "$rootfs/$wants/$unit"
    mkdir -p "$additions/$wants/${unit%/*}"
    mknod "$additions/$wants/$unit" c 0 0
done
mount -t overlay overlay -o "lowerdir=$additions:$rootfs" "$mountpoint"
mount --bind "$docker" "$mountpoint/var/lib/docker"
mount --bind "$modules" "$mountpoint/usr/lib/modules/$release"
truncate -s 10G "$image"
# The file is a hole where nothing was written, so its inode tables are zero already.
mke2fs -q -F -t ext4 -m 0 -L node -E lazy_itable_init=1,assume_storage_prezeroed=1 -d "$mountpoint" "$image"
