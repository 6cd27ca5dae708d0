# Looks at the data of one node and changes nothing: the file system and its device, where it is mounted, and whether it
# is on DRBD. Each line is a word and what was found. Sizes are in bytes.
parameter() { crm_resource --resource "$1" --get-parameter "$2" 2>/dev/null; }

data=$(parameter datapath_fs directory)
set --
[ -z "$data" ] || set -- $(findmnt --noheadings --raw --output SOURCE,FSTYPE --mountpoint "$data" 2>/dev/null)
if [ "$2" ]; then
    echo "mounted $data $1 $2 $(lsblk --nodeps --noheadings --output TYPE "$1" | head -1)"
    echo "device $(blockdev --getsize64 "$1")"
    case $2 in
    xfs) xfs_info "$data" | sed -n 's/^data .*bsize=\([0-9]*\) *blocks=\([0-9]*\),.*/blocks \1 \2/p' ;;
    ext4) LC_ALL=C dumpe2fs -h "$1" 2>/dev/null | awk -F: '
        /^Block size/ { size = $2 + 0 } /^Block count/ { count = $2 + 0 } END { print "blocks", size, count }' ;;
    esac
fi

resource=$(parameter drbd_devpath drbd_resource)
[ -z "$resource" ] || echo "resource $resource"
exit 0
