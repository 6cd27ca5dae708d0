#
# The inbound rules of the nodes' security group. Run it where an administrator's credentials are:
#   cib-gen --format security-group vars.yml | sh -s sg-0e2bea9ea4033f893
# It can be run again at any time: it adds the rules that the group does not have yet, and removes
# none. A rule that is no longer wanted is removed by hand (aws ec2 revoke-security-group-ingress).
set -eu

fail() {
    printf 'cib-gen: %s\n' "$*" >&2
    exit 1
}

# rule PERMISSION WHAT: adds one rule. One call for all rules would add none of them if the group has
# one of them already.
rule() {
    if said=$(aws ec2 authorize-security-group-ingress ${region:+--region "$region"} \
        --group-id "$group" --ip-permissions "$1" 2>&1); then
        printf 'added: %s\n' "$2"
    else
        case $said in
        *InvalidPermission.Duplicate*) printf 'there already: %s\n' "$2" ;;
        *) fail "could not add the rule '$2' to $group, and stopped there: $said" ;;
        esac
    fi
}

