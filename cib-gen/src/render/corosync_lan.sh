note() {
    printf 'cib-gen: %s\n' "$*" >&2
}

# What the storage of the LAN system needs. The other nodes are not seen from here.
storage_tools() {
    for needed in pvcreate:lvm2 drbdadm:drbd-utils; do
        command -v "${needed%:*}" >/dev/null ||
            note "${needed#*:} is not installed on this node. The storage needs it on every node: sudo apt install ${needed#*:}"
    done
}

# watchdog_here DEVICE
# Whether this node has its watchdog, and has it after a reboot. On the other nodes, pcs looks for the
# device when it enables SBD; nothing looks there for the next boot.
watchdog_here() {
    [ -e "$1" ] ||
        fail "there is no $1 on this node. Where there is no hardware for it, the kernel has a software watchdog: sudo systemctl enable --now portsip-ha-softdog, on every node. Nothing was changed."
    # A module that was loaded, not one that the kernel was built with.
    [ -e /sys/module/softdog/initstate ] || return 0
    ! systemctl --quiet is-enabled portsip-ha-softdog.service 2>/dev/null || return 0
    # systemd-modules-load loads nothing that is blacklisted, and Ubuntu's kernels blacklist softdog.
    if grep -Eqs '^[[:space:]]*softdog[[:space:]]*$' /etc/modules /etc/modules-load.d/*.conf &&
        ! modprobe --showconfig | grep -Fxq 'blacklist softdog'; then
        return 0
    fi
    note "the software watchdog of this node (softdog) is gone after the next reboot, and then Corosync and Pacemaker do not start. On every node: sudo systemctl enable portsip-ha-softdog"
}

# sbd_is_set_up DEVICE TIMEOUT NODE...
# Whether SBD is enabled on the nodes as it is wanted. If it is not, and the cluster runs, the script ends:
# pcs takes stonith-watchdog-timeout out of a running cluster when it enables SBD, and SBD itself starts
# only with the cluster. From then on a lost node would not be fenced.
sbd_is_set_up() {
    device=$1 timeout=$2
    shift 2
    right='' wrong='' running='' silent=''
    for name do
        if ! said=$(pcsd sbd "$name" 2>&1); then
            silent="$silent $name (${said:-no answer})"
            continue
        fi
        case $said in
        *" enabled $device $timeout") right="$right $name" ;;
        *) wrong="$wrong $name (${said#* })" ;;
        esac
        case $said in
        running*) running="$running $name" ;;
        esac
    done
    [ -n "$right$wrong" ] ||
        fail "no node says how SBD is set up there:$silent. 'pcs host auth' makes this node known to the others. Nothing was changed."
    if [ -z "$wrong" ]; then
        [ -z "$silent" ] || note "how SBD is set up could not be seen on:$silent. Run this again when they are back."
        return 0
    fi
    [ -n "$running" ] || return 1
    fail "SBD is not set up as vars.yml wants it (enabled $device $timeout) on:$wrong. The cluster runs on:$running. SBD starts only with the cluster, so stop and start the cluster; the PBX is down until the last step:
    sudo pcs cluster stop --all
    cib-gen --format corosync vars.yml | sudo sh
    cib-gen vars.yml | sudo sh
Nothing was changed."
}

