
# Whether Pacemaker accepts the result. It is asked about the configuration alone: a node
# that happens to be off is a warning to crm_verify, and no fault of the configuration.
accepted() {
    cp -- "$new" "$dir/judged.xml"
    for states in /cib/status/node_state /cib/configuration/nodes/node; do
        # --force: it will not delete more than one element without. It is our file.
        CIB_file=$dir/judged.xml cibadmin --delete-all --force --xpath "$states"
    done
    # Where SBD runs, the cluster itself has written that down. A file knows nothing of that.
    if [ -n "${CIB_GEN_FILE:-}" ] && has "crm_config//nvpair[@name='stonith-watchdog-timeout']"; then
        CIB_file=$dir/judged.xml crm_attribute --type crm_config --name have-watchdog --update true
    fi
    crm_verify --xml-file "$dir/judged.xml" --verbose
}

main() {
    for tool in pcs cibadmin crm_attribute crm_verify; do
        command -v "$tool" >/dev/null ||
            fail "$tool is not installed here. Run this on a node of the cluster."
    done
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    old=$dir/old.xml
    new=$dir/new.xml
    if [ -n "${CIB_GEN_FILE:-}" ]; then
        cp -- "$CIB_GEN_FILE" "$old" || fail "could not read CIB_GEN_FILE"
    else
        pcs cluster cib "$old" || fail "no cluster runs on this node, or you are not root. Start it with 'pcs cluster start --all --wait'. Nothing was changed."
    fi
    cp -- "$old" "$new"
    schema=$(sed -n 's/^.*<cib [^>]*validate-with="\([^"]*\)".*/\1/p' "$new")
    ! older "$schema" "$needed" ||
        fail "the configuration is written in the old schema $schema, and this needs $needed or a newer one: 'pcs cluster cib-upgrade' first. Nothing was changed."
    configure
    accepted || fail "Pacemaker does not accept the result, see above. Nothing was changed."
    if [ -n "${CIB_GEN_FILE:-}" ]; then
        cp -- "$new" "$CIB_GEN_FILE"
    else
        pcs cluster cib-push "$new" "diff-against=$old"
    fi
}

# The whole script has been read when this line is: half a script does nothing.
# The commands must not read the script as their input.
main </dev/null
