# Looks at one machine before it becomes an extended server, and changes nothing. Each line is a word and what was
# found. $address is the machine's, $vip and $port where the PBX is, $data the directory of the server's data, $image
# the PBX's image, $project the directory of the Compose project, $settings files that are written.
say() { printf '%s %s\n' "$1" "$2"; }

say clock "$(date +%s.%N)"
say os "$(. /etc/os-release && echo "$ID $VERSION_ID")"
say own-address "$(ip -o -4 addr show to "$address" | awk '{ print $2; exit }')"
# An address that the machine has already cannot be reached: the answer would be its own.
[ "$(ip -o -4 addr show to "$vip")" ] && say vip-here yes
said=$(timeout 4 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$vip" "$port" 2>&1) && say vip answers ||
    case $said in
    *refused*) say vip refuses ;;
    *) say vip silent ;;
    esac

dpkg-query -W -f='${db:Status-Abbrev}package ${Package}\n' 'postgresql-[0-9]*' 2>/dev/null | sed -n 's/^ii *package /postgresql /p'
ss -Hltn 'sport = :5432' | grep -q . && say listens-5432 yes
sed -n 's/^[[:space:]]*cluster_name:[[:space:]]*/cluster-name /p' /etc/corosync/corosync.conf 2>/dev/null
directory=$data
until [ -d "$directory" ]; do directory=$(dirname "$directory"); done
say free "$(df -Pk "$directory" | awk 'NR == 2 { print $4 }')"
say size "$(df -Pk "$directory" | awk 'NR == 2 { print $2 }')"
[ -d "$data" ] && say data-owner "$(stat -c %u:%g "$data")"
[ -e /etc/localtime ] && say localtime yes
say unprivileged-ports "$(sysctl -n net.ipv4.ip_unprivileged_port_start 2>/dev/null)"
for file in $settings; do
    [ -e "$file" ] && say file "$file"
done
for service in firewalld ufw; do
    [ "$(systemctl is-active $service)" = active ] && say firewall $service
done
[ -x /snap/bin/docker ] && say snap-docker yes
sed 's/^/compose-line /' "$project/docker-compose.yml" 2>/dev/null
if [ "$(systemctl is-active docker)" = active ]; then
    say compose "$(timeout 10 docker compose version --short 2>/dev/null)"
    timeout 10 docker ps --all --format 'portsip-container {{.Names}}' --filter name=portsip. 2>/dev/null
    timeout 10 docker image inspect --format 'image-version {{index .Config.Labels "version"}}' "$image" 2>/dev/null
fi
