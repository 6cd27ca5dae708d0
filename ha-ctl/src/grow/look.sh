# Looks at the data of one node and changes nothing: the file system and its device, where it is mounted, and on a LAN
# this node's copy of the data below DRBD. Each line is a word and what was found. Sizes are in bytes.
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
[ "$resource" ] || exit 0
echo "resource $resource"
drbdadm dump "$resource" 2>/dev/null | awk '$1 == "on" { gsub(/"/, "", $2); print "holder", $2 }'
states
backing=$(drbdadm sh-ll-dev "$resource" 2>/dev/null | head -1)
group=$(lvs --noheadings --options vg_name "$backing" 2>/dev/null | tr -d ' ')
[ "$group" ] || exit 0
# A SCSI disk that has become larger says so only when it is asked.
for disk in $(pvs --noheadings --options pv_name --select "vg_name=$group" 2>/dev/null); do
    rescan=/sys/class/block/$(basename "$(readlink -f "$disk")")/device/rescan
    [ ! -w "$rescan" ] || echo 1 >"$rescan"
done
lvs --noheadings --nosuffix --units b --options vg_name,lv_name,lv_size,vg_free,vg_extent_size "$backing" 2>/dev/null |
    sed 's/^ */volume /'
pvs --noheadings --nosuffix --units b --options pv_name,pv_pe_count,pe_start,dev_size --select "vg_name=$group" 2>/dev/null |
    sed 's/^ */disk /'
exit 0
