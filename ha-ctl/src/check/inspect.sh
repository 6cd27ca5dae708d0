# Looks at one node and changes nothing. Each line is a word and what was found. $image is the PBX's image, $disk the
# disk of its data on a LAN, $others has the addresses of the other nodes; each may be empty.
say() { printf '%s %s\n' "$1" "$2"; }
have() { command -v "$1" >/dev/null 2>&1; }

say clock "$(date +%s.%N)"
say hostname "$(uname -n)"
say os "$(. /etc/os-release && echo "$ID $VERSION_ID")"
say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
for directory in / /var/lib/docker; do
    [ -d $directory ] && say disk "$directory $(df -Pk $directory | awk 'NR == 2 { print $4 }')"
done
[ -e /run/reboot-required ] && say reboot "$(sort -u /run/reboot-required.pkgs 2>/dev/null | tr '\n' ' ')"
have cloud-init && say cloud-init "$(cloud-init status 2>/dev/null | sed -n 's/^status: //p')"
say unprivileged-ports "$(sysctl -n net.ipv4.ip_unprivileged_port_start)"

dpkg --audit 2>&1 | sed -n 's/^ \([^ ]*\) .*/half-installed \1/p' | head -20
for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
    inode=$(stat -c %i $file 2>/dev/null) || continue
    for process in $(awk -v end=":$inode" 'substr($6, length($6) - length(end) + 1) == end { print $5 }' /proc/locks); do
        say lock "$process $(cat "/proc/$process/comm" 2>/dev/null)"
    done
done
for package in portsip-ha pacemaker corosync pcs docker.io docker-ce unattended-upgrades needrestart sbd drbd-utils; do
    dpkg-query -W -f='package ${Package} ${db:Status-Abbrev} ${Version}\n' $package 2>/dev/null
done
apt-config dump Unattended-Upgrade::Package-Blacklist 2>/dev/null |
    sed -n 's/^Unattended-Upgrade::Package-Blacklist:: "\(.*\)";/held \1/p'
ls /etc/needrestart/conf.d/ 2>/dev/null | sed 's/^/needrestart /'

sed -n 's/^[[:space:]]*cluster_name:[[:space:]]*/cluster-name /p' /etc/corosync/corosync.conf 2>/dev/null
sed -n 's/^[[:space:]]*name:[[:space:]]*/cluster-node /p' /etc/corosync/corosync.conf 2>/dev/null
for service in corosync pacemaker pcsd docker firewalld; do
    say service "$service $(systemctl is-active $service) $(systemctl is-enabled $service 2>/dev/null)"
done
corosync-cfgtool -n 2>/dev/null | sed -n 's/^ *LINK: .*->\([^)]*\)) [a-z]* \([a-z]*\).*/link \1 \2/p'
for address in $others; do
    (timeout 2 bash -c "exec 3<>/dev/tcp/$address/2224" 2>/dev/null && say pcsd "$address open" || say pcsd "$address closed") &
done
wait
have ufw && say ufw "$(ufw status 2>/dev/null | sed -n 's/^Status: //p')"

if [ "$(systemctl is-active docker)" = active ]; then
    say docker "$(timeout 3 docker version --format '{{.Server.Version}}' 2>/dev/null)"
    say compose "$(timeout 3 docker compose version --short 2>/dev/null)"
    say live-restore "$(timeout 3 docker info --format '{{.LiveRestoreEnabled}}' 2>/dev/null)"
    timeout 3 docker ps --all --format 'container {{.Names}} {{.Label "com.docker.compose.project"}}' 2>/dev/null
    [ "$image" ] && timeout 3 docker image inspect --format 'image {{.Id}}' "$image" 2>/dev/null
fi
if [ "$disk" ] && [ -b "$disk" ]; then
    say data-disk "$(blockdev --getsize64 "$disk") $(wipefs --noheadings --output TYPE "$disk" | tr '\n' ' ')"
    pvs --noheadings --options vg_name "$disk" 2>/dev/null | sed 's/^/data-group /'
elif [ "$disk" ]; then
    say data-disk missing
fi
ls /dev/watchdog* 2>/dev/null | sed 's/^/watchdog /'
ls -d /opt/portsip-pbx-ha-guide 2>/dev/null | sed 's/^/vendor-kit /'
exit 0
