# Looks at one node for an update and changes nothing. Each line is a word and what was found. $image is the new image,
# $data where the data is mounted, $old the tag of the image before.
say() { printf '%s %s\n' "$1" "$2"; }
project=/etc/portsip/pbx

[ -e $project/docker-compose.yml ] && say project yes
sed -n 's/^PBX_IMAGE=//p' $project/.env 2>/dev/null | tr -d "\"'" | sed 's/^/env-image /'
sed -n 's/^COMPOSE_PROFILES=//p' $project/.env 2>/dev/null | tr -d "\"'" | sed 's/^/profiles /'
[ -e $project.before-update/.env ] && say kept "$(cat $project.before-update/id 2>/dev/null)"
grep -qE 'container_name: *"?portsip\.certmanager' $project/docker-compose.yml 2>/dev/null && say certmanager yes
mountpoint -q "$data" 2>/dev/null && say data "$(sed -n 1p "$data/pbx/VERSION" 2>/dev/null)"
case $(systemctl is-active portsip-ha-step-migrate.service) in
active | activating | deactivating) say migrating yes ;;
esac
if [ "$(systemctl is-active docker)" = active ]; then
    say docker active
    label='{{index .Config.Labels "version"}}'
    ids=$(timeout 5 docker ps --all --quiet --filter label=com.docker.compose.project=portsip \
        --filter label=com.docker.compose.oneoff=False)
    [ -z "$ids" ] || timeout 10 docker inspect \
        --format "container {{.Name}} {{.Config.Image}} {{.Image}} {{.State.Running}} $label" $ids 2>/dev/null
    runs=$(timeout 5 docker inspect --format '{{.Image}}' portsip.callmanager 2>/dev/null)
    [ -z "$runs" ] || timeout 5 docker image inspect --format 'bytes {{.Size}}' "$runs" 2>/dev/null
    timeout 5 docker image inspect --format "tagged {{.Id}} $label" "$image" 2>/dev/null
    timeout 5 docker image inspect --format '{{range .RepoDigests}}digest {{.}}
{{end}}' "$image" 2>/dev/null
    timeout 5 docker image inspect --format "old {{.Id}} $label" "$old" 2>/dev/null
    root=$(timeout 5 docker info --format '{{.DockerRootDir}}' 2>/dev/null)
    [ -z "$root" ] || say free "$(df -Pk "$root" | awk 'NR == 2 { print $4 }')"
fi
exit 0
