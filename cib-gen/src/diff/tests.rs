#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::nodes::Known;
use crate::scheduler::{Action, Instance};
use crate::{Vars, render};
use insta::assert_snapshot;

fn lan() -> Cluster {
    let vars = Vars::parse("vars.yml", include_str!("../../tests/vars-lan.yml")).unwrap();
    Cluster::of(&vars.resolve(&Known::default()).unwrap())
}

fn changes(edit: impl Fn(String) -> String) -> String {
    let cib = edit(render::cib(&lan()).unwrap());
    let diff = Diff::of(&lan(), &cib).unwrap();
    assert_eq!(diff.refusals, Vec::<String>::new());
    let again = Diff::of(&lan(), &diff.cib.to_string()).unwrap();
    assert!(again.is_empty(), "it is not done with once: {again:?}");
    diff.changes.join("\n")
}

#[test]
fn what_is_as_it_is_wanted_is_left_alone() {
    assert_eq!(changes(|cib| cib), "");
    let diff = Diff::of(&lan(), &render::cib(&lan()).unwrap()).unwrap();
    assert_eq!(diff.text(None), "nothing would change\n");
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
    let diff = Diff::of(&lan(), empty).unwrap();
    assert!(!diff.has_status());
    assert!(diff.text(None).ends_with("nothing is known of restarts\n"));
}

#[test]
fn what_the_script_refuses_is_said_and_nothing_else() {
    let cib = render::cib(&lan()).unwrap();
    let cib = cib.replace("type=\"pbx\"", "type=\"other\"").replace(
        "<nodes/>",
        "<nodes><node id=\"1\" uname=\"pbx01\"/><node id=\"2\" uname=\"a\"/></nodes>",
    );
    let diff = Diff::of(&lan(), &cib).unwrap();
    assert!(!diff.is_empty());
    assert_snapshot!(diff.text(None));
}

#[test]
fn what_is_no_cib_is_an_error() {
    for text in ["", "<html/>", "<cib/>"] {
        assert!(Diff::of(&lan(), text).is_err(), "{text}");
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
    assert_eq!(nothing, ["nothing would restart"]);
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
