# What $kept has of the version before counts again, and $old is its image.
[ -e "$kept/.env" ] || fail "there is no $kept/.env: nothing was kept of the version before on this node. Bring the image $old from another node (docker save, docker load), tag it as $project/.env names it, and: ha-ctl deploy"
docker image inspect "$old" >/dev/null 2>&1 || fail "the image $old is not on this node any more"
for file in docker-compose.yml .env; do
    cp -p "$kept/$file" "$project/$file.new"
    sync "$project/$file.new"
    mv "$project/$file.new" "$project/$file"
done
rm -f "$project/docker-compose.yml.update"
image=$(sed -n 's/^PBX_IMAGE=//p' "$project/.env" | tail -n 1 | tr -d "\"'")
[ "$image" ] || fail "$project/.env names no PBX_IMAGE"
# A digest is no name that could mean another image.
case $image in *@*) ;; *) docker tag "$old" "$image" ;; esac
