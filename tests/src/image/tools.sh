# Runs inside a fresh tools image. Nothing of it is ever started: only commands are run in it.
set -eu

# Debian ships a sample that makes pcs believe the machine is in a cluster already.
rm -f /etc/corosync/corosync.conf
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old
