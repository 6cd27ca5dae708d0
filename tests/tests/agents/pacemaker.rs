//! Stand-ins for Pacemaker's tools, where agents run outside of a cluster.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Fencing is on, unless STONITH_ENABLED says something else, or NO_PACEMAKER that nobody answers.
const ATTRIBUTE: &str = r#"#!/bin/sh
test -z "$NO_PACEMAKER" || { echo "Could not connect to the CIB" >&2; exit 102; }
echo "${STONITH_ENABLED:-true}"
"#;

/// The resource runs on the node that asks, as Pacemaker counts the start that it has just ordered as running, and on
/// RUNS_ON.
const RESOURCE: &str = r#"#!/bin/sh
nodes="$OCF_RESKEY_CRM_meta_on_node $RUNS_ON"
test "$nodes" != " " || { echo "resource $2 is NOT running" >&2; exit 0; }
for node in $nodes; do echo "resource $2 is running on: $node"; done
"#;

/// The status section of the CIB: the history of LEFT_ON has a start of the resource that nothing followed.
const STATUS: &str = r#"#!/bin/sh
test -n "$LEFT_ON" || { echo "<status/>"; exit 0; }
cat <<END
<status><node_state uname="$LEFT_ON" crmd="offline"><lrm><lrm_resources><lrm_resource id="${OCF_RESOURCE_INSTANCE:-awsebs}">
<lrm_rsc_op operation="start" call-id="10" rc-code="0" op-status="0"/>
</lrm_resource></lrm_resources></lrm></node_state></status>
END
"#;

/// Puts them into a directory, which is to be the first in an agent's PATH.
pub(crate) fn stand_in(directory: &Path) {
    for (tool, script) in [
        ("crm_attribute", ATTRIBUTE),
        ("crm_resource", RESOURCE),
        ("cibadmin", STATUS),
    ] {
        let path = directory.join(tool);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}
