//! What bears a name of ours and is no longer asked for goes, and is named; what is the user's stays.

use super::*;

const ONE: &str = "fencing: fence_virsh\nfencing_options: ip=192.168.1.9 username=a\n";

/// The CIB of one cluster, with more in its sections.
fn with(cluster: &Cluster, more: &[(&str, &str)]) -> String {
    let mut cib = made(cluster);
    for (section, what) in more {
        let end = format!("</{section}>");
        let (before, after) = cib.rsplit_once(&end).unwrap();
        cib = format!("{before}{what}{end}{after}");
    }
    cib
}

#[test]
fn devices_of_an_earlier_way_of_fencing_go_and_are_named() {
    let (one, boards, none) = (lan_with(ONE), lan_with(BOARDS), lan_with("fencing: none\n"));
    for (before, after, gone, stays) in [
        (&one, &boards, &["fencing"][..], "fencing-pbx01"),
        (
            &boards,
            &one,
            &["fencing-pbx01", "fencing-pbx02", "fencing-pbx03"],
            "fencing",
        ),
        (
            &boards,
            &none,
            &["fencing-pbx01", "fencing-pbx02", "fencing-pbx03"],
            "pbx",
        ),
        (&one, &none, &["fencing"], "pbx"),
    ] {
        let plan = changed(after, &made(before));
        for id in gone {
            assert!(
                plan.changes.contains(&format!("{id}: deleted")),
                "{:?}",
                plan.changes
            );
            assert!(!plan.new.to_string().contains(&format!("id=\"{id}\"")));
        }
        assert!(
            plan.new
                .to_string()
                .contains(&format!("<primitive id=\"{stays}\""))
        );
    }
}

#[test]
fn the_device_of_a_node_that_left_goes() {
    let five = "pbx04_hostname: pbx04\npbx04_private_ip: 192.168.1.134\n\
                pbx05_hostname: pbx05\npbx05_private_ip: 192.168.1.135\n\
                pbx04_fencing_options: ip=192.168.1.234\npbx05_fencing_options: ip=192.168.1.235\n";
    let plan = changed(
        &lan_with(BOARDS),
        &made(&lan_with(&format!("{BOARDS}{five}"))),
    );
    for line in ["fencing-pbx04: deleted", "fencing-pbx05: deleted"] {
        assert!(
            plan.changes.iter().any(|change| change == line),
            "{:?}",
            plan.changes
        );
    }
}

#[test]
fn what_speaks_of_a_device_goes_with_it_and_nothing_else_does() {
    let resources = "<primitive id=\"fencing\" class=\"stonith\" type=\"fence_virsh\"/>\
        <primitive id=\"fencing-mine\" class=\"stonith\" type=\"fence_virsh\"/>\
        <primitive id=\"fencing-pbx04\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>";
    let constraints = "<rsc_location id=\"l1\" rsc=\"fencing\" node=\"pbx01\" score=\"1\"/>\
        <rsc_location id=\"l2\" rsc=\"pbx\" node=\"pbx01\" score=\"1\"/>\
        <rsc_order id=\"o1\"><resource_set id=\"s1\"><resource_ref id=\"fencing\"/></resource_set></rsc_order>\
        <rsc_order id=\"o2\"><resource_set id=\"s2\"><resource_ref id=\"fencing\"/>\
        <resource_ref id=\"fencing-mine\"/></resource_set></rsc_order>\
        <rsc_colocation id=\"c1\" rsc=\"pbx\" with-rsc=\"fencing\" score=\"1\"/>\
        <rsc_order id=\"portsip-source\" first=\"vip\" then=\"pbx\"/>\
        <rsc_order id=\"portsip-mine\" first=\"vip\" then=\"pbx\"/>";
    let topology = "<fencing-topology><fencing-level id=\"f1\" target=\"a\" index=\"1\" devices=\"fencing\"/>\
        <fencing-level id=\"f2\" target=\"a\" index=\"2\" devices=\"fencing-mine,fencing\"/></fencing-topology>\
        <tags><tag id=\"t1\"><obj_ref id=\"fencing\"/></tag></tags>";
    let more = [
        ("resources", resources),
        ("constraints", constraints),
        ("configuration", topology),
    ];
    let plan = changed(&lan(), &with(&lan(), &more));
    assert_eq!(
        plan.changes,
        [
            "fencing: deleted",
            "constraint l1: deleted",
            "constraint o1: deleted",
            "constraint c1: deleted",
            "constraint portsip-source: deleted",
            "fencing level f1: deleted",
            "tag t1: deleted",
            "constraint o2: order of fencing, fencing-mine -> order of fencing-mine",
        ]
    );
    assert_eq!(
        plan.less_fencing,
        [
            "the fencing device fencing is deleted",
            "the fencing level f1 is deleted",
            "the fencing level f2 has the devices fencing-mine left, of fencing-mine,fencing",
        ]
    );
    let cib = plan.new.to_string();
    for stays in [
        "\"fencing-mine\"",
        "\"fencing-pbx04\"",
        "\"l2\"",
        "\"portsip-mine\"",
        "devices=\"fencing-mine\"",
    ] {
        assert!(cib.contains(stays), "{stays} is gone");
    }
}

/// A CIB with a parameter that nobody asks for.
fn with_parameter(cib: &str, of: &str, name: &str, value: &str) -> String {
    let set = format!("<instance_attributes id=\"{of}-instance_attributes\">");
    let pair = format!("<nvpair id=\"x-{of}-{name}\" name=\"{name}\" value=\"{value}\"/>");
    assert_eq!(cib.matches(&set).count(), 1, "{of}");
    cib.replace(&set, &format!("{set}{pair}"))
}

#[test]
fn parameters_that_are_not_asked_for_stay_and_are_named_without_their_values() {
    let before =
        "sip_transport: tcp\nsip_port: 5070\nweb_port: 8443\nsubnet_cidr: 192.168.1.0/24\n";
    let cib = with_parameter(&made(&lan_with(before)), "vip", "nic", "eth1");
    let plan = changed(&lan(), &cib);
    assert_eq!(plan.changes, Vec::<String>::new());
    let [note] = &plan.notes[..] else {
        panic!("{:?}", plan.notes);
    };
    for command in [
        "vip cidr_netmask=",
        "vip nic=",
        "src_pkt_ip cidr_netmask=",
        "pbx sip_transport=",
        "pbx sip_port=",
        "pbx web_port=",
    ] {
        let line = format!("\n    sudo pcs resource update {command}");
        assert_eq!(note.matches(&line).count(), 1, "{line} in {note}");
    }
    assert_eq!(note.lines().count(), 7, "{note}");
    assert!(
        plan.text(None)
            .starts_with("nothing would change\n\nnote: kept")
    );
    assert!(!plan.text(None).contains("eth1"));
    assert!(plan.is_empty());
}

#[test]
fn what_somebody_has_told_a_device_stays_and_no_password_is_said() {
    let mut cib = made(&lan_with(BOARDS));
    for (name, value) in [
        ("password", "hush"),
        ("power_timeout", "40"),
        ("pcmk_delay_max", "9s"),
    ] {
        cib = with_parameter(&cib, "fencing-pbx01", name, value);
    }
    let other = BOARDS.replace("fence_ipmilan", "fence_redfish");
    for (cluster, changes) in [(lan_with(BOARDS), 0), (lan_with(&other), 3)] {
        let plan = changed(&cluster, &cib);
        assert_eq!(plan.changes.len(), changes, "{:?}", plan.changes);
        let text = plan.text(None);
        for name in ["password", "power_timeout", "pcmk_delay_max"] {
            let command = format!("    sudo pcs stonith update fencing-pbx01 {name}=\n");
            assert!(text.contains(&command), "{text}");
        }
        assert!(!text.contains("hush"), "{text}");
        assert!(plan.new.to_string().contains("value=\"hush\""));
    }
}

/// It would switch another machine off.
#[test]
fn the_plug_of_an_earlier_vars_yml_goes_and_other_options_stay() {
    let before = BOARDS.replace("ip=192.168.1.232", "ip=192.168.1.232 plug=2 cipher=3");
    let plan = changed(&lan_with(BOARDS), &made(&lan_with(&before)));
    assert_eq!(
        plan.changes,
        [
            "fencing-pbx02: pcmk_host_list pbx02: new",
            "fencing-pbx02: pcmk_host_map pbx02:2: deleted",
        ]
    );
    assert!(plan.new.to_string().contains("cipher"));
}

#[test]
fn the_instances_of_the_volume_go_where_nothing_fences_and_its_device_stays() {
    let cib = with_parameter(&made(&aws_with("")), "ebs", "device", "/dev/sdg");
    let plan = changed(&aws_with("fencing: none\n"), &cib);
    let gone = |change: &String| change.starts_with("ebs: ") && change.ends_with(": deleted");
    let gone: Vec<&String> = plan.changes.iter().filter(|change| gone(change)).collect();
    assert_eq!(gone.len(), 1, "{:?}", plan.changes);
    assert!(gone[0].contains("cluster_instances"), "{gone:?}");
    let note = plan.notes.concat();
    assert!(
        note.contains("sudo pcs resource update ebs device="),
        "{note}"
    );
}

#[test]
fn a_device_of_another_agent_keeps_what_refers_to_it() {
    let other = BOARDS.replace("fence_ipmilan", "fence_redfish");
    let more = [
        (
            "constraints",
            "<rsc_location id=\"l1\" rsc=\"fencing-pbx01\" node=\"pbx01\" score=\"-1\"/>",
        ),
        (
            "configuration",
            "<fencing-topology><fencing-level id=\"f1\" target=\"pbx01\" index=\"1\" \
             devices=\"fencing-pbx01\"/></fencing-topology>\
             <tags><tag id=\"t1\"><obj_ref id=\"fencing-pbx01\"/></tag></tags>",
        ),
    ];
    let plan = changed(&lan_with(&other), &with(&lan_with(BOARDS), &more));
    let lines =
        (1..=3).map(|n| format!("fencing-pbx0{n}: stonith:fence_ipmilan -> stonith:fence_redfish"));
    assert_eq!(plan.changes, lines.collect::<Vec<_>>());
    for stays in ["\"l1\"", "\"f1\"", "\"t1\""] {
        assert!(plan.new.to_string().contains(stays), "{stays} is gone");
    }
}

#[test]
fn sbd_that_is_not_asked_for_any_more_is_named_with_the_steps() {
    let with_sbd = made(&lan());
    for more in [BOARDS, "fencing: none\n"] {
        let notes = changed(&lan_with(more), &with_sbd).notes.concat();
        for step in [
            "pcs stonith sbd disable",
            "pcs cluster stop --all",
            "pcs cluster start --all",
        ] {
            assert!(notes.contains(step), "{more}: {notes}");
        }
    }
    // `pcs stonith sbd disable` leaves this.
    let ended = with_sbd.replace("timeout\" value=\"10s\"", "timeout\" value=\"0\"");
    assert_ne!(ended, with_sbd);
    let notes = changed(&lan_with(BOARDS), &ended).notes;
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn a_longer_time_for_the_watchdog_stays() {
    let with = |value: &str| {
        let from = "timeout\" value=\"10s\"";
        assert!(made(&lan()).contains(from));
        made(&lan()).replace(from, &format!("timeout\" value=\"{value}\""))
    };
    for stays in ["20s", "16", "1min", "30000ms", "-1", "PT20S"] {
        let plan = changed(&lan(), &with(stays));
        assert_eq!(plan.changes, Vec::<String>::new(), "{stays}");
        let note = format!("stonith-watchdog-timeout {stays} stays: it is not shorter than 10s");
        assert_eq!(plan.notes, [note]);
    }
    for same in ["10", "10000ms"] {
        let plan = changed(&lan(), &with(same));
        assert!(plan.changes.is_empty() && plan.notes.is_empty(), "{plan:?}");
    }
    for short in ["9s", "0", "5000ms", "5000000us"] {
        let line = format!("property stonith-watchdog-timeout: {short} -> 10s");
        assert_eq!(changed(&lan(), &with(short)).changes, [line]);
    }
}

#[test]
fn a_change_of_fencing_names_the_file_of_drbd() {
    let file = "On every other node too, one after the other: sudo cib-gen apply vars.yml";
    let none = lan_with("fencing: none\n");
    for (before, after, named) in [
        (lan_with(BOARDS), &none, true),
        (none.clone(), &lan_with(BOARDS), true),
        (none.clone(), &none, false),
        (lan(), &lan_with(BOARDS), false),
        (aws_with(""), &aws_with("fencing: none\n"), false),
    ] {
        let notes = changed(after, &made(&before)).notes.concat();
        assert_eq!(notes.contains(file), named, "{notes}");
    }
}
