//! The DRBD resource file (drbd.conf-9.0(5), drbd.conf-8.4(5)), and how the storage below it is made once.

use std::fmt::Write;

use super::shell::{comment, opening};
use crate::cluster::Drbd;
use crate::vars::DrbdVersion;

/// The file, with what every rendering must tell its reader.
pub fn drbd(drbd: &Drbd, warnings: &[String]) -> String {
    let mut file = opening(warnings);
    file += &once(drbd);
    let Drbd {
        name,
        device,
        minor,
        volume_group,
        logical_volume,
        port,
        ..
    } = drbd;
    let _ = writeln!(file, "resource {name} {{");
    let _ = writeln!(file, "    device {device} minor {minor};");
    let _ = writeln!(file, "    disk /dev/{volume_group}/{logical_volume};");
    let _ = writeln!(file, "    meta-disk internal;");
    for section in &drbd.sections {
        let _ = writeln!(file, "\n    {} {{", section.name);
        for option in &section.options {
            if let Some(why) = option.why {
                file += &indented(&comment(&format!("{why}.")));
            }
            let _ = writeln!(file, "        {} {};", option.name, option.value);
        }
        file += "    }\n";
    }
    file.push('\n');
    for (id, peer) in drbd.peers.iter().enumerate() {
        let id = match drbd.version {
            DrbdVersion::Nine => format!("        node-id {id};\n"),
            DrbdVersion::EightFour => String::new(),
        };
        let _ = writeln!(
            file,
            "    on {} {{\n{id}        address {}:{port};\n    }}",
            peer.name, peer.address
        );
    }
    if drbd.version == DrbdVersion::Nine {
        let _ = writeln!(
            file,
            "\n    connection-mesh {{\n        hosts {};\n    }}",
            names(drbd, " ")
        );
    }
    file + "}\n"
}

fn names(drbd: &Drbd, between: &str) -> String {
    let names: Vec<&str> = drbd.peers.iter().map(|peer| peer.name.as_str()).collect();
    names.join(between)
}

fn indented(comments: &str) -> String {
    comments
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect()
}

/// What a person does with the file, once. Commands that destroy are comments, for a person
/// to decide on.
fn once(drbd: &Drbd) -> String {
    let Drbd {
        name,
        device,
        disk,
        volume_group,
        logical_volume,
        size,
        ..
    } = drbd;
    let (module, nodes, only_these, create, connected) = match drbd.version {
        DrbdVersion::Nine => (
            "DRBD 9.1.7 or later on every node, and the",
            "every node".to_owned(),
            "",
            "drbdadm create-md --max-peers=8",
            "`drbdadm status` shows all peers connected",
        ),
        DrbdVersion::EightFour => (
            "DRBD 8.4 there (`modinfo -F version drbd`), and the",
            names(drbd, " and "),
            "# It belongs on no other node: the others vote, and have no copy of the data.\n#\n",
            "drbdadm create-md",
            "/proc/drbd shows cs:Connected",
        ),
    };
    format!(
        "#\n\
         # The same file on {nodes}: /etc/drbd.d/{name}.res. It needs {module}\n\
         # packages drbd-utils (drbdadm) and lvm2 (pvcreate, vgcreate, lvcreate). LVM finds its volumes\n\
         # again at every boot; DRBD is brought up by Pacemaker (drbd.service stays disabled).\n\
         #\n\
         {only_these}\
         # Once in the life of the storage, on {nodes}. pvcreate refuses a disk that holds\n\
         # something; leave it that way.\n\
         #     pvcreate {disk}\n\
         #     vgcreate {volume_group} {disk}\n\
         #     lvcreate --name {logical_volume} --size {size} {volume_group}\n\
         #     {create} {name}\n\
         #     drbdadm up {name}\n\
         # Then on the first node alone, when {connected}:\n\
         #     drbdadm new-current-uuid --clear-bitmap {name}/0\n\
         #     drbdadm primary {name}\n\
         #     mkfs.xfs {device}\n\
         #     mkdir -p /var/lib/portsip\n\
         #     mount {device} /var/lib/portsip\n\
         # and the PBX's first data, as in the README's step 5, from `install -d` to `docker compose stop`:\n\
         #     umount /var/lib/portsip\n\
         #     drbdadm secondary {name}\n\
         # and on {nodes} `drbdadm down {name}`: from then on Pacemaker does it.\n\n"
    )
}
