//! What a takeover makes of the vendor's configurations, as far as that needs no scheduler.

use super::*;

/// The vendor's configuration after `cibadmin --upgrade`, of which the tests of the command run the real one.
fn vendors(file: &str) -> String {
    let schema = file
        .split("validate-with=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    file.replacen(schema, "pacemaker-3.9", 1)
}

fn aws() -> String {
    let names = [("133", "pbx01"), ("134", "pbx02"), ("135", "pbx03")];
    let cib = vendors(include_str!("../../../tests/vendor/aws.xml"));
    names.iter().fold(cib, |cib, (number, name)| {
        cib.replace(&format!("ip-172-31-16-{number}"), name)
    })
}

#[test]
fn the_vendors_clusters_become_ours() {
    let lan_file = vendors(include_str!("../../../tests/vendor/lan.xml"));
    for (cluster, cib) in [
        (aws_with(""), aws()),
        (lan_with("fencing: none\n"), lan_file),
    ] {
        let plan = changed(&cluster, &cib);
        assert!(plan.takeover.is_some());
        let text = plan.new.to_string();
        for constraint in &cluster.constraints {
            assert!(
                text.contains(&format!("id=\"{}\"", constraint.id)),
                "{text}"
            );
        }
        for gone in ["colocation-", "order-", "<master", "drbd_devpath_master\""] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
    }
}

#[test]
fn only_what_gets_another_agent_or_parameter_is_probed() {
    let takeover = Plan::of(&aws_with(""), &aws()).unwrap().takeover.unwrap();
    assert_eq!(
        takeover.probed,
        ["privip", "vip", "ebs", "datapath_fs", "pbx"]
    );
    assert!(!takeover.interrupted);
}

#[test]
fn a_group_of_ours_is_dissolved_and_a_constraint_of_the_users_follows_pbx() {
    let constraints = aws()
        .split("<constraints>")
        .nth(1)
        .unwrap()
        .split("</constraints>")
        .next()
        .unwrap()
        .to_owned();
    let cib = aws()
        .replace(
            &constraints,
            "<rsc_location id=\"l\" rsc=\"all\" node=\"pbx01\" score=\"5\"/>",
        )
        .replace("<resources>", "<resources><group id=\"all\">")
        .replace("</resources>", "</group></resources>");
    let plan = changed(&aws_with(""), &cib);
    let text = plan.new.to_string();
    assert!(!text.contains("<group"), "{text}");
    assert!(
        text.contains("<rsc_location id=\"l\" rsc=\"pbx\""),
        "{text}"
    );
    assert!(
        plan.changes.contains(&"all: deleted".to_owned()),
        "{:?}",
        plan.changes
    );
}

#[test]
fn maintenance_begins_and_ends_with_a_mark_of_ours_and_the_users_own_stays() {
    let cluster = aws_with("");
    let plan = Plan::of(&cluster, &aws()).unwrap();
    let takeover = plan.takeover.unwrap();
    let configuration = plan.new.need("configuration").unwrap();
    let begun = takeover.begin(configuration);
    let mark = "<nvpair id=\"portsip-takeover\" name=\"maintenance-mode\" value=\"true\"/>";
    assert!(begun.to_string().contains(mark), "{begun}");
    assert_eq!(takeover.end(&begun), *configuration);

    // An interrupted run: everything is pushed, and the mark is there.
    let mut cib = plan.new.clone();
    *cib.child_or_new("configuration") = begun;
    let again = Plan::of(&cluster, &cib.to_string()).unwrap();
    assert!(
        again.is_interrupted_takeover() && !again.is_empty(),
        "{again:?}"
    );
    assert_eq!(again.takeover.unwrap().probed.len(), 7);

    let own =
        "<nvpair id=\"mine\" name=\"maintenance-mode\" value=\"true\"/></cluster_property_set>";
    let users = aws().replace("</cluster_property_set>", own);
    let plan = Plan::of(&cluster, &users).unwrap();
    let takeover = plan.takeover.unwrap();
    let configuration = plan.new.need("configuration").unwrap();
    assert_eq!(takeover.end(&takeover.begin(configuration)), *configuration);
}

#[test]
fn an_agent_that_does_the_same_work_is_replaced_and_another_is_refused() {
    for (agent, refused) in [("awsvip", false), ("Dummy", true)] {
        let cib = made(&aws_with("")).replace(
            "provider=\"portsip\" type=\"awsvip\"",
            &format!("provider=\"heartbeat\" type=\"{agent}\""),
        );
        let plan = Plan::of(&aws_with(""), &cib).unwrap();
        assert_eq!(!plan.refusals.is_empty(), refused, "{plan:?}");
        assert_eq!(plan.takeover, None);
    }
}
