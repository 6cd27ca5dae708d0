#![allow(clippy::unwrap_used)]

use super::super::samples::{aws as site, lan};
use super::*;

fn corosync(cluster: &str, names: &[&str]) -> Facts {
    let nodes = names
        .iter()
        .map(|name| format!("corosync   node {{\ncorosync     name: {name}\ncorosync   }}\n"));
    Facts::parse(&format!(
        "corosync totem {{\ncorosync   cluster_name: {cluster}\ncorosync }}\ncorosync nodelist {{\n{}corosync }}\n",
        nodes.collect::<String>()
    ))
}

#[test]
fn the_distributions_sample_is_no_cluster() {
    assert_eq!(
        corosync("debian", &["node1"]).membership(&site()),
        Membership::None
    );
    assert_eq!(Facts::parse("").membership(&site()), Membership::None);
}

#[test]
fn a_cluster_of_the_same_name_with_other_nodes_is_another() {
    let all = ["ip-172-31-16-133", "IP-172-31-16-134", "ip-172-31-16-135"];
    assert_eq!(
        corosync("ha_cluster", &all).membership(&site()),
        Membership::This
    );
    assert_eq!(
        corosync("ha_cluster", &all[..2]).membership(&site()),
        Membership::Other(
            "ha_cluster with the nodes ip-172-31-16-133, ip-172-31-16-134".to_owned()
        )
    );
    assert_eq!(
        corosync("other", &all[..1]).membership(&site()),
        Membership::Other("other with the nodes ip-172-31-16-133".to_owned())
    );
}

#[test]
fn a_node_without_anything_lacks_everything() {
    let facts = Facts::parse("network 10-netplan-ens5.network\nservice corosync inactive\n");
    assert_eq!(facts.package(), None);
    assert!(!facts.cluster_runs(&site()));
    assert!(!facts.has_compose_file());
    assert!(!facts.has_images("portsip/pbx:22"));
    assert!(!facts.has_containers());
    assert_eq!(facts.network(), Some("10-netplan-ens5.network"));
}

#[test]
fn a_node_that_has_everything_lacks_nothing() {
    let facts = Facts::parse(
        "package portsip-ha ii  0.1.0-1\nservice corosync active enabled\nservice pacemaker active enabled\ncompose yes\n\
         service-of-pbx nats\nservice-of-pbx database\ncontainer portsip.nats\ncontainer portsip.database\n\
         wanted-image portsip/postgresql:14.12\nwanted-image portsip/pbx:22\nimage portsip/pbx:22\n\
         image portsip/postgresql:14.12\nconfigured yes\npassword 0a1b\nrunning storage\nended-storage 0\n",
    );
    assert_eq!(facts.package(), Some("0.1.0-1"));
    assert!(facts.cluster_runs(&site()));
    assert!(facts.has_images("portsip/pbx:22"));
    assert!(!facts.has_images("portsip/pbx"));
    assert!(facts.has_containers());
    assert!(facts.is_configured());
    assert!(facts.runs("storage") && facts.has_succeeded("storage"));
    assert!(!facts.runs("cluster") && !facts.has_succeeded("cluster"));
}

#[test]
fn a_package_that_is_half_installed_is_not_installed() {
    assert_eq!(
        Facts::parse("package portsip-ha iU  0.1.0-1\n").package(),
        None
    );
}

#[test]
fn on_a_lan_sbd_runs_with_the_cluster() {
    let mut facts =
        "service corosync active enabled\nservice pacemaker active enabled\n".to_owned();
    assert!(!Facts::parse(&facts).cluster_runs(&lan()));
    facts += "service sbd active enabled\n";
    assert!(Facts::parse(&facts).cluster_runs(&lan()));
}

#[test]
fn a_software_watchdog_that_nobody_loads_at_boot_is_none() {
    for (printed, has) in [
        ("", false),
        // Hardware.
        ("watchdog yes\n", true),
        ("watchdog yes\nsoftdog loaded\n", false),
        (
            "watchdog yes\nsoftdog loaded\nservice portsip-ha-softdog active enabled\n",
            true,
        ),
    ] {
        assert_eq!(Facts::parse(printed).has_watchdog(), has, "{printed}");
    }
}

#[test]
fn services_are_asked_for_in_one_process() {
    let script = include_str!("look.sh");
    let awk = script.split_once("awk -F= '").unwrap().1;
    let awk = awk.split_once("'\n").unwrap().0;
    let mut process = std::process::Command::new("awk");
    process
        .args(["-F=", awk])
        .stdin(std::process::Stdio::piped());
    let mut child = process
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let shown =
        b"Id=corosync.service\nActiveState=active\nUnitFileState=enabled\n\nId=sbd.service\n\
                  ActiveState=inactive\nUnitFileState=\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), shown).unwrap();
    let output = child.wait_with_output().unwrap();
    let facts = Facts::parse(&String::from_utf8(output.stdout).unwrap());
    assert!(facts.runs_at_boot("corosync"), "{facts:?}");
    assert!(facts.has("service", "sbd inactive "), "{facts:?}");
}

#[test]
fn the_look_is_one_that_sh_can_read_and_changes_nothing() {
    let look = look(&site());
    let mut sh = std::process::Command::new("sh");
    let status = sh.args(["-n", "-c", &look.script]).status();
    assert!(status.is_ok_and(|status| status.success()));
    for word in ["systemctl start", "rm ", "mkdir", "pcs ", " >/etc"] {
        assert!(!look.script.contains(word), "{word}");
    }
}
