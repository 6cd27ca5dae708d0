//! The shell script that makes the nodes a cluster: what comes before any resource.

use std::fmt::Write;

use super::shell::{comment, opening, quoted};
use crate::cluster::Cluster;

const OPENING: &str = include_str!("corosync.sh");

/// The script.
pub fn corosync(cluster: &Cluster) -> String {
    let corosync = &cluster.corosync;
    let mut script = String::from("#!/bin/sh\n");
    script += &opening(&cluster.warnings);
    script += OPENING;
    script += "main() {\n";
    script +=
        "    command -v pcs >/dev/null || fail 'pcs is not installed here. Run this on a node.'\n";
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
    let names: Vec<String> = (corosync.nodes.iter())
        .map(|node| quoted(&format!("name: {}", node.name)))
        .collect();
    let _ = writeln!(script, "    if ! member {name} {}; then", names.join(" "));
    let _ = writeln!(script, "        authenticate{nodes}");
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
        "        pcs cluster setup {name}{nodes} \\\n            totem {}\n    fi",
        totem.join(" ")
    );
    if let Some(watchdog) = &corosync.watchdog {
        script += &indented(
            4,
            &comment(&format!(
                "SBD without a disk: a node that has lost the others, or whose Pacemaker or kernel \
                 hangs, feeds {} no more and is reset {} s later. Where there is no hardware for \
                 it, `modprobe softdog` gives every node one (and /etc/modules-load.d keeps it).",
                watchdog.device, watchdog.timeout
            )),
        );
        let _ = writeln!(
            script,
            "    pcs stonith sbd enable watchdog={} SBD_WATCHDOG_TIMEOUT={}",
            quoted(watchdog.device),
            watchdog.timeout
        );
    }
    script += "    pcs cluster enable --all\n";
    script += "    pcs cluster start --all --wait=120\n";
    script +=
        "}\n\n# The whole script has been read when this line is: half a script does nothing.\n";
    script += "main </dev/null\n";
    script
}

fn indented(columns: usize, comments: &str) -> String {
    let lines = comments.lines();
    lines
        .map(|line| format!("{:columns$}{line}\n", ""))
        .collect()
}
