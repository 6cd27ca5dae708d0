#
# Run it as root on one node of the running cluster:  cib-gen vars.yml | sudo sh
# It edits a copy of the configuration and pushes it in one step at the end; if anything
# fails before, nothing has changed. It can be run again: what is as written here is left
# alone, what differs is brought to it, everything else (standby, disabled resources, other
# constraints) stays.
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

# Whether the copy's configuration has what an XPath below it describes. Of a path that is
# none (a quote in a value) it says no, and what it was asked for is written again.
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

# settings PATH "PCS COMMAND" NAME=VALUE...
settings() {
    path=$1 command=$2
    shift 2
    for word do
        shift
        has "$path/nvpair[@name='${word%%=*}' and @value='${word#*=}']" || set -- "$@" "$word"
    done
    # The command is words of its own.
    [ $# -eq 0 ] || edit $command "$@"
}

# resource ID CLASS:[PROVIDER:]TYPE NAME=VALUE... op ACTION NAME=VALUE... [ACTION ...]
resource() {
    id=$1 agent=$2
    shift 2
    case $agent in
    stonith:*)
        command=stonith
        type="@class='stonith' and @type='${agent#*:}'"
        ;;
    *)
        command=resource
        type=${agent#*:}
        type="@class='${agent%%:*}' and @provider='${type%%:*}' and @type='${type#*:}'"
        ;;
    esac
    there="resources//primitive[@id='$id'][$type]"
    same=$there operation=
    for word do
        case $word in
        op)
            operation='@name'
            ;;
        *=*)
            test="@name='${word%%=*}' and @value='${word#*=}'"
            if [ -z "$operation" ]; then
                same="$same[instance_attributes/nvpair[$test]]"
            else
                case $word in
                OCF_CHECK_LEVEL=*) operation="$operation and instance_attributes/nvpair[$test]" ;;
                *) operation="$operation and @${word%%=*}='${word#*=}'" ;;
                esac
            fi
            ;;
        *)
            [ "$operation" = '@name' ] || same="$same[operations/op[$operation]]"
            operation="@name='$word'"
            ;;
        esac
    done
    same="$same[operations/op[$operation]]"

    if has "$same"; then
        return 0
    elif has "$there"; then
        # pcs takes the first monitor that it finds for any that it is to update.
        CIB_file=$new cibadmin --delete-all --force \
            --xpath "/cib/configuration/resources//primitive[@id='$id']/operations/op[@name='monitor']"
        edit "$command" update "$id" "$@"
    elif has "resources//*[@id='$id']"; then
        fail "there is a '$id' already, and it is no $agent. Rename or delete it (pcs resource delete $id). Nothing was changed."
    elif [ "$command" = stonith ]; then
        edit stonith create "$id" "${agent#*:}" "$@"
    else
        # All operations are written here; the agent's suggestions are not wanted beside them.
        edit resource create "$id" "$agent" --no-default-ops "$@"
    fi
}

# promotable CLONE ID: what runs on every node, and is promoted on one
promotable() {
    if has "resources/clone[@id='$1']/primitive[@id='$2']"; then
        return 0
    elif has "resources//*[@id='$1']"; then
        fail "there is a '$1' already, and it is no clone of $2. Rename or delete it (pcs resource delete $1). Nothing was changed."
    fi
    edit resource promotable "$2" "$1"
}

# meta ID NAME=VALUE...
meta() {
    id=$1
    shift
    same="resources//*[@id='$id']"
    for word do
        same="$same[meta_attributes/nvpair[@name='${word%%=*}' and @value='${word#*=}']]"
    done
    has "$same" || edit resource meta "$id" "$@"
}

# constraint KIND ID OPTION=VALUE set RESOURCE... [OPTION=VALUE] [set ...]
constraint() {
    kind=$1 id=$2 option=$3
    shift 3
    same="constraints/rsc_$kind[@id='$id'][@${option%%=*}='${option#*=}']"
    sets=0 place=0
    for word do
        case $word in
        set)
            # A set has no more resources than are named.
            [ "$sets" -eq 0 ] || same="$same[resource_set[$sets][count(resource_ref)=$place]]"
            sets=$((sets + 1)) place=0
            ;;
        *=*)
            same="$same[resource_set[$sets][@${word%%=*}='${word#*=}']]"
            ;;
        *)
            place=$((place + 1))
            same="$same[resource_set[$sets]/resource_ref[$place][@id='$word']]"
            ;;
        esac
    done
    same="$same[count(resource_set)=$sets][resource_set[$sets][count(resource_ref)=$place]]"
    has "$same" && return 0
    if has "constraints/*[@id='$id']"; then
        edit constraint delete "$id"
    fi
    edit constraint "$kind" "$@" setoptions "id=$id" "$option"
}

# watchdog DEVICE TIMEOUT NODE...
# A node whose Pacemaker is told of a watchdog timeout and has no SBD running stops at once.
watchdog() {
    device=$1 timeout=$2
    shift 2
    has "crm_config/cluster_property_set/nvpair[@name='stonith-watchdog-timeout' and @value='$timeout']" &&
        return 0
    if [ -n "${CIB_GEN_FILE:-}" ]; then
        # pcs would ask whether SBD is enabled on this machine, which need not be a node.
        CIB_file=$new crm_attribute --type crm_config --name stonith-watchdog-timeout \
            --id cib-bootstrap-options-stonith-watchdog-tim --update "$timeout"
        return
    fi
    said=$(pcs stonith sbd status 2>&1) || said="pcs stonith sbd status failed: $said"
    without=
    for name do
        printf '%s\n' "$said" | grep -Fqx -e "$name: YES | YES | YES" || without="$without $name"
    done
    [ -n "$without" ] || return 0
    printf '%s\n' "$said" >&2
    fail "SBD is not installed, enabled and running on:$without. A node without it would stop at once. 'cib-gen --format corosync vars.yml' has the command that enables it; it needs $device on every node (modprobe softdog, where there is no hardware for it). Or name a fence agent in vars.yml. Nothing was changed."
}
