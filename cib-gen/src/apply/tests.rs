#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::nodes::Known;
use crate::scheduler::{Action, Instance};
use crate::{Vars, render};
use insta::assert_snapshot;

mod drbd_84;
mod drbd_peers;
mod no_longer_wanted;
mod node_files;
mod sets;
mod takeover;
mod watchdog_time;

fn lan_with(more: &str) -> Cluster {
    let vars = include_str!("../../tests/vars-lan.yml");
    let vars = Vars::parse("vars.yml", format!("{vars}{more}")).unwrap_or_else(|e| panic!("{e}"));
    Cluster::of(&(vars.resolve(&Known::default())).unwrap_or_else(|e| panic!("{e}")))
}

/// The vendor's file for AWS.
fn aws_with(more: &str) -> Cluster {
    let vars = include_str!("../../tests/vars-vendor.yml");
    let vars = Vars::parse("vars.yml", format!("{vars}{more}")).unwrap_or_else(|e| panic!("{e}"));
    let node = |n: u8| format!("pbx0{n}=172.31.16.13{}", n + 2).parse().unwrap();
    let known = Known {
        given: vec![node(1), node(2), node(3)],
        ..Known::default()
    };
    Cluster::of(&vars.resolve(&known).unwrap_or_else(|e| panic!("{e}")))
}

/// A management board for each node.
const BOARDS: &str = "fencing: fence_ipmilan\nfencing_options: username=a lanplus=1\n\
    pbx01_fencing_options: ip=192.168.1.231\npbx02_fencing_options: ip=192.168.1.232\n\
    pbx03_fencing_options: ip=192.168.1.233\n";

fn lan() -> Cluster {
    lan_with("")
}

/// The CIB of a cluster as pcs makes it.
fn made(cluster: &Cluster) -> String {
    let cib = render::cib(cluster);
    if cluster.corosync.watchdog.is_none() {
        return cib;
    }
    let first = "<cluster_property_set id=\"cib-bootstrap-options\">";
    assert!(cib.contains(first), "{cib}");
    let timeout = "<nvpair id=\"cib-bootstrap-options-stonith-watchdog-tim\" \
                   name=\"stonith-watchdog-timeout\" value=\"10s\"/>";
    cib.replace(first, &format!("{first}{timeout}"))
}

/// What would change in a CIB, which has no more to change after that.
fn changed(cluster: &Cluster, cib: &str) -> Plan {
    let plan = Plan::of(cluster, cib).unwrap();
    assert_eq!(plan.refusals, Vec::<String>::new());
    let again = Plan::of(cluster, &plan.new.to_string()).unwrap();
    assert!(again.is_empty(), "it is not done with once: {again:?}");
    plan
}

fn changes(edit: impl Fn(String) -> String) -> String {
    changed(&lan(), &edit(made(&lan()))).changes.join("\n")
}

/// The reasons to refuse.
fn refusals(cluster: &Cluster, cib: &str) -> String {
    Plan::of(cluster, cib).unwrap().refusals.join("\n")
}

#[test]
fn what_is_as_it_is_wanted_is_left_alone() {
    assert_eq!(changes(|cib| cib), "");
    let plan = Plan::of(&lan(), &made(&lan())).unwrap();
    assert_eq!(plan.text(None), "nothing would change\n");
}

#[test]
fn what_differs_is_said() {
    let edits = [
        ("192.168.1.130", "192.168.1.129"),
        (
            "name=\"start\" interval=\"0s\" timeout=\"300s\"",
            "name=\"start\" interval=\"0s\" timeout=\"5s\"",
        ),
        (
            "name=\"monitor\" interval=\"10s\" timeout=\"40s\"",
            "name=\"monitor\" interval=\"20s\" timeout=\"40s\"",
        ),
        (
            "name=\"OCF_CHECK_LEVEL\" value=\"10\"",
            "name=\"OCF_CHECK_LEVEL\" value=\"20\"",
        ),
        (
            "name=\"clone-max\" value=\"3\"",
            "name=\"clone-max\" value=\"2\"",
        ),
        (
            "name=\"resource-stickiness\" value=\"100\"",
            "name=\"resource-stickiness\" value=\"0\"",
        ),
        (
            "name=\"stonith-enabled\" value=\"true\"",
            "name=\"stonith-enabled\" value=\"false\"",
        ),
        (
            "id=\"portsip-together\" score=\"INFINITY\"",
            "id=\"portsip-together\" score=\"5\"",
        ),
        ("id=\"portsip-storage\"", "id=\"theirs\""),
    ];
    assert_snapshot!(changes(|cib| {
        edits.iter().fold(cib, |cib, (ours, theirs)| {
            assert!(cib.contains(ours), "{ours}");
            cib.replace(ours, theirs)
        })
    }));
}

#[test]
fn what_is_missing_is_new() {
    let empty =
        "<cib><configuration><crm_config/><nodes/><resources/><constraints/></configuration></cib>";
    assert_snapshot!(changes(|_| empty.to_owned()));
    let plan = Plan::of(&lan(), empty).unwrap();
    assert!(!plan.has_status());
    assert!(plan.text(None).ends_with("nothing is known of restarts\n"));
}

#[test]
fn what_is_refused_is_said_and_nothing_else() {
    let cib = made(&lan());
    let cib = cib.replace("type=\"pbx\"", "type=\"other\"").replace(
        "<nodes/>",
        "<nodes><node id=\"1\" uname=\"pbx01\"/><node id=\"2\" uname=\"a\"/></nodes>",
    );
    let plan = Plan::of(&lan(), &cib).unwrap();
    assert!(!plan.is_empty());
    assert_snapshot!(plan.text(None));
}

const NODES: &str = "<nodes><node id=\"1\" uname=\"PBX01\"/><node id=\"2\" uname=\"pbx02\"/>\
    <node id=\"3\" uname=\"Pbx03\"/><node id=\"r\" uname=\"far\" type=\"remote\"/></nodes>";

#[test]
fn names_of_nodes_are_compared_as_pacemaker_compares_them() {
    let cib = made(&lan()).replace("<nodes/>", NODES);
    assert_eq!(refusals(&lan(), &cib), "");
}

#[test]
fn a_node_that_no_device_would_know_is_refused() {
    let boards = lan_with(BOARDS);
    let cib = made(&boards).replace("<nodes/>", NODES);
    assert_eq!(refusals(&boards, &cib), "");
    let more = cib.replace("</nodes>", "<node id=\"4\" uname=\"pbx04\"/></nodes>");
    let said = refusals(&boards, &more);
    assert!(
        said.contains("'pbx04'")
            && said.contains("pcs cluster node remove pbx04")
            && said.contains("sudo pcs cluster node clear pbx04"),
        "{said}"
    );
    assert!(
        said.contains("write it into vars.yml (pbx04_...). Or, if it has left for good"),
        "{said}"
    );
    // A watchdog resets every node.
    let cib = made(&lan()).replace("<nodes/>", NODES);
    let more = cib.replace("</nodes>", "<node id=\"4\" uname=\"pbx04\"/></nodes>");
    assert_eq!(refusals(&lan(), &more), "");
}

#[test]
fn without_quorum_nothing_is_changed() {
    let cib = made(&lan()).replacen("<cib ", "<cib have-quorum=\"1\" ", 1);
    let slower = cib.replace("timeout=\"300s\"", "timeout=\"301s\"");
    assert!(!changed(&lan(), &slower).changes.is_empty());
    let lost = slower.replace("have-quorum=\"1\"", "have-quorum=\"0\"");
    let said = refusals(&lan(), &lost);
    assert!(
        said.starts_with("the cluster has no quorum: ")
            && said.contains("help: sudo pcs quorum status"),
        "{said}"
    );
}

#[test]
fn where_sbd_does_not_run_its_timeout_is_not_set() {
    let cib = render::cib(&lan()).replace("<nodes/>", NODES);
    let said = refusals(&lan(), &cib);
    assert!(said.contains("SBD does not run"), "{said}");
    let first = "<cluster_property_set id=\"cib-bootstrap-options\">";
    let runs = "<nvpair id=\"h\" name=\"have-watchdog\" value=\"true\"/>";
    let cib = cib.replace(first, &format!("{first}{runs}"));
    let plan = changed(&lan(), &cib);
    assert_eq!(plan.changes, ["property stonith-watchdog-timeout 10s: new"]);
}

#[test]
fn an_old_schema_is_refused_with_what_to_do() {
    let at = |schema: &str| made(&lan()).replace("pacemaker-3.7", schema);
    for old in ["pacemaker-1.2", "pacemaker-2.10", "pacemaker-3.6"] {
        let said = refusals(&lan(), &at(old));
        assert!(
            said.contains(old) && said.contains("cibadmin --upgrade --force"),
            "{said}"
        );
    }
    for new in ["pacemaker-3.7", "pacemaker-3.10", "pacemaker-4.0", "none"] {
        assert_eq!(refusals(&lan(), &at(new)), "", "{new}");
    }
}

#[test]
fn only_the_configuration_says_which_ids_are_taken() {
    let without = |id: &str, status: &str| {
        let empty = "<cib><configuration><crm_config/><nodes/><resources/><constraints/>";
        let tag = format!("<tags><tag id=\"{id}\"><obj_ref id=\"x\"/></tag></tags>");
        format!("{empty}{tag}</configuration><status>{status}</status></cib>")
    };
    let remembered = "<node_state id=\"1\"><lrm id=\"1\"><lrm_resources><lrm_resource id=\"vip\"/>\
                      </lrm_resources></lrm></node_state>";
    assert_eq!(refusals(&lan(), &without("theirs", remembered)), "");
    let said = refusals(&lan(), &without("vip", ""));
    assert!(said.contains("there is a 'vip' already"), "{said}");
}

#[test]
fn what_is_no_cib_is_an_error() {
    for text in ["", "<html/>", "<cib/>"] {
        assert!(Plan::of(&lan(), text).is_err(), "{text}");
    }
}

fn transition(actions: &[(&str, &str, &str)]) -> Transition {
    let action = |(operation, resource, node): &(&str, &str, &str)| Action::Operation {
        resource: (*resource).to_owned(),
        operation: (*operation).to_owned(),
        node: (*node).to_owned(),
    };
    let instance = |resource: &str| Instance {
        resource: resource.to_owned(),
        role: "Started".to_owned(),
        node: Some("n1".to_owned()),
        blocked: false,
    };
    let all: Vec<Instance> = ["vip", "fs", "pbx"].map(instance).into();
    Transition {
        actions: actions.iter().map(action).collect(),
        before: all.clone(),
        after: all,
        online: BTreeSet::new(),
        cib: String::new(),
    }
}

#[test]
fn only_what_is_done_for_the_change_is_told() {
    let anyway = transition(&[("start", "other", "n2")]);
    let nothing = effects::effects(&anyway, &anyway);
    let starts_anyway =
        "nothing would restart; what Pacemaker starts, it starts without the change too";
    assert_eq!(nothing, [starts_anyway]);
    let idle = transition(&[]);
    assert_eq!(effects::effects(&idle, &idle), ["nothing would restart"]);
    let with = transition(&[
        ("start", "other", "n2"),
        ("stop", "pbx", "n1"),
        ("stop", "vip", "n1"),
        ("stop", "fs", "n1"),
        ("start", "vip", "n1"),
        ("start", "fs", "n2"),
        ("start", "pbx", "n1"),
        ("reload-agent", "new", "n1"),
    ]);
    assert_eq!(
        effects::effects(&anyway, &with),
        [
            "would reload: new on n1",
            "would restart: vip, pbx on n1",
            "would move: fs from n1 to n2",
        ]
    );
}
