#!/bin/bash
# Runs a kernel node: launch DIR CGROUP. The kernel is one process with helpers; all of them
# live in the control group, whose death is the power cut.
set -eu
dir=$1 group=$2
echo 0 > "$group/cgroup.procs"
# A panic of the guest must not write its whole memory to the disk.
ulimit -c 0
cd "$dir"
while :; do
    rm -rf run
    mkdir run
    mapfile -t arguments < arguments
    code=0
    # For a reboot the kernel executes its argument 0 again, with all of its files still open, the
    # tap among them, and with the arguments of its first start. DIR/rebooted only says that this
    # happened, and the next round starts afresh, with the volumes that are attached now.
    (exec -a "$dir/rebooted" "$dir/linux.uml" "${arguments[@]}") || code=$?
    [ "$code" = 42 ] && continue
    echo "The kernel ended with status $code."
    exit "$code"
done
