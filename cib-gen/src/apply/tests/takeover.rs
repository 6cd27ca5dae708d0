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

/// The vendor's containers may have the Elastic IP as IP_ADDRESS, and they serve.
#[test]
fn a_pbx_whose_address_does_not_change_is_not_asked_for_the_address_of_its_containers() {
    let about_address = |plan: Plan| {
        let questions = plan.questions();
        let pbx = questions.iter().find(|it| it.resource == "pbx").unwrap();
        assert!(pbx.command.to_string().contains("data_path="));
        pbx.command.to_string().contains("ip_address=")
    };
    assert!(!about_address(changed(&aws_with(""), &aws())));
    let ours = made(&aws_with(""));
    let moved = ours.replace("172.31.16.130", "172.31.16.140");
    assert!(about_address(changed(&aws_with(""), &moved)));
    let no_pbx = Plan::of(
        &aws_with(""),
        &super::made(&aws_with("")).replace("id=\"pbx\"", "id=\"x\""),
    );
    assert!(about_address(no_pbx.unwrap()));
}

#[test]
fn a_group_of_ours_is_dissolved_and_what_the_user_has_set_on_it_stays() {
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
        .replace(
            "</resources>",
            "<meta_attributes id=\"m\"><nvpair id=\"m-t\" name=\"target-role\" value=\"Stopped\"/>\
             <nvpair id=\"m-m\" name=\"is-managed\" value=\"false\"/></meta_attributes></group></resources>",
        )
        .replace(
            "type=\"pbx\">",
            "type=\"pbx\"><meta_attributes id=\"p\"><nvpair id=\"p-t\" name=\"target-role\" value=\"Started\"/>\
             </meta_attributes>",
        );
    assert!(cib.contains("id=\"p-t\""), "{cib}");
    let plan = changed(&aws_with(""), &cib);
    let text = plan.new.to_string();
    assert!(!text.contains("<group"), "{text}");
    assert!(
        text.contains("<rsc_location id=\"l\" rsc=\"pbx\""),
        "{text}"
    );
    for line in [
        "all: deleted",
        "eip: target-role Stopped: new",
        "eip: is-managed false: new",
        "pbx: is-managed false: new",
    ] {
        let has = plan.changes.iter().any(|change| change == line);
        assert!(has, "no `{line}` in {:?}", plan.changes);
    }
    assert_eq!(
        text.matches("name=\"target-role\" value=\"Stopped\"")
            .count(),
        6,
        "{text}"
    );
    assert_eq!(
        text.matches("name=\"is-managed\" value=\"false\"").count(),
        7,
        "{text}"
    );
}

#[test]
fn maintenance_begins_and_ends_with_a_mark_of_ours_and_the_users_own_stays() {
    let cluster = aws_with("");
    let plan = Plan::of(&cluster, &aws()).unwrap();
    let takeover = plan.takeover.clone().unwrap();
    let configuration = plan.new.need("configuration").unwrap();
    let begun = takeover.begin(configuration);
    let mark = "<nvpair id=\"portsip-takeover\" name=\"maintenance-mode\" value=\"true\"/>";
    assert!(begun.to_string().contains(mark), "{begun}");
    assert_eq!(end(&begun), *configuration);
    assert_eq!(takeover.begin(&begun), begun);

    // An interrupted run: everything is pushed, and the mark is there.
    let again = interrupted(&plan, &begun);
    assert!(!again.is_empty(), "{again:?}");
    let takeover = again.takeover.unwrap();
    assert!(
        takeover.interrupted && takeover.probed.len() == 7,
        "{takeover:?}"
    );
}

/// What is left to do after a run that ended when it had begun.
fn interrupted(plan: &Plan, begun: &Element) -> Plan {
    let mut cib = plan.new.clone();
    *cib.child_or_new("configuration") = begun.clone();
    Plan::of(&aws_with(""), &cib.to_string()).unwrap()
}

/// The vendor's cluster in a maintenance mode that the user has set with this value.
fn in_maintenance(value: &str) -> String {
    let own = format!(
        "<nvpair id=\"mine\" name=\"maintenance-mode\" value=\"{value}\"/></cluster_property_set>"
    );
    aws().replace("</cluster_property_set>", &own)
}

#[test]
fn the_users_maintenance_mode_stays_and_an_interrupted_takeover_in_it_is_recognized() {
    for value in ["true", "Yes", "y", "ON", "1"] {
        let plan = Plan::of(&aws_with(""), &in_maintenance(value)).unwrap();
        assert!(plan.in_users_maintenance, "{value}");
        assert_eq!(plan.left_alone, ["the cluster"]);
        let takeover = plan.takeover.clone().unwrap();
        let configuration = plan.new.need("configuration").unwrap();
        let begun = takeover.begin(configuration);
        assert_eq!(
            begun
                .to_string()
                .matches("name=\"maintenance-mode\"")
                .count(),
            1,
            "{begun}"
        );
        assert_eq!(end(&begun), *configuration);
        let again = interrupted(&plan, &begun);
        assert!(
            again.takeover.as_ref().unwrap().interrupted && again.in_users_maintenance,
            "{again:?}"
        );
    }
    for value in ["false", "off", "0", "perhaps"] {
        let plan = Plan::of(&aws_with(""), &in_maintenance(value)).unwrap();
        assert!(!plan.in_users_maintenance, "{value}");
        let begun = (plan.takeover.unwrap()).begin(plan.new.need("configuration").unwrap());
        assert!(
            begun
                .to_string()
                .contains("id=\"portsip-takeover\" name=\"maintenance-mode\""),
            "{begun}"
        );
        assert!(!begun.to_string().contains("id=\"mine\""), "{begun}");
    }
}

#[test]
fn a_takeover_whose_maintenance_the_user_has_ended_is_over_and_its_mark_goes() {
    let users = Plan::of(&aws_with(""), &in_maintenance("true")).unwrap();
    let ours = Plan::of(&aws_with(""), &aws()).unwrap();
    for (plan, from, to) in [
        // pcs property set maintenance-mode=false, and maintenance-mode=
        (
            &ours,
            "name=\"maintenance-mode\" value=\"true\"",
            "name=\"maintenance-mode\" value=\"false\"",
        ),
        (
            &users,
            "<nvpair id=\"mine\" name=\"maintenance-mode\" value=\"true\"/>",
            "",
        ),
    ] {
        let takeover = plan.takeover.as_ref().unwrap();
        let mut cib = plan.new.clone();
        let begun = takeover.begin(cib.need("configuration").unwrap());
        *cib.child_or_new("configuration") = begun;
        let text = cib.to_string();
        assert!(text.contains(from), "{text}");
        let after = changed(&aws_with(""), &text.replace(from, to));
        assert_eq!(after.takeover, None);
        assert_eq!(after.changes.len(), 1, "{:?}", after.changes);
        assert!(!after.new.to_string().contains("portsip-takeover"));
    }
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
