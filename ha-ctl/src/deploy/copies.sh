# One copy of the data: the logical volume, DRBD's file and metadata, and DRBD up. It can be run again at any time, also
# while DRBD is in use. Everything that may hold data is kept. $resource, $disk, $group, $volume, $size and $create are
# set, and the function `drbd_file` prints DRBD's file.
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

backing=/dev/$group/$volume
file=/etc/drbd.d/$resource.res
state=/var/lib/portsip-ha
wanted=$state/$resource.res
begun=$state/$resource.disk

# Sets $found to the signatures on a device.
look_for_signatures() {
    found=$(wipefs --no-act --noheadings --output TYPE "$1") || fail "wipefs cannot look at $1"
    found=$(echo $found)
}

# Whether there is nothing on a device. What cannot be read may hold data.
is_empty() {
    dd if="$1" of=/dev/null bs=64k count=16 iflag=direct status=none || fail "$1 cannot be read"
    blkid --probe "$1" >/dev/null && status=0 || status=$?
    look_for_signatures "$1"
    [ $status = 2 ] && [ -z "$found" ]
}

# What LVM makes is never told to wipe anything, and nobody is there to answer its questions.
make_group() {
    # A run that was ended between LVM's label and its volume group has left the label alone.
    if [ "$1" = '' ] && [ "$(cat "$begun" 2>/dev/null)" = "$disk" ]; then
        echo "an earlier run has begun with $disk"
    else
        is_empty "$disk" ||
            fail "$disk holds something (${found:-unknown}), and is left as it is. To look: lsblk --fs $disk. If nothing of it is needed: wipefs --all $disk"
        echo "$disk is empty: making the volume group $group"
        printf '%s\n' "$disk" >"$begun"
        sync "$begun"
    fi
    vgcreate "$group" "$disk"
}

make_volume() {
    [ -b "$disk" ] || fail "there is no disk $disk on this node"
    layout=$(pvs --noheadings --separator : --options pv_name,vg_name) || fail "LVM does not answer"
    group_is_on='' disk_is_in=none
    for line in $layout; do
        [ "${line#*:}" != "$group" ] || group_is_on=${line%%:*}
        [ "$(readlink -f "${line%%:*}")" != "$(readlink -f "$disk")" ] || disk_is_in=${line#*:}
    done
    [ "$group_is_on" ] || make_group "$disk_is_in"
    [ -z "$group_is_on" ] || [ "$disk_is_in" = "$group" ] ||
        fail "LVM's volume group $group is on $group_is_on, and not on $disk"
    volumes=$(lvs --noheadings --options lv_name "$group")
    case $(echo $volumes) in
    '') lvcreate --zero n --wipesignatures n --name "$volume" --size "$size" "$group" ;;
    "$volume") lvchange --activate y "$group/$volume" ;;
    *) fail "LVM's volume group $group has other volumes than $volume, and is left as it is:" $volumes ;;
    esac
    timeout 30 sh -c 'until [ -b "$1" ]; do sleep 0.5; done' sh "$backing" || fail "$backing does not appear"
}

[ -b "$backing" ] || make_volume
modprobe drbd || fail "the kernel has no DRBD"
# Pacemaker brings DRBD up, and not the start of the machine.
if systemctl --quiet is-enabled drbd.service 2>/dev/null; then systemctl disable drbd.service; fi

drbd_file >"$wanted"
dump() { drbdadm --config-file="$1" dump "$resource" | grep -v '^#'; }
is_as_wanted=yes
if [ ! -e "$file" ]; then
    install -m 0644 "$wanted" "$file"
elif [ "$(dump "$file")" != "$(dump "$wanted")" ]; then
    is_as_wanted=no
fi

# own/peer/...: the states of the disks. Nothing, where DRBD is down.
disks() { drbdadm dstate "$resource" 2>/dev/null | tr '\n' /; }

make_metadata() {
    is_empty "$backing" ||
        fail "$backing holds something (${found:-unknown}) and no metadata of DRBD, and is left as it is. If nothing of it is needed: wipefs --all $backing"
    if [ $is_as_wanted = no ]; then
        # Nothing is in use with it yet.
        cp -p "$file" "$file.old"
        install -m 0644 "$wanted" "$file"
        is_as_wanted=yes
    fi
    # Without --force, and with nobody to answer, this overwrites nothing either.
    $create "$resource" </dev/null
}

case $(disks) in
'' | Unconfigured* | Diskless/*)
    if metadata=$(drbdadm --config-file="$wanted" dump-md "$resource" 2>&1 </dev/null); then
        echo "$backing has DRBD's metadata, which is kept"
    else
        case $metadata in
        *'No valid meta data found'*) make_metadata ;;
        # The node lost its power while it was in use.
        *unclean*) echo "$backing has DRBD's metadata, which is kept" ;;
        *) fail "DRBD cannot tell what is on $backing: $metadata" ;;
        esac
    fi
    ;;
*) echo "DRBD is up" ;;
esac
[ $is_as_wanted = yes ] ||
    fail "$file is not what vars.yml asks for ($wanted), and $backing has DRBD's metadata. Nothing was changed in either"
drbdadm adjust "$resource"

# A new copy is Inconsistent, and nothing is on it. One that has something is half of a copy, or somebody has made the
# metadata beside other data: it may follow a copy that is whole, and nothing else.
case $(disks) in Inconsistent/*) ;; *) exit 0 ;; esac
# DRBD writes past the cache of the device, which has what was there before; and where blkid(8) finds DRBD's metadata,
# at the end, it looks for nothing else. So it gets the beginning, as it is on the disk.
begin=$state/$resource.begin
dd if="$backing" of="$begin" bs=64k count=16 iflag=direct status=none || fail "$backing cannot be read"
found=$(blkid --probe --output export "$begin") && status=0 || status=$?
rm -f "$begin"
[ $status != 2 ] || exit 0
found=$(echo $found)
echo "$backing is no whole copy, and holds something ($found): waiting for another copy"
for second in $(seq 60); do
    case $(disks) in
    Inconsistent/*UpToDate*) exit 0 ;;
    Inconsistent/*) sleep 1 ;;
    *) exit 0 ;;
    esac
done
fail "$backing holds something ($found), DRBD calls it Inconsistent, and no other copy is up to date. Nothing was done with it"
