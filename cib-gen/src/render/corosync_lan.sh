# note WHAT HELP
note() {
    printf 'warning: %s\nhelp: %s\n' "$1" "$2" >&2
}

# What the storage of the LAN system needs. The other nodes are not seen from here.
storage_tools() {
    for needed in pvcreate:lvm2 drbdadm:drbd-utils; do
        command -v "${needed%:*}" >/dev/null ||
            note "${needed#*:} is not installed on this node, and the storage needs it" "on every node with a disk for the data: sudo apt install ${needed#*:}"
    done
}

# watchdog_here DEVICE
# Whether this node has its watchdog, and has it after a reboot. On the other nodes, pcs looks for the
# device when it enables SBD; nothing looks there for the next boot.
watchdog_here() {
    device=$1
    # Where SBD is enabled already, it may have another.
    if systemctl --quiet is-enabled sbd.service 2>/dev/null; then
        of_sbd=$(sed -n 's/^SBD_WATCHDOG_DEV=//p' /etc/default/sbd 2>/dev/null | tr -d "\"' ") || of_sbd=
        device=${of_sbd:-$device}
    fi
    [ -e "$device" ] ||
        fail "there is no $device on this node. Nothing was changed" "where there is no hardware for it, use the kernel's software watchdog, on every node: sudo systemctl enable --now portsip-ha-softdog"
    # A module that was loaded, not one that the kernel was built with.
    [ -e /sys/module/softdog/initstate ] || return 0
    ! systemctl --quiet is-enabled portsip-ha-softdog.service 2>/dev/null || return 0
    # systemd-modules-load loads nothing that is blacklisted, and Ubuntu's kernels blacklist softdog.
    if grep -Eqs '^[[:space:]]*softdog[[:space:]]*$' /etc/modules /etc/modules-load.d/*.conf &&
        ! modprobe --showconfig | grep -Fxq 'blacklist softdog'; then
        return 0
    fi
    note "the software watchdog of this node (softdog) is gone after the next reboot, and then Corosync and Pacemaker do not start" "on every node: sudo systemctl enable portsip-ha-softdog"
}

# sbd_is_set_up TIMEOUT NODE...
# Whether SBD is enabled on the nodes. Its device and its timeout may be others than cib-gen's, for another
# watchdog. If it is not enabled, and the cluster runs, the script ends: pcs takes stonith-watchdog-timeout
# out of a running cluster when it enables SBD, and SBD itself starts only with the cluster. From then on a
# lost node would not be fenced.
devices='' longest=0
sbd_is_set_up() {
    default=$1
    shift
    right='' wrong='' running='' silent='' other=''
    longest=$default
    for name do
        if ! said=$(pcsd sbd "$name" 2>&1); then
            silent="$silent $name (${said:-no answer})"
            continue
        fi
        # "running enabled /dev/watchdog 5"
        set_up=${said#* }
        case $set_up in
        enabled*)
            right="$right $name"
            device=${set_up#enabled }
            device=${device%% *}
            # Without a setting of its own, SBD has the same device and timeout as cib-gen.
            [ "$device" = no-watchdog ] || devices="$devices watchdog=$device@$name"
            timeout=${set_up##* }
            case $timeout in
            "$default" | no-timeout) ;;
            *[!0-9]*) other="$other $name ($timeout)" ;;
            *)
                other="$other $name ($timeout s)"
                [ "$timeout" -le "$longest" ] || longest=$timeout
                ;;
            esac
            ;;
        *) wrong="$wrong $name ($set_up)" ;;
        esac
        case $said in
        running*) running="$running $name" ;;
        esac
    done
    [ -n "$right$wrong" ] ||
        fail "no node says how SBD is set up there:$silent. Nothing was changed" "'pcs host auth' makes this node known to the others"
    if [ -z "$wrong" ]; then
        [ -z "$silent" ] || note "how SBD is set up could not be seen on:$silent" "run this again when they are back"
        [ -z "$other" ] || note "SBD's watchdog timeout is not cib-gen's $default s on:$other. It stays, and stonith-watchdog-timeout must be $((2 * longest))s or more" "'sudo pcs property config stonith-watchdog-timeout' shows it, 'sudo pcs property set stonith-watchdog-timeout=$((2 * longest))s' sets it"
        return 0
    fi
    [ -n "$running" ] || return 1
    fail "SBD is not enabled, as vars.yml wants it, on:$wrong. The cluster runs on:$running. Nothing was changed" "SBD starts only with the cluster, so stop and start the cluster; the PBX is down until the last step:
    sudo pcs cluster stop --all
    cib-gen --format corosync vars.yml | sudo sh
    sudo cib-gen apply vars.yml"
}

# enable_sbd DEVICE TIMEOUT
# On every node. Where SBD is enabled already, it keeps its device; the longest timeout is for all.
enable_sbd() {
    [ "$longest" -ge "$2" ] || longest=$2
    # Names and devices have no spaces.
    pcs stonith sbd enable "watchdog=$1" $devices "SBD_WATCHDOG_TIMEOUT=$longest"
}

