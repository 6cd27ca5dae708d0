# Looks at one node for a deployment and changes nothing. Each line is a word and what was found. $device is the
# device with the file system of the data, $data where it is mounted, $settings files that deploy writes, $image that of
# the PBX, $vip the virtual address, and $drbd is not empty where the data is on DRBD.
say() { printf '%s %s\n' "$1" "$2"; }
project=/etc/portsip/pbx

# First: what a step has done that ends while this looks is seen below.
for step in cluster storage resources; do
    case $(systemctl is-active portsip-ha-step-$step.service) in
    active | activating | deactivating) say running $step ;;
    esac
    read -r status digest 2>/dev/null </var/lib/portsip-ha/steps/$step.result && say "ended-$step" "$status"
done

dpkg-query -W -f='package ${Package} ${db:Status-Abbrev} ${Version}\n' portsip-ha lvm2 drbd-utils sbd 2>/dev/null
for file in $settings; do
    [ -e "$file" ] && say file "$file"
done
sed 's/^/vars /' /etc/portsip/vars.yml 2>/dev/null
say vars-mode "$(stat -c %a /etc/portsip/vars.yml 2>/dev/null)"
cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null | awk '{ print "host-key", $1, $2 }'
sed 's/^/known-host /' /etc/portsip/known_hosts 2>/dev/null

# The interface that has the virtual address, or will have it.
interface=$(ip -o -4 addr show to "$vip" | awk '{ print $2; exit }')
[ "$interface" ] || interface=$(ip -o -4 route get "$vip" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
network=$(networkctl status "$interface" 2>/dev/null | sed -n 's/^ *Network File: *//p')
case $network in
/*) [ -e "/etc/systemd/network/${network##*/}.d/portsip-ha.conf" ] || say network "${network##*/}" ;;
esac

sed 's/^/corosync /' /etc/corosync/corosync.conf 2>/dev/null
# One process for all of them: starting one takes long on a slow machine.
systemctl show --property=Id,ActiveState,UnitFileState corosync.service pacemaker.service pcsd.service docker.service \
    sbd.service portsip-ha-softdog.service |
    awk -F= 'function one() { if (is["Id"]) print "service", is["Id"], is["ActiveState"], is["UnitFileState"]; delete is }
        { sub(/\.service$/, "", $2); is[$1] = $2 } /^$/ { one() } END { one() }'
[ -e /dev/watchdog ] && say watchdog yes
[ -e /sys/module/softdog/initstate ] && say softdog loaded
if [ "$drbd" ]; then
    say drbd "$(cat /sys/module/drbd/version 2>/dev/null || modinfo --field version drbd 2>/dev/null)"
fi
# Where Pacemaker does not run, what it has written down.
cib=$(cibadmin --query --local --scope resources 2>/dev/null || cat /var/lib/pacemaker/cib/cib.xml 2>/dev/null)
case $cib in
*'<primitive '*' id="pbx"'* | *'<primitive id="pbx"'*) say configured yes ;;
esac

[ -e $project/docker-compose.yml ] && say compose yes
grep -qE 'container_name: *"?portsip\.certmanager' $project/docker-compose.yml 2>/dev/null && say certmanager yes
sed 's/^/env /' $project/.env 2>/dev/null
[ -s $project/database_password ] && say password "$(sha256sum <$project/database_password | cut -c1-64)"
[ -x /snap/bin/docker ] && say snap-docker yes
if [ "$(systemctl is-active docker)" = active ]; then
    timeout 5 docker ps --all --filter label=com.docker.compose.project=portsip --format 'container {{.Names}}'
    timeout 5 docker image ls --format 'image {{.Repository}}:{{.Tag}}'
    # What the container was made from counts: its tag may mean another image by now.
    timeout 5 docker image inspect --format 'tagged-version {{index .Config.Labels "version"}}' "$image" 2>/dev/null
    made=$(timeout 5 docker inspect --format '{{.Image}} {{.State.Running}}' portsip.callmanager 2>/dev/null)
    [ "${made##* }" != true ] || say pbx running
    [ -z "$made" ] || timeout 5 docker image inspect --format 'pbx-version {{index .Config.Labels "version"}}{{range .RepoDigests}}
pbx-digest {{.}}{{end}}' "${made%% *}" 2>/dev/null
    # A PBX that is no part of a cluster: its project is elsewhere.
    timeout 5 docker ps --format '{{.Names}} {{.Label "com.docker.compose.project.working_dir"}}' |
        sed -n "/^portsip\.\(database\|callmanager\) /{ \\# $project\$#d; s/^/other-pbx /p; }"
    if [ -e $project/docker-compose.yml ]; then
        timeout 10 docker compose --project-directory $project config --services 2>/dev/null | sed 's/^/service-of-pbx /'
        timeout 10 docker compose --project-directory $project config --images 2>/dev/null | sort -u | sed 's/^/wanted-image /'
    fi
fi

[ -b "$device" ] && say device yes
mountpoint -q "$data" 2>/dev/null && say mounted yes
exit 0
