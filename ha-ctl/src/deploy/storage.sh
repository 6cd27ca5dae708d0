# The volume: a file system where there is none, and the PBX's data, once. Everything that may hold data is kept.
# $device, $data, $image, $project and $certificates (empty: no certificate manager) are set, the function `volume`
# attaches and detaches the volume (on a LAN it promotes and demotes DRBD), and `is_whole` says whether what is seen on
# it is all that there is.
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

# Whatever happens, the volume must be free afterwards: Pacemaker takes it, or the next run.
leave() {
    [ -z "$started" ] || docker compose --project-directory "$project" stop >/dev/null 2>&1
    if mountpoint -q "$data"; then umount "$data" || return; fi
    volume stop
}
started=
trap 'status=$?; trap - EXIT; [ $status = 0 ] || leave; exit $status' EXIT

volume start || fail "$device could not be had on this node"
[ -b "$device" ] || fail "$device does not appear on this node"

if ! mountpoint -q "$data"; then
    # What cannot be read may hold data.
    dd if="$device" of=/dev/null bs=64k count=16 iflag=direct status=none || fail "$device cannot be read"
    found=$(blkid --probe --output export "$device") && status=0 || status=$?
    case $status in
    0)
        printf '%s\n' "$found" | grep -qx 'TYPE=xfs' ||
            fail "$device holds something that is no XFS file system, and is left as it is: $(printf '%s' "$found" | tr '\n' ' ')"
        echo "$device has an XFS file system, which is kept"
        ;;
    2)
        signatures=$(wipefs --no-act --noheadings "$device") || fail "wipefs cannot look at $device"
        [ -z "$signatures" ] || fail "$device has a signature, and is left as it is: $signatures"
        is_whole || fail "$device is empty as far as this node can see, and its copy of the data is not whole"
        echo "$device is empty: making an XFS file system"
        mkfs.xfs "$device"
        ;;
    *) fail "blkid cannot tell what is on $device (it ended with $status), so it is left as it is" ;;
    esac
    mkdir -p "$data"
    [ -z "$(ls -A "$data")" ] || fail "$data on this node's own disk is not empty. Look at what is there, and move it away"
    mount -t xfs -o noatime "$device" "$data"
fi

mounted=$(findmnt --noheadings --output SOURCE --mountpoint "$data")
[ "$(readlink -f "$mounted")" = "$(readlink -f "$device")" ] || fail "$mounted is mounted on $data, and not $device"

version=$(docker image inspect --format '{{index .Config.Labels "version"}}' "$image")
have=$(sed -n 1p "$data/pbx/VERSION" 2>/dev/null) || have=
if [ "$have" ] && [ "$version" ] && [ "$have" != "$version" ] &&
    [ "$(printf '%s\n' "$have" "$version" | sort -V | tail -n 1)" = "$have" ]; then
    fail "the data is of version $have, and $image is older: $version. Write the image of the data's version into vars.yml"
fi
# The database of an existing volume has its password there.
password=$(sed -n '/^\[database\]/,/^\[/s/^superuser_password[[:space:]]*=[[:space:]]*//p' "$data/pbx/system.ini" 2>/dev/null | head -n 1)
if [ "$password" ]; then
    echo "the database's password is the one of the data"
    (umask 077; printf '%s\n' "$password" >"$project/database_password.new")
    mv "$project/database_password.new" "$project/database_password"
fi

[ -z "$certificates" ] || install -d -o 888 -g 888 "$data/certmanager" "$data/certmanager/log"
if [ "$have" ] && [ "$have" = "$version" ]; then
    echo "the data is of version $have: nothing to initialise"
else
    install -d -o 888 -g 888 "$data/pbx"
    [ -d "$data/postgresql" ] || install -d -o 999 -g 999 -m 0700 "$data/postgresql"
    docker rm --force portsip.initdt >/dev/null 2>&1 || :
    started=yes
    docker compose --project-directory "$project" run --rm --name portsip.initdt initdt </dev/null
    [ -s "$data/pbx/VERSION" ] || echo "initdt has written no $data/pbx/VERSION"
fi
docker compose --project-directory "$project" stop
umount "$data"
volume stop
