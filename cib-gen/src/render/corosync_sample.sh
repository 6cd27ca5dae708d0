# Where Corosync's configuration is. Debian's and Ubuntu's package bring a sample of it, and start it:
# a cluster of this machine alone, at 127.0.0.1, with a configuration of its own that is empty.
corosync_conf=/etc/corosync/corosync.conf

# Whether the configuration that is read is the sample: the cluster is called `debian`, and its one
# node has no other address than 127.0.0.1. Of other settings the sample has had several.
sample() {
    [ "$(sed -n -E 's/^[[:space:]]*((cluster_name|name|nodeid|ring[0-9]+_addr|model):.*[^[:space:]])[[:space:]]*$/\1/p' |
        sort)" = "cluster_name: debian
name: node1
nodeid: 1
ring0_addr: 127.0.0.1" ]
}

# Whether resources are configured in the sample's cluster of this node.
sample_is_used() {
    # Where Pacemaker does not run, what it has written down.
    cib=$(cibadmin --query --local 2>/dev/null || cat /var/lib/pacemaker/cib/cib.xml 2>/dev/null) || cib=
    case $cib in
    *'<primitive '*) return 0 ;;
    esac
    return 1
}

# Takes this node out of the sample's cluster. This comes before anything is asked of pcs: in a
# cluster, `pcs host auth` stores its tokens on the nodes of that cluster, and knows none of them.
leave_sample_here() {
    [ -e "$corosync_conf" ] || return 0
    if sample_is_used; then
        fail "this node has Corosync's sample configuration ($corosync_conf, cluster 'debian'), and resources are configured in that cluster. Nothing was changed" "'pcs config' shows them. If nothing of that cluster is needed, 'pcs cluster destroy' deletes it"
    fi
    echo "cib-gen: the distribution's sample cluster of this node, which is empty, is destroyed"
    pcs cluster destroy
}

