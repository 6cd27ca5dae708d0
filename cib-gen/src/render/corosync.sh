#
# Run it as root on one node, before anything else:  cib-gen --format corosync vars.yml | sudo sh
# It makes the nodes a cluster that starts with the machines. It can be run again: what is done
# already is left alone.
#
# pcs asks for the password of the user hacluster, which is the same on every node (sudo passwd
# hacluster). Where there is no terminal, it is read from a file:
#     cib-gen --format corosync vars.yml | sudo HACLUSTER_PASSWORD_FILE=/root/hacluster sh
set -eu

fail() {
    printf 'cib-gen: %s\n' "$*" >&2
    exit 1
}

# With the nodes' names and addresses as arguments: pcs learns a token for each of them.
authenticate() {
    if [ -n "${HACLUSTER_PASSWORD_FILE:-}" ]; then
        pcs host auth -u hacluster "$@" <"$HACLUSTER_PASSWORD_FILE"
    elif [ -t 1 ] && [ -e /dev/tty ]; then
        pcs host auth -u hacluster "$@" </dev/tty
    else
        fail "there is no terminal to ask for hacluster's password; set HACLUSTER_PASSWORD_FILE"
    fi
}

# Whether this node is in the cluster already: name and nodes are those of vars.yml.
member() {
    [ -e /etc/corosync/corosync.conf ] || return 1
    cluster=$1
    shift
    for line in "cluster_name: $cluster" "$@"; do
        sed 's/^[[:space:]]*//; s/[[:space:]]*$//' /etc/corosync/corosync.conf | grep -Fxq -e "$line" ||
            fail "this node is in another cluster already: /etc/corosync/corosync.conf has no '$line'. 'pcs cluster destroy' takes it out of that one. Nothing was changed."
    done
}

