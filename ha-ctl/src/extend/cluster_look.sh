# Looks at a node of the cluster for its extended servers and changes nothing. Each line is a word and what was found.
# $register is the list of the extended servers.
say() { printf '%s %s\n' "$1" "$2"; }
parameter() { timeout 5 crm_resource --resource "$1" --get-parameter "$2" 2>/dev/null; }

say clock "$(date +%s.%N)"
say os "$(. /etc/os-release && echo "$ID $VERSION_ID")"
say vip "$(parameter vip ip)"
say data "$(parameter datapath_fs directory)"
say web-port "$(parameter pbx web_port)"
# JSON in one line: no value of it has a line end in it.
[ -e "$register" ] && say register "$(tr -d '\n' <"$register")"

image=$(sed -n 's/^PBX_IMAGE=//p' /etc/portsip/pbx/.env 2>/dev/null | tail -1)
if [ "$(systemctl is-active docker)" = active ]; then
    # What the container was made from counts, if there is one. Its tag may mean another image by now.
    container=$(timeout 5 docker inspect --format '{{.Config.Image}} {{.Image}} {{.State.Status}}' portsip.callmanager \
        2>/dev/null) && image=${container%% *}
    made=$(echo "$container" | cut -d' ' -f2)
    case $container in *' running') say active yes ;; esac
    tagged=$(timeout 5 docker image inspect --format '{{.Id}}' "$image" 2>/dev/null)
    [ "$made" ] && [ "$tagged" ] && [ "$made" != "$tagged" ] && say not-upgraded yes
    [ "$image" ] && timeout 5 docker image inspect \
        --format '{{with index .Config.Labels "version"}}version {{.}}{{end}}{{range .RepoDigests}}
digest {{.}}{{end}}
image-id {{.Id}}' "${made:-$image}" 2>/dev/null
fi
say image "$image"
say end .
exit 0
