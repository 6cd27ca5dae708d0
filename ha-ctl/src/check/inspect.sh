# Looks at one node and changes nothing. Each line is a word and what was found. $image is the PBX's image, $registry
# host and port of where it comes from, $disk the disk of its data and $vip the virtual address on a LAN, $others has
# the addresses of the other nodes; each may be empty. What it needs to know the distribution's sample cluster stands
# before it (cib-gen's corosync_sample.sh).
say() { printf '%s %s\n' "$1" "$2"; }
have() { command -v "$1" >/dev/null 2>&1; }
# Host and port of http://USER@HOST:PORT/.
authority() { echo "$1" | sed 's|^[a-z]*://||; s|/.*||; s|.*@||; s|:| |'; }
# A proxy's password is nobody's business.
without_password() { sed 's|//[^/@]*@|//|'; }
reach() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "${2:-80}" 2>/dev/null && echo open || echo closed; }

say clock "$(date +%s.%N)"
say hostname "$(uname -n)"
say os "$(. /etc/os-release && echo "$ID $VERSION_ID")"
say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
df -Pk / /var/lib/docker 2>/dev/null | awk 'NR > 1 && !seen[$6]++ { print "disk", $6, $4 }'
for service in chrony systemd-timesyncd ntpsec; do
    [ "$(systemctl is-active $service)" = active ] && say time-sync $service
done
[ -e /run/reboot-required ] && say reboot "$(sort -u /run/reboot-required.pkgs 2>/dev/null | tr '\n' ' ')"
have cloud-init && say cloud-init "$(cloud-init status 2>/dev/null | sed -n 's/^status: //p')"
say unprivileged-ports "$(sysctl -n net.ipv4.ip_unprivileged_port_start)"

dpkg --audit 2>&1 | sed -n 's/^ \([^ ]*\) .*/half-installed \1/p' | head -20
for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
    inode=$(stat -c %i $file 2>/dev/null) || continue
    for process in $(awk -v end=":$inode" 'substr($6, length($6) - length(end) + 1) == end { print $5 }' /proc/locks); do
        # A file of another file system can have the same number.
        for open in /proc/"$process"/fd/*; do
            [ "$open" -ef $file ] && say lock "$process $(cat "/proc/$process/comm" 2>/dev/null)" && break
        done
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
awk '$1 == "node" { name = id = "" } $1 == "name:" { name = $2 } $1 == "nodeid:" { id = $2 }
    $1 == "}" && name && id { print "node-id", id, name; name = id = "" }' /etc/corosync/corosync.conf 2>/dev/null
if [ -e "$corosync_conf" ] && sample <"$corosync_conf"; then
    sample_is_used && say sample used || say sample empty
fi
for file in key crt; do
    [ -s /var/lib/pcsd/pcsd.$file ] && say pcsd-file "$file full" && continue
    [ -e /var/lib/pcsd/pcsd.$file ] && say pcsd-file "$file empty"
done
for service in corosync pacemaker pcsd docker firewalld sbd portsip-ha-softdog; do
    say service "$service $(systemctl is-active $service) $(systemctl is-enabled $service 2>/dev/null)"
done
# For each link, every node of corosync.conf: `nodeid:  2:  connected`, or `disconnected`.
timeout 2 corosync-cfgtool -s 2>/dev/null | sed -n 's/^[[:space:]]*nodeid:[[:space:]]*\([0-9]*\):[[:space:]]*/link \1 /p'
for address in $others; do
    (timeout 2 bash -c "exec 3<>/dev/tcp/$address/2224" 2>/dev/null && say pcsd "$address open" || say pcsd "$address closed") &
done
# What waits for others is done at the same time.
(
    [ "$vip" ] || exit
    here=$(ip -o addr show to "$vip" | awk '{ print $4, "dev", $2; exit }')
    if [ "$here" ]; then
        say vip "here $here"
    else
        ip neigh flush to "$vip" 2>/dev/null
        ping -c 1 -W 1 "$vip" >/dev/null 2>&1
        say vip "$(ip neigh show to "$vip" | sed -n 's/.* lladdr \([0-9a-f:]*\).*/\1/p' | head -1)"
    fi
) &
(
    proxy=
    [ "$(systemctl is-active docker)" = active ] && {
        [ "$image" ] && timeout 3 docker image inspect "$image" >/dev/null 2>&1 && exit
        proxy=$(timeout 3 docker info --format '{{.HTTPSProxy}}' 2>/dev/null)
    }
    [ "$registry" ] || exit
    set -- ${registry}
    [ "$proxy" ] && set -- $(authority "$proxy")
    say registry "$(reach "$@") $1 $2"
) &
wait
apt_proxy=$(apt-config dump Acquire 2>/dev/null |
    sed -n 's/^Acquire::https*::Proxy "\(.*\)";/\1/p' | grep -v DIRECT | head -1)
if [ "$apt_proxy" ]; then
    say apt-proxy "$(echo "$apt_proxy" | without_password)"
    say apt-proxy-state "$(reach $(authority "$apt_proxy"))"
fi
proxies() { sed -n "s/^\(export \)\{0,1\}\(https*_proxy\|no_proxy\)=[\"']\{0,1\}\([^\"' ]*\).*/proxy-env $1 \2 \3/Ip"; }
proxies login </etc/environment 2>/dev/null | without_password
{
    systemctl show-environment
    systemctl show --property Environment --value pcsd pacemaker | tr ' ' '\n'
    cat /etc/default/pcsd /etc/default/pacemaker
} 2>/dev/null | proxies services | without_password | sort -u
for port in udp/5405 tcp/2224 tcp/7789; do
    # A sample Corosync listens at 127.0.0.1 alone.
    ss -Hln --"${port%/*}" "sport = :${port#*/}" 2>/dev/null | awk '{ print $(NF - 1) }' | grep -qv '^127\.' ||
        say free "$port"
done
have ufw && say ufw "$(ufw status 2>/dev/null | sed -n 's/^Status: //p')"

# A Docker that hangs takes its time once, and not the time of everything after it.
[ "$(systemctl is-active docker)" = active ] && image="$image" timeout 4 sh -c '
    echo "docker $(docker version --format "{{.Server.Version}}" 2>/dev/null)"
    echo "compose $(docker compose version --short 2>/dev/null)"
    echo "live-restore $(docker info --format "{{.LiveRestoreEnabled}}" 2>/dev/null)"
    docker info --format "{{if .HTTPSProxy}}docker-proxy {{.HTTPSProxy}}{{end}}" 2>/dev/null
    docker info --format "{{if .NoProxy}}docker-no-proxy {{.NoProxy}}{{end}}" 2>/dev/null
    docker ps --all --format "container {{.Names}} {{.Label \"com.docker.compose.project\"}}" 2>/dev/null
    [ "$image" ] && docker image inspect --format "image {{.Id}}" "$image" 2>/dev/null
    echo "docker-looked yes"' | without_password
if [ "$disk" ] && [ -b "$disk" ]; then
    say data-disk "$(blockdev --getsize64 "$disk") $(wipefs --noheadings --output TYPE "$disk" | tr '\n' ' ')"
    pvs --noheadings --options vg_name "$disk" 2>/dev/null | sed 's/^/data-group /'
elif [ "$disk" ]; then
    say data-disk missing
fi
ls /dev/watchdog* 2>/dev/null | sed 's/^/watchdog /'
cat /sys/class/watchdog/*/identity 2>/dev/null | sed 's/^/watchdog-kind /'
at_boot=$(cat /etc/modules /etc/modules-load.d/*.conf 2>/dev/null | sed 's/[[:space:]]//g' | grep -Fx -e softdog -e drbd)
case $at_boot in *drbd*) say drbd-at-boot . ;; esac
# systemd-modules-load loads nothing that is blacklisted, as Ubuntu's kernels have softdog.
case $at_boot in *softdog*) modprobe --showconfig 2>/dev/null | grep -Fxq 'blacklist softdog' || say softdog-at-boot . ;; esac
say drbd-loaded "$(cat /sys/module/drbd/version 2>/dev/null)"
say drbd-module "$(modinfo --field version drbd 2>/dev/null)"
[ -e /sys/module/drbd ] && have drbdadm && timeout 3 drbdadm cstate all 2>/dev/null | sed 's/^/drbd-connection /'
for kit in /opt/portsip-pbx-ha-guide; do
    for script in deploy_pbx.sh update.sh; do
        [ -e $kit/$script ] && ! grep -q 'Written by `ha-ctl vendor-scripts`' $kit/$script && say vendor-kit $kit && break
    done
done
# Without this line, the inspection was cut short.
say end .
exit 0
