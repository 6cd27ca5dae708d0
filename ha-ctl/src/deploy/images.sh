# Fetches what is missing. $project and $image are set, and the function `pull` fetches one.
images=$(docker compose --project-directory "$project" config --images)
for image in $(printf '%s\n' "$image" $images | sort -u); do
    docker image inspect "$image" >/dev/null 2>&1 && continue
    pull "$image" || exit 1
done
