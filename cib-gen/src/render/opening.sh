#
# Run it as root on one node of the running cluster:  cib-gen vars.yml | sudo sh
# It edits a copy of the configuration and pushes it in one step at the end; if anything
# fails before, nothing has changed. It can be run again: what is there is brought to what
# is written here, everything else (standby, disabled resources, other constraints) stays.
#
# With CIB_GEN_FILE=cib.xml it edits that file instead, and needs no cluster.
set -eu
umask 077

fail() {
    printf 'cib-gen: %s\n' "$*" >&2
    exit 1
}

# Runs pcs on the copy.
edit() {
    pcs -f "$new" "$@"
}

# Whether the copy's configuration has what an XPath below it describes.
has() {
    CIB_file=$new cibadmin --query --xpath "/cib/configuration/$1" >/dev/null 2>&1
}

# A fencing device knows nodes by name: a name that the cluster does not know is a mistake.
nodes() {
    has nodes/node || return 0 # a file, or a cluster so young that no node is written down
    for name do
        has "nodes/node[@uname='$name']" ||
            fail "the cluster has no node called '$name'. Write the names that 'pcs status nodes' shows into vars.yml or --nodes. Nothing was changed."
    done
}

# create_or_update COMMAND TEST ID AGENT WORDS...
create_or_update() {
    command=$1 same=$2 id=$3 agent=$4
    shift 4
    if has "resources//primitive[@id='$id'][$same]"; then
        edit "$command" update "$id" "$@"
    elif has "resources//*[@id='$id']"; then
        fail "there is a '$id' already, and it is no $agent. Rename or delete it (pcs resource delete $id). Nothing was changed."
    elif [ "$command" = resource ]; then
        # All operations are written here; the agent's suggestions are not wanted beside them.
        edit resource create "$id" "$agent" --no-default-ops "$@"
    else
        edit stonith create "$id" "${agent#stonith:}" "$@"
    fi
}

# resource ID ocf:PROVIDER:TYPE WORDS...
resource() {
    provider=${2#ocf:}
    provider=${provider%%:*}
    create_or_update resource "@class='ocf' and @provider='$provider' and @type='${2##*:}'" "$@"
}

# stonith ID stonith:TYPE WORDS...
stonith() {
    create_or_update stonith "@class='stonith' and @type='${2##*:}'" "$@"
}

# Deletes our constraints of an earlier run; they are made anew.
forget_constraints() {
    for id do
        shift
        if has "constraints/*[@id='$id']"; then
            set -- "$@" "$id"
        fi
    done
    [ $# -eq 0 ] || edit constraint delete "$@"
}

