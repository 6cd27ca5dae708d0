# Waits until the copy of $resource on this node follows the other one.
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

for second in $(seq 120); do
    state=$(drbdadm cstate "$resource")/$(drbdadm dstate "$resource")
    case $state in
    SyncTarget/* | PausedSyncT/* | Connected/UpToDate/UpToDate)
        echo "this copy follows: $state"
        exit 0
        ;;
    StandAlone/* | *SyncS*)
        drbdadm disconnect "$resource"
        fail "this copy does not follow the other one ($state). DRBD says why: journalctl -k --grep drbd"
        ;;
    esac
    sleep 1
done
fail "this copy has not begun to follow the other one within two minutes: $state"
