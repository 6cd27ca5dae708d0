//! The shell script that makes the nodes a cluster: what comes before any resource.

use std::fmt::Write;

use super::shell::{comment, opening, quoted};
use crate::cluster::{Cluster, Watchdog};

const OPENING: &str = include_str!("corosync.sh");
/// What only the LAN system has.
const LAN: &str = include_str!("corosync_lan.sh");

/// The script.
pub fn corosync(cluster: &Cluster) -> String {
    let corosync = &cluster.corosync;
    let mut script = String::from("#!/bin/sh\n");
    script += &opening(&cluster.warnings);
    script += OPENING;
    if cluster.drbd.is_some() {
        script += LAN;
    }
    script += "main() {\n";
    script +=
        "    command -v pcs >/dev/null || fail 'pcs is not installed here. Run this on a node.'\n";
    if cluster.drbd.is_some() {
        script += "    storage_tools\n";
    }
    if let Some(watchdog) = &corosync.watchdog {
        let _ = writeln!(script, "    watchdog_here {}", quoted(watchdog.device));
    }
    let nodes: String = (corosync.nodes.iter())
        .map(|node| {
            format!(
                " \\\n            {} addr={}",
                quoted(&node.name),
                node.address
            )
        })
        .collect();
    let name = quoted(corosync.name);
    let lines: Vec<String> = (corosync.nodes.iter())
        .map(|node| quoted(&format!("name: {}", node.name)))
        .collect();
    let names: Vec<String> = (corosync.nodes.iter())
        .map(|node| quoted(&node.name))
        .collect();
    let _ = writeln!(script, "    if ! member {name} {}; then", lines.join(" "));
    script += "        leave_sample_here\n";
    let _ = writeln!(script, "        authenticate{nodes}");
    let _ = writeln!(script, "        leave_samples {}", names.join(" "));
    for setting in &corosync.totem {
        if let Some(why) = setting.why {
            script += &indented(8, &comment(&format!("{}: {why}.", setting.name)));
        }
    }
    let totem: Vec<String> = (corosync.totem.iter())
        .map(|setting| quoted(&format!("{}={}", setting.name, setting.value)))
        .collect();
    let _ = writeln!(
        script,
        "        pcs cluster setup {name}{nodes} \\\n            totem {}",
        totem.join(" ")
    );
    match &corosync.watchdog {
        None => script += "    fi\n",
        Some(watchdog) => script += &sbd(watchdog),
    }
    script += "    everywhere\n";
    script +=
        "}\n\n# The whole script has been read when this line is: half a script does nothing.\n";
    script += "main </dev/null\n";
    script
}

/// The rest of the question whether this node is a member of the cluster: SBD is enabled where the
/// cluster does not run, and left alone where it is enabled already.
fn sbd(watchdog: &Watchdog) -> String {
    let Watchdog { device, timeout } = watchdog;
    let device = quoted(device);
    let enable = format!("        enable_sbd {device} {timeout}\n");
    let why = format!(
        "SBD without a disk: a node that has lost the others, or whose Pacemaker or kernel hangs, \
         feeds {device} no more and is reset {timeout} s later."
    );
    let is_set_up = format!("    elif ! sbd_is_set_up {timeout} $(members); then\n");
    [
        indented(8, &comment(&why)),
        enable.clone(),
        is_set_up,
        enable,
        "    fi\n".to_owned(),
    ]
    .concat()
}

fn indented(columns: usize, comments: &str) -> String {
    let lines = comments.lines();
    lines
        .map(|line| format!("{:columns$}{line}\n", ""))
        .collect()
}

#[cfg(test)]
mod tests;
