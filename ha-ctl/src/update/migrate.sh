# Brings the data to the version of $image, by the image's own initdt. $data is where the data is mounted.
mountpoint -q "$data" || fail "$data is not mounted on this node"
version=$(docker image inspect --format '{{index .Config.Labels "version"}}' "$image")
have=$(sed -n 1p "$data/pbx/VERSION" 2>/dev/null) || have=
if [ "$have" ] && [ "$have" != "$version" ] &&
    [ "$(printf '%s\n' "$have" "$version" | sort -V | tail -n 1)" = "$have" ]; then
    fail "the data is of version $have, and $image is older: $version"
fi
# The agent starts no PBX on data with this file, whoever asks for it.
if [ "$have" = "$version" ] && [ ! -e "$migrating" ]; then
    echo "the data is of version $have already"
    exit 0
fi
# The database must not be left running: Pacemaker starts it.
trap 'exit 143' HUP INT TERM
trap 'status=$?; trap - EXIT; docker rm --force portsip.initdt >/dev/null 2>&1; docker compose --project-directory "$project" stop || status=1; exit $status' EXIT
echo "from ${have:-an unknown version} to $version" >"$migrating.new"
sync "$migrating.new"
mv "$migrating.new" "$migrating"
docker compose --project-directory "$project" run --rm --name portsip.initdt initdt </dev/null
have=$(sed -n 1p "$data/pbx/VERSION" 2>/dev/null) || have=
[ "$have" = "$version" ] || echo "initdt has ended, and $data/pbx/VERSION is ${have:-not there}"
sync -f "$data"
rm -f "$migrating"
sync -f "$data"
