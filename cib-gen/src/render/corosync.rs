//! The shell script that makes the nodes a cluster: what comes before any resource.

use super::shell::{comment, opening, quoted};
use crate::cluster::{Cluster, Member, Watchdog};

const OPENING: &str = include_str!("corosync.sh");
/// Functions for sh(1) about the cluster that the distribution's package of Corosync brings: `sample` says whether the
/// configuration on its input is that, `sample_is_used` whether resources are configured in it, and `leave_sample_here`
/// takes this node out of it, or calls `fail WHAT HELP`. `$corosync_conf` is where the configuration is.
pub const SAMPLE: &str = include_str!("corosync_sample.sh");
/// What only the LAN system has.
const LAN: &str = include_str!("corosync_lan.sh");

/// The script.
pub fn corosync(cluster: &Cluster) -> String {
    let corosync = &cluster.corosync;
    let (lan, storage) = match cluster.drbd {
        Some(_) => (LAN, "    storage_tools\n"),
        None => ("", ""),
    };
    let (here, sbd) = match &corosync.watchdog {
        Some(watchdog) => (
            format!("    watchdog_here {}\n", quoted(watchdog.device)),
            sbd(watchdog),
        ),
        None => (String::new(), String::new()),
    };
    let each = |one: fn(&Member) -> String| -> String { corosync.nodes.iter().map(one).collect() };
    let nodes = each(|node| {
        format!(
            " \\\n            {} addr={}",
            quoted(&node.name),
            node.address
        )
    });
    let settings = || corosync.totem.iter();
    let reasons = settings().filter_map(|s| Some(comment(&format!("{}: {}.", s.name, s.why?))));
    let totem = settings().map(|s| format!(" {}", quoted(&format!("{}={}", s.name, s.value))));
    format!(
        "#!/bin/sh\n{opening}{OPENING}{SAMPLE}{lan}main() {{\n    \
             command -v pcs >/dev/null || fail 'pcs is not installed here' 'run this on a node of the cluster'\n\
         {storage}{here}    \
             if ! member {name}{members}; then\n        \
                 leave_sample_here\n        \
                 authenticate{nodes}\n        \
                 leave_samples{names}\n\
         {reasons}        \
                 pcs cluster setup {name}{nodes} \\\n            \
                     totem{totem}\n\
         {sbd}    \
             fi\n    \
             everywhere\n\
         }}\n\n\
         # The whole script has been read when this line is: half a script does nothing.\n\
         main </dev/null\n",
        opening = opening(&cluster.warnings),
        name = quoted(corosync.name),
        members = each(|node| format!(" {}", quoted(&format!("name: {}", node.name)))),
        names = each(|node| format!(" {}", quoted(&node.name))),
        reasons = reasons.map(|why| indented(&why)).collect::<String>(),
        totem = totem.collect::<String>(),
    )
}

/// SBD is enabled with a new cluster, and in one that does not run; where it is enabled, it is left alone.
fn sbd(watchdog: &Watchdog) -> String {
    let Watchdog { device, timeout } = watchdog;
    let why = comment(&format!(
        "SBD without a disk: a node that has lost the others, or whose Pacemaker or kernel hangs, \
         feeds {device} no more and is reset {timeout} s later."
    ));
    let enable = format!("        enable_sbd {} {timeout}\n", quoted(device));
    let is_set_up = format!("    elif ! sbd_is_set_up {timeout} $(members); then\n");
    format!("{}{enable}{is_set_up}{enable}", indented(&why))
}

fn indented(comments: &str) -> String {
    let lines = comments.lines();
    lines.map(|line| format!("        {line}\n")).collect()
}

#[cfg(test)]
mod tests;
