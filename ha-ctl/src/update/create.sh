# Makes the containers anew. Docker starts none of them after a reboot. Containers of services that there are no more
# would be started too.
docker compose --project-directory "$project" create --force-recreate
services=$(docker compose --project-directory "$project" config --services)
of_project() {
    docker ps --all --quiet --filter label=com.docker.compose.project=portsip --filter label=com.docker.compose.oneoff=False
}
for id in $(of_project); do
    service=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$id")
    printf '%s\n' "$services" | grep -qxF "$service" || docker rm "$id"
done
docker update --restart=no $(of_project) >/dev/null
