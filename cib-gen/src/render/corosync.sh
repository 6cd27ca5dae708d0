#
# Run it as root on one node, before anything else:  cib-gen --format corosync vars.yml | sudo sh
# It makes the nodes a cluster that starts with the machines. It can be run again: what is done
# already is left alone. A node that is in another cluster is refused; the empty sample cluster
# that Debian and Ubuntu install is removed.
#
# pcs asks for the password of the user hacluster, which is the same on every node (sudo passwd
# hacluster). Where there is no terminal, it is read from a file:
#     cib-gen --format corosync vars.yml | sudo HACLUSTER_PASSWORD_FILE=/root/hacluster sh
set -eu

# fail WHAT HELP
fail() {
    printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2
    exit 1
}

no_login() {
    fail "pcs could not log in to every node as hacluster; it says above where and why. No cluster was set up" "a wrong password: 'sudo passwd hacluster' on that node. A node that does not answer: start it, and look at 'systemctl status pcsd' and at port 2224 there. Then run this again"
}

# With the nodes' names and addresses as arguments: pcs learns a token for each of them.
authenticate() {
    if [ -n "${HACLUSTER_PASSWORD_FILE:-}" ]; then
        pcs host auth -u hacluster "$@" <"$HACLUSTER_PASSWORD_FILE" || no_login
    elif [ -t 1 ] && [ -e /dev/tty ]; then
        pcs host auth -u hacluster "$@" </dev/tty || no_login
    else
        fail "there is no terminal to ask for hacluster's password" "name a file with it: ... | sudo HACLUSTER_PASSWORD_FILE=/root/hacluster sh"
    fi
}

# in_another NODE CONFIGURATION "WHAT WAS CHANGED"
# Ends the script, because a node has the configuration of a real cluster.
in_another() {
    other=$(printf '%s\n' "$2" | sed -n -E 's/^[[:space:]]*cluster_name:[[:space:]]*//p')
    [ "$other" != "$cluster" ] ||
        fail "$1 is in the cluster '$cluster' already, and that one has other nodes than vars.yml: $(printf '%s\n' "$2" | sed -n -E 's/^[[:space:]]*name:[[:space:]]*//p' | tr '\n' ' '). $3" "on a node of it, 'pcs cluster node add' and 'pcs cluster node remove' change its nodes"
    fail "$1 is in another cluster already, '$other' ($corosync_conf). $3" "'pcs cluster destroy' on $1 takes it out of that cluster, and deletes that cluster's configuration there"
}

# member CLUSTER "name: NODE"...
# Whether this node is in the cluster already: name and nodes are those of vars.yml. Pacemaker compares
# names of nodes without regard to case.
member() {
    cluster=$1
    shift
    [ -e "$corosync_conf" ] || return 1
    ! sample <"$corosync_conf" || return 1
    lines=$(sed 's/^[[:space:]]*//; s/[[:space:]]*$//' "$corosync_conf")
    printf '%s\n' "$lines" | grep -Fxq -e "cluster_name: $cluster" ||
        in_another "$(uname -n)" "$(cat "$corosync_conf")" "Nothing was changed"
    for line do
        printf '%s\n' "$lines" | grep -Fixq -e "$line" ||
            in_another "$(uname -n)" "$(cat "$corosync_conf")" "Nothing was changed"
    done
}

# The names of this cluster's nodes as pcs knows them, which may differ in case from those of vars.yml.
members() {
    sed -n -E 's/^[[:space:]]*name:[[:space:]]*([^[:space:]]+)[[:space:]]*$/\1/p' "$corosync_conf"
}

# Has every node start the cluster, now and with the machine. A node that is off keeps no other from it.
everywhere() {
    if pcs cluster enable --all; then
        pcs cluster start --all --wait=120
        return
    fi
    answered='' silent=''
    for name in $(members); do
        if pcs cluster enable "$name" >/dev/null 2>&1; then
            answered="$answered $name"
        else
            silent="$silent $name"
        fi
    done
    [ -n "$answered" ] || fail "no node could be told to start the cluster" "pcs says above why; 'pcs host auth' makes this node known to the others"
    # Names have no spaces.
    pcs cluster start $answered --wait=120 || fail "the cluster did not start on all of:$answered. Not told to start it:$silent" "pcs says above why, and 'journalctl -u corosync -u pacemaker' on a node that did not start"
    [ -z "$silent" ] || fail "these nodes could not be told to start the cluster:$silent. It runs on:$answered" "pcs says above why. When they are back, run this again"
}

# What no command of pcs does: asks for another node's resources, and destroys the cluster of one
# other node. Both are requests to the other node's pcsd, sent by pcs's own code with the token of
# `pcs host auth` (pcsd/remote.rb of pcs 0.11 and 0.12).
#     pcsd resources NODE    their ids; fails where they cannot be seen. Bundles are never listed
#     pcsd destroy NODE
#     pcsd sbd NODE          whether its cluster runs and SBD is enabled, SBD's watchdog and its timeout
pcsd() {
    python3 -I - "$@" <<'PYTHON'
import json
import sys
import time

from pcs import utils


def ask(request):
    error, answer = utils.sendHTTPRequest(node, f"remote/{request}", None, False, False, timeout=120)
    if error:
        sys.exit(answer)
    return answer


def resources():
    # Pacemaker writes dc-version when it is up, which takes half a minute. Before that, and where it
    # does not run, the list is empty whatever is configured.
    for _ in range(40):
        status = json.loads(ask("status?version=2&skip_auth_check=1"))
        if "dc-version" in status["cluster_settings"]:
            return status["resource_list"]
        if status["node"]["status"] == "offline":
            sys.exit("Pacemaker does not run there")
        time.sleep(2)
    sys.exit("Pacemaker is not ready there")


def sbd():
    node = json.loads(ask("status?version=2&skip_auth_check=1"))["node"]
    config = node["sbd_config"] or {}
    return (
        "running" if node["corosync"] else "stopped",
        "enabled" if node["services"]["sbd"]["enabled"] else "disabled",
        config.get("SBD_WATCHDOG_DEV", "no-watchdog"),
        config.get("SBD_WATCHDOG_TIMEOUT", "no-timeout"),
    )


what, node = sys.argv[1:]
if what == "destroy":
    ask("cluster_destroy")
elif what == "sbd":
    print(*sbd())
else:
    print(*(resource["id"] for resource in resources()))
PYTHON
}

# Takes the other nodes out of the sample's cluster, when it is known that all of them have no other.
leave_samples() {
    unchanged="No cluster was set up"
    samples=
    for name do
        # Where there is no configuration, this fails. Of any other failure `pcs cluster setup` tells,
        # which does nothing to a node that is in a cluster.
        conf=$(pcs cluster corosync "$name" 2>/dev/null) || continue
        printf '%s\n' "$conf" | sample || in_another "$name" "$conf" "$unchanged"
        resources=$(pcsd resources "$name" 2>&1) ||
            fail "$name has Corosync's sample configuration, and its resources cannot be seen from here (${resources:-no answer}). $unchanged" "if nothing of that cluster is needed, 'pcs cluster destroy' on $name deletes it. Then run this again"
        [ -z "$resources" ] ||
            fail "$name has Corosync's sample configuration (cluster 'debian'), and resources are configured in that cluster: $resources. $unchanged" "if nothing of it is needed, 'pcs cluster destroy' on $name deletes it. Then run this again"
        samples="$samples $name"
    done
    for name in $samples; do
        echo "cib-gen: the distribution's sample cluster of $name, which is empty, is destroyed"
        pcsd destroy "$name" || fail "the sample cluster of $name could not be destroyed. $unchanged" "pcs says above why. 'pcs cluster destroy' on $name does the same; then run this again"
    done
}

