//! What a person has to know or do beside what `cib-gen apply` writes.

/// Before the commands that delete what is set and not asked for.
pub(crate) const KEPT: &str = "kept, though vars.yml does not ask for it: set by hand or by an earlier \
    vars.yml. Write it into vars.yml, or delete it with:";

/// Where SBD guards the nodes and is no longer asked for.
pub(crate) const SBD_STAYS: &str = "vars.yml no longer asks for SBD, and the nodes still have it \
    (stonith-watchdog-timeout is set). To end it, when the cluster is configured; the PBX is down from the \
    second step to the last:
    sudo pcs stonith sbd disable
    sudo pcs cluster stop --all
    sudo pcs cluster start --all --wait=120";

/// Where the resource file of DRBD is one of another way of fencing.
pub const DRBD_FILE: &str =
    "what DRBD does without quorum depends on fencing. Write its file again \
    on every node, where it takes effect at once:
    cib-gen --format drbd vars.yml | sudo tee /etc/drbd.d/pbxdata.res
    sudo drbdadm adjust pbxdata";
