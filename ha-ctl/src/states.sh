connections=$(drbdadm cstate "$resource" 2>/dev/null) && status=0 || status=$?
case $status in
0)
    printf '%s\n' "$connections" | sed 's/^/connection /'
    drbdadm dstate "$resource" | tr / '\n' | sed 's/^/copy /'
    ;;
# The kernel does not know it: DRBD is down. Then dstate says what the metadata has.
10) ;;
*) echo 'connection unknown' ;;
esac
