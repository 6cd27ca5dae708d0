# Runs inside a fresh node image: turns a minimal Debian into what an operator has before
# the PBX arrives, minus everything that would cost boot time or CPU on three nodes at once.
set -eu

# Debian ships a sample that makes pcs believe the node is in a cluster already.
rm -f /etc/corosync/corosync.conf

# The PBX uses the host's network: no bridge, no packet filter rules by Docker.
mkdir -p /etc/docker
cat > /etc/docker/daemon.json <<'JSON'
{"iptables": false, "ip-forward": false, "bridge": "none", "storage-driver": "overlay2"}
JSON

# Root by key only. One pair of host keys for all nodes, so that the lab can check them.
mkdir -p /etc/ssh/sshd_config.d /root/.ssh
cat > /etc/ssh/sshd_config.d/lab.conf <<'CONF'
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxStartups 100
CONF
chmod 700 /root/.ssh

# The journal survives a power cycle, and nothing in it is dropped: it is the evidence.
mkdir -p /var/log/journal /etc/systemd/journald.conf.d
cat > /etc/systemd/journald.conf.d/lab.conf <<'CONF'
[Journal]
Storage=persistent
SystemMaxUse=64M
RateLimitBurst=0
CONF

# The lab shuts a node down at most once per test; nothing may take the default 90 s.
mkdir -p /etc/systemd/system.conf.d
cat > /etc/systemd/system.conf.d/lab.conf <<'CONF'
[Manager]
DefaultTimeoutStopSec=60s
CONF

# pcs enables these when the cluster is made.
systemctl disable corosync.service pacemaker.service
systemctl enable pcsd.service ssh.service docker.service

# Nobody logs in on a console, and nobody reads these timers' results.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer logrotate.timer man-db.timer xfs_scrub_all.timer; do
    systemctl disable "$unit" 2>/dev/null || true
done
systemctl mask getty@tty1.service console-getty.service getty-static.service \
    systemd-networkd-wait-online.service systemd-logind.service e2scrub_reap.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service drbd.service \
    openipmi.service modprobe@drm.service systemd-journal-catalog-update.service

# The lab's authority, which vouches for the EC2 model, into everybody's trust store: the AWS
# CLI, boto3 and rustls all use the system's.
update-ca-certificates >/dev/null

# Each node gets an id of its own at its first boot.
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/hostname
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /var/cache/debconf/*-old
