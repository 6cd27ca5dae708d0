# The copy of $resource on this node gives up what it has, as soon as the other one connects.
drbdadm down "$resource"
drbdadm new-resource "$resource"
drbdadm new-minor "$resource"
drbdadm attach "$resource"
drbdadm -- --discard-my-data connect "$resource"
