# How the server is. $container is its container, $first and $last are its own ports.
say() { printf '%s %s\n' "$1" "$2"; }
listens() {
    ss -Hltun | awk -v first="$first" -v last="$last" '
        { count = split($5, parts, ":"); port = parts[count] + 0; if (port >= first && port <= last) found = 1 }
        END { exit !found }'
}
# A server goes on without its Docker (live-restore), so one that does not answer is not one that has no container.
if ! timeout 10 docker version >/dev/null 2>&1; then
    case $(systemctl is-active docker) in
    active | activating | deactivating | reloading) say docker silent ;;
    *) pgrep containerd-shim >/dev/null && say docker silent ;;
    esac
fi
say load "$(cut -d' ' -f1 /proc/loadavg) $(nproc)"
if [ "$(systemctl is-active docker)" = active ]; then
    timeout 10 docker inspect --format 'container {{.State.Status}} {{.RestartCount}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}
command {{json .Config.Cmd}}
policy {{.HostConfig.RestartPolicy.Name}}
{{range .Mounts}}{{if eq .Destination "/var/lib/portsip/pbx"}}mount {{if not .Name}}{{.Source}}{{end}}{{end}}{{end}}' \
        "$container" 2>/dev/null && {
        made=$(docker inspect --format '{{.Image}}' "$container")
        say running-version "$(timeout 10 docker image inspect --format '{{index .Config.Labels "version"}}' "$made" 2>/dev/null)"
        # The vendor's script mounts the directory by way of a volume.
        volume=$(docker inspect --format '{{range .Mounts}}{{if eq .Destination "/var/lib/portsip/pbx"}}{{.Name}}{{end}}{{end}}' "$container")
        [ "$volume" ] && say mount "$(docker volume inspect --format '{{.Options.device}}' "$volume" 2>/dev/null)"
    }
fi
listens && say listens yes
