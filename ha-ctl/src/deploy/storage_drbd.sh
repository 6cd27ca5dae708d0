# The DRBD resource $resource in the place of a volume: a start promotes it here, a stop demotes it. It is never forced:
# DRBD promotes a copy only where it knows that no other one is newer.

# own/peer/...: the states of the disks.
disks() { drbdadm dstate "$resource" | tr '\n' /; }

# Only copies that have met know which of them is the newest.
meet() {
    for second in $(seq 120); do
        connections=$(drbdadm cstate "$resource") || return
        case $connections in
        *StandAlone*)
            echo "error: DRBD does not connect two copies of the data. It says why: journalctl -k --grep drbd" >&2
            return 1
            ;;
        esac
        apart=$(printf '%s\n' "$connections" | grep -Evx 'Connected|Sync(Source|Target)|PausedSync[ST]|Verify[ST]') || :
        case $apart/$(disks) in
        /*DUnknown*) ;;
        /[A-Z]*) return 0 ;;
        esac
        sleep 1
    done
    echo "error: not every copy of the data is connected within two minutes: $(disks)" >&2
    return 1
}

# New copies are alike, because nothing is on them: they need not be copied. DRBD refuses this for one that was ever in
# use.
begin() {
    known=$(disks | tr -s / '\n' | grep -vx Inconsistent) || :
    [ -z "$known" ] || return 0
    echo "all copies of the data are new"
    drbdadm new-current-uuid --clear-bitmap "$resource/0" && return
    echo "error: no copy of the data is whole, and they are not new" >&2
    return 1
}

volume() {
    case $1 in
    start) meet && begin && drbdadm primary "$resource" ;;
    stop) drbdadm secondary "$resource" ;;
    esac
}

# Whether this node's copy has everything that there is. A file system is made only then.
is_whole() { case $(disks) in UpToDate/*) ;; *) return 1 ;; esac; }

