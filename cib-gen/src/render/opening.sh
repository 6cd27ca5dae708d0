#
# Run it as root on one node of the running cluster:  cib-gen vars.yml | sudo sh
# It edits a copy of the configuration and pushes it in one step at the end; if anything
# fails before, nothing has changed. It can be run again: what is as written here is left
# alone, what differs is brought to it. cib-gen's own fencing devices and constraints that
# vars.yml no longer asks for are deleted and named. Everything else (standby, disabled
# resources, other constraints, other parameters) stays; other parameters are named.
#
# With CIB_GEN_FILE=cib.xml it edits that file instead, and needs no cluster.
set -eu
umask 077

fail() {
    printf 'cib-gen: %s\n' "$*" >&2
    exit 1
}

note() {
    printf 'cib-gen: %s\n' "$*" >&2
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

# Whether the copy's configuration has nothing of this id. What the cluster has written down of
# its state does not count.
absent() {
    ! has "/*[@id='$1']"
}

# The values of an attribute of what an XPath describes, one a line.
values() {
    CIB_file=$new cibadmin --query --xpath "/cib/configuration/$1" 2>/dev/null |
        tr '\n' ' ' | sed 's/</\n</g' | sed -n "s/.* $2=\"\([^\"]*\)\".*/\1/p"
}

# Whether a name is one of those that follow. Pacemaker compares names without regard to case.
among() {
    name=$1
    shift
    printf '%s\n' "$@" | grep -Fiqx -e "$name"
}

# A fencing device knows nodes by name: a name that the cluster does not know is a mistake.
nodes() {
    members=$(values "nodes/node[not(@type='remote')]" uname)
    [ -n "$members" ] || return 0 # a file, or a cluster so young that no node is written down
    for name do
        # A name has no spaces.
        among "$name" $members ||
            fail "the cluster has no node called '$name'. Write the names that 'pcs status nodes' shows into vars.yml or --nodes. Nothing was changed."
    done
}

# No fencing device knows a node that vars.yml does not name.
no_other_nodes() {
    for member in $members; do
        among "$member" "$@" ||
            fail "the cluster has a node '$member', which vars.yml does not name: nothing could fence it. Write it into vars.yml (pbx0$(($# + 1))_...). Or, if it has left for good, 'pcs cluster node remove $member' takes it out of the cluster. Nothing was changed."
    done
}

# seconds TIME: a time as Pacemaker reads it; 0 if there is none, -1 if it can not be read.
seconds() {
    if [ -z "$1" ]; then
        echo 0
        return
    fi
    number=$(printf '%s\n' "$1" | sed -n -E 's/^ *(-?)0*([0-9]+).*/\1\2/p')
    case $number:$1 in
    :*) number=-1 ;;
    *ms | *msec) number=$((number / 1000)) ;;
    *us | *usec) number=0 ;;
    *m | *min) number=$((number * 60)) ;;
    *h | *hr) number=$((number * 3600)) ;;
    esac
    echo "$number"
}

# Whether a schema of Pacemaker is older than another.
older() {
    case $1 in
    pacemaker-[0-9]*.[0-9]*) ;;
    *) return 1 ;;
    esac
    [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# properties NAME=VALUE...
properties() {
    for word do
        shift
        has "crm_config/cluster_property_set[not(rule)]/nvpair[@name='${word%%=*}' and @value='${word#*=}']" ||
            set -- "$@" "$word"
    done
    [ $# -eq 0 ] || edit property set "$@"
}

# defaults SET NAME=VALUE...
# A set with a rule holds sometimes, and is somebody's own.
defaults() {
    id=$1 sets='rsc_defaults/meta_attributes[not(rule) and not(@id-ref)]'
    shift
    for word do
        shift
        has "$sets/nvpair[@name='${word%%=*}' and @value='${word#*=}']" || set -- "$@" "$word"
    done
    [ $# -gt 0 ] || return 0
    set=$(values "$sets" id | head -n 1)
    if [ -n "$set" ]; then
        edit resource defaults set update "$set" meta "$@"
    else
        edit resource defaults set create "id=$id" meta "$@"
    fi
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
    # An earlier vars.yml asked for a device of another agent. The device stays, because fencing levels,
    # constraints and tags may name it; pcs has no command for this.
    if [ "$command" = stonith ] && ! has "$there" && has "resources//primitive[@id='$id' and @class='stonith']"; then
        note "the fencing device $id becomes $agent"
        CIB_file=$new cibadmin --modify --xpath "/cib/configuration/resources//primitive[@id='$id']" \
            --xml-text "<primitive id=\"$id\" type=\"${agent#*:}\"/>"
    fi
    if absent "$id"; then
        case $command in
        stonith) edit stonith create "$id" "${agent#*:}" "$@" ;;
        # All operations are written here; the agent's suggestions are not wanted beside them.
        *) edit resource create "$id" "$agent" --no-default-ops "$@" ;;
        esac
    elif has "$there"; then
        parameters "$@"
        operations "$@"
    else
        fail "there is a '$id' already, and it is no $agent. Rename or delete it (pcs $command delete $id). Nothing was changed."
    fi
}

# Of a resource that is there: its parameters, which are the words before `op`.
parameters() {
    same=$there before=true
    for word do
        shift
        [ "$word" != op ] || before=false
        $before || continue
        set -- "$@" "$word"
        same="$same[instance_attributes/nvpair[@name='${word%%=*}' and @value='${word#*=}']]"
    done
    has "$same" || edit "$command" update "$id" "$@"
}

# Of a resource that is there: its operations, which are the words after `op`. pcs can not
# update one of two monitors, so where one operation differs, all that have the name of one
# that is written here are written anew, as pcs writes them when it creates the resource.
operations() {
    same=$there written='' names='' action=''
    while [ "$1" != op ]; do shift; done
    shift
    for word do
        case $word in
        *=*)
            test="@name='${word%%=*}' and @value='${word#*=}'"
            case $word in
            OCF_CHECK_LEVEL=*)
                level=${word#*=}
                tests="$tests and instance_attributes/nvpair[$test]"
                ;;
            *)
                [ "${word%%=*}" != interval ] || interval=${word#*=}
                attributes="$attributes ${word%%=*}=\"${word#*=}\""
                tests="$tests and @${word%%=*}='${word#*=}'"
                ;;
            esac
            ;;
        *)
            operation
            action=$word attributes='' level='' tests="@name='$word'"
            ;;
        esac
    done
    operation
    if ! has "$same"; then
        CIB_file=$new cibadmin --delete-all --force \
            --xpath "/cib/configuration/$there/operations/op[${names# or }]"
        CIB_file=$new cibadmin --modify --xpath "/cib/configuration/$there" \
            --xml-text "<primitive id=\"$id\"><operations>$written</operations></primitive>"
    fi
}

# The operation whose words have been read, if there is one.
operation() {
    [ -n "$action" ] || return 0
    op="$id-$action-interval-$interval"
    names="$names or @name='$action'"
    same="$same[operations/op[$tests]]"
    written="$written<op id=\"$op\" name=\"$action\"$attributes>"
    [ -z "$level" ] ||
        written="$written<instance_attributes id=\"$op-instance_attributes\"><nvpair id=\"$op-instance_attributes-OCF_CHECK_LEVEL\" name=\"OCF_CHECK_LEVEL\" value=\"$level\"/></instance_attributes>"
    written="$written</op>"
}

# without ID PARAMETER...
# What nobody but cib-gen writes, and does harm when it is left.
without() {
    id=$1
    shift
    for name do
        has "resources//primitive[@id='$id']/instance_attributes/nvpair[@name='$name']" || continue
        note "$id: $name is no longer asked for and is deleted"
        edit "$command" update "$id" "$name="
    done
}

# kept ID PARAMETER...
# What else is set on a resource may be somebody's own. It stays, and is named at the end, without its
# value, which may be a secret.
theirs=
kept() {
    id=$1
    shift
    for name in $(values "resources//primitive[@id='$id']/instance_attributes[not(rule) and not(@id-ref)]/nvpair" name); do
        printf '%s\n' "$@" | grep -Fqx -e "$name" || theirs="$theirs
    sudo pcs $command update $id $name="
    done
}

# name_kept "WHY"
name_kept() {
    [ -z "$theirs" ] || note "$1$theirs"
}

# no_devices ID...
# --force: newer pcs does not delete what it takes for the last means of fencing. What fences from
# now on is written already.
no_devices() {
    for id do
        has "resources//primitive[@id='$id' and @class='stonith']" || continue
        note "the fencing device $id is no longer asked for and is deleted"
        edit stonith delete "$id" --force
    done
}

# no_constraints ID...
no_constraints() {
    for id do
        has "constraints/*[@id='$id']" || continue
        note "the constraint $id is no longer wanted and is deleted"
        edit constraint delete "$id"
    done
}

# promotable CLONE ID: what runs on every node, and is promoted on one
promotable() {
    if absent "$1"; then
        edit resource promotable "$2" "$1"
    elif ! has "resources/clone[@id='$1']/primitive[@id='$2']"; then
        fail "there is a '$1' already, and it is no clone of $2. Rename or delete it (pcs resource delete $1). Nothing was changed."
    fi
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
    if ! absent "$id"; then
        has "$same" && return 0
        edit constraint delete "$id"
    fi
    edit constraint "$kind" "$@" setoptions "id=$id" "$option"
}

# watchdog DEVICE TIMEOUT NODE...
# A node whose Pacemaker is told of a watchdog timeout and has no SBD running stops at once. A node is
# taken for dead when that time is over, so it is never made shorter.
watchdog() {
    device=$1 timeout=$2
    shift 2
    least=$(seconds "$timeout")
    if [ -z "${CIB_GEN_FILE:-}" ]; then
        # SBD may have been given more time, for a slow watchdog.
        of_sbd=$(sed -n 's/^SBD_WATCHDOG_TIMEOUT=//p' /etc/default/sbd 2>/dev/null | tr -d "\"' ") || of_sbd=
        twice=$((2 * $(seconds "$of_sbd")))
        [ "$twice" -le "$least" ] || least=$twice timeout=${twice}s
    fi
    property="crm_config/cluster_property_set/nvpair[@name='stonith-watchdog-timeout']"
    value=$(values "$property" value | head -n 1)
    # A negative one stands for twice SBD's own timeout.
    now=$(seconds "$value")
    if [ "$now" -ge "$least" ] || [ "$now" -lt 0 ]; then
        [ "$now" -eq "$least" ] || note "stonith-watchdog-timeout $value stays: it is not shorter than $timeout"
        return 0
    fi
    if [ -n "${CIB_GEN_FILE:-}" ]; then
        # pcs would ask whether SBD is enabled on this machine, which need not be a node.
        id=$(values "$property" id | head -n 1)
        CIB_file=$new crm_attribute --type crm_config --name stonith-watchdog-timeout \
            --id "${id:-cib-bootstrap-options-stonith-watchdog-tim}" --update "$timeout"
        return
    fi
    said=$(pcs stonith sbd status 2>&1) || said="pcs stonith sbd status failed: $said"
    without=
    for name do
        printf '%s\n' "$said" | grep -Fiqx -e "$name: YES | YES | YES" || without="$without $name"
    done
    if [ -z "$without" ]; then
        edit property set "stonith-watchdog-timeout=$timeout"
        return
    fi
    printf '%s\n' "$said" >&2
    fail "SBD is not installed, enabled and running on:$without. A node without it would stop at once. 'cib-gen --format corosync vars.yml | sudo sh' enables it, or says how; it needs $device on every node (where there is no hardware for it: sudo systemctl enable --now portsip-ha-softdog). Or name a fence agent in vars.yml. Nothing was changed."
}

# no_watchdog "WHAT TO DO"
# SBD that an earlier vars.yml asked for ends only with the cluster.
no_watchdog() {
    value=$(values "crm_config/cluster_property_set/nvpair[@name='stonith-watchdog-timeout']" value | head -n 1)
    [ "$(seconds "$value")" -eq 0 ] || note "$1"
}

# drbd_file FENCING ACTION "WHAT TO DO"
# What DRBD does without quorum depends on fencing, and is in a file of each node, not in the cluster.
drbd_file() {
    file=/etc/drbd.d/pbxdata.res
    opposite=true
    [ "$1" = false ] || opposite=false
    if has "crm_config/cluster_property_set[not(rule)]/nvpair[@name='stonith-enabled' and @value='$opposite']" ||
        { [ -z "${CIB_GEN_FILE:-}" ] && [ -e "$file" ] && ! grep -Eq "^[[:space:]]*on-no-quorum[[:space:]]+$2;" "$file"; }; then
        note "$3"
    fi
}
