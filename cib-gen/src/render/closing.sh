
crm_verify -VV --xml-file "$cib" || fail 'Pacemaker does not accept this' 'if a node is off: pcs cluster start --all'
for id in $ours; do said=$(CIB_file=$cib crm_resource --resource "$id" --validate=10 2>&1) || # asks its agent
    fail "$id could not run on this node: $said" 'mend that, here and on the other nodes; then the same again'; done
result='the push was begun; pcs config shows whether the cluster is configured'
pcs cluster cib-push "$cib" "diff-against=$dir/old.xml"
result='the cluster is configured; pcs status shows what runs where'
} </dev/null # The commands must not read the script as their input.
