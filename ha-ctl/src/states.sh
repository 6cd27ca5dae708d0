drbdadm cstate "$resource" 2>/dev/null | sed 's/^/connection /'
drbdadm dstate "$resource" 2>/dev/null | tr / '\n' | sed '/^Unconfigured$/d; s/^/copy /'
