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

