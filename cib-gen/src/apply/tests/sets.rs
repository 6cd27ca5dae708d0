//! Sets of name-value pairs that hold sometimes are somebody's own.

use super::*;

/// Out of working hours, said by the user.
const RULE: &str = "<rule id=\"r\" score=\"0\" boolean-op=\"and\"><date_expression id=\"e\" \
    operation=\"date_spec\"><date_spec id=\"d\" hours=\"0-5\"/></date_expression></rule>";

/// A set with a rule that has all the right values, and the same again with wrong ones.
fn with_rules(of: &str, pairs: &str) -> String {
    let set = |n: u32, pairs: &str| {
        let pairs = pairs.replace(" id=\"", &format!(" id=\"{n}-"));
        let rule = RULE.replace("id=\"", &format!("id=\"{n}-{of}-"));
        format!("<{of} id=\"night-{n}-{of}\">{rule}{pairs}</{of}>")
    };
    let wrong = pairs.replace("value=\"", "value=\"7");
    set(1, pairs) + &set(2, &wrong)
}

/// What stands between two texts.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

#[test]
fn what_holds_sometimes_is_left_alone_and_ours_stands_beside_it() {
    let right = made(&lan());
    for (of, section, id) in [
        ("meta_attributes", "rsc_defaults", "portsip-defaults"),
        (
            "cluster_property_set",
            "crm_config",
            "cib-bootstrap-options",
        ),
        (
            "instance_attributes",
            "primitive id=\"vip\"",
            "vip-instance_attributes",
        ),
    ] {
        let open = format!("<{of} id=\"{id}\">");
        let close = format!("</{of}>");
        let pairs = between(&right, &open, &close);
        let sometimes = with_rules(of, pairs);
        let set = format!("{open}{pairs}{close}");
        assert_eq!(right.matches(&set).count(), 1, "{section}: {set}");
        let cib = right.replace(&set, &sometimes);
        let plan = changed(&lan(), &cib);
        assert!(!plan.changes.is_empty(), "{section} was taken for right");

        let new = Element::parse(&plan.new.to_string()).unwrap();
        let old = Element::parse(&cib).unwrap();
        let sets = |cib: &Element, sometimes: bool| -> Vec<String> {
            let all = cib.all().into_iter();
            let all = all.filter(|e| e.name == of && e.child("rule").is_some() == sometimes);
            all.map(ToString::to_string).collect()
        };
        assert_eq!(
            sets(&new, true),
            sets(&old, true),
            "{section}: the user's changed"
        );
        let always = sets(&new, false);
        assert!(
            always
                .iter()
                .any(|set| set.contains(&format!("id=\"{id}\""))),
            "{always:?}"
        );
    }
}

#[test]
fn a_set_that_refers_to_another_is_left_alone() {
    let right = made(&lan());
    let open = "<meta_attributes id=\"portsip-defaults\">";
    let pairs = between(&right, open, "</meta_attributes>");
    let set = format!("{open}{pairs}</meta_attributes>");
    let cib = right.replace(&set, "<meta_attributes id-ref=\"theirs\"/>");
    let plan = changed(&lan(), &cib);
    assert_eq!(plan.changes.len(), 3, "{:?}", plan.changes);
    assert!(
        plan.new
            .to_string()
            .contains("<meta_attributes id-ref=\"theirs\"/>")
    );
}

#[test]
fn no_set_that_always_holds_has_another_value() {
    let right = made(&lan());
    let open = "<meta_attributes id=\"portsip-defaults\">";
    let theirs = "<meta_attributes id=\"theirs\"><nvpair id=\"t\" name=\"resource-stickiness\" \
                  value=\"0\"/><nvpair id=\"p\" name=\"priority\" value=\"7\"/></meta_attributes>";
    let plan = changed(&lan(), &right.replace(open, &format!("{theirs}{open}")));
    assert_eq!(plan.changes, ["default resource-stickiness: 0 -> 100"]);
    assert!(
        plan.new
            .to_string()
            .contains("name=\"priority\" value=\"7\"")
    );
}
