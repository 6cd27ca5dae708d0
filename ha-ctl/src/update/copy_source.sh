# The copy of $resource on this node becomes the one that counts. It is active until the other one follows: DRBD never has
# an active copy follow another one. And it is not connected before the other one waits to follow: two copies that meet
# otherwise settle by themselves which of them is kept.
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

drbdadm secondary "$resource" 2>/dev/null || :
drbdadm down "$resource"
drbdadm new-resource "$resource"
drbdadm new-minor "$resource"
drbdadm attach "$resource"
# Half a copy is no data, and --force would take it all the same.
disks=$(drbdadm dstate "$resource")
case $disks in
Inconsistent/*)
    drbdadm down "$resource"
    fail "DRBD calls the copy on this node $disks: half of it is of another time"
    ;;
esac
drbdadm primary --force "$resource"
disks=$(drbdadm dstate "$resource")
case $disks in UpToDate/*) ;; *) fail "DRBD calls the copy on this node $disks" ;; esac
