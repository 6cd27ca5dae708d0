//! Whether Pacemaker manages the resource now. A recurring monitor also runs while it does not, and must not change
//! anything then: somebody works on the PBX.

use std::collections::BTreeSet;

use ec2::Deadline;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::pacemaker::{self, attribute};

/// Asks Pacemaker whether it manages the resource.
///
/// # Errors
/// Why Pacemaker does not manage the resource, or does not tell.
pub(super) async fn is_managed(resource: &str, deadline: Deadline) -> Result<(), String> {
    let failed =
        |why: &str| format!("Pacemaker does not tell whether it manages {resource}: {why}");
    let text = pacemaker::status(deadline)
        .await
        .map_err(|why| failed(&why))?;
    match judge(&text, resource) {
        Ok(None) => Ok(()),
        Ok(Some(reason)) => Err(reason),
        Err(why) => Err(failed(&why)),
    }
}

/// Why the resource is not managed, by the output of crm_mon; none if it is managed.
fn judge(status: &str, resource: &str) -> Result<Option<String>, String> {
    let mut reader = Reader::from_str(status);
    let mut in_maintenance = BTreeSet::new();
    let mut runs_on = BTreeSet::new();
    let mut found = false;
    let mut inside = false;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match &event {
            Event::Eof => break,
            Event::End(end) if end.name().as_ref() == "resource" => inside = false,
            Event::Start(element) | Event::Empty(element) => match element.name().as_ref() {
                "cluster_options" if is_true(element, "maintenance-mode") => {
                    return Ok(Some("the cluster is in maintenance mode".to_owned()));
                }
                "node" if is_true(element, "maintenance") => {
                    in_maintenance.extend(attribute(element, "name"));
                }
                "node" if inside => runs_on.extend(attribute(element, "name")),
                "resource" if is_of(element, resource) => {
                    (found, inside) = (true, matches!(event, Event::Start(_)));
                    if !is_true(element, "managed") || is_true(element, "maintenance") {
                        return Ok(Some(format!("{resource} is not managed by Pacemaker now")));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    if !found {
        return Err("crm_mon shows no such resource".to_owned());
    }
    let node = runs_on.intersection(&in_maintenance).next();
    Ok(node.map(|node| format!("the node {node} is in maintenance")))
}

/// An instance of a clone has its number after the name.
fn is_of(element: &BytesStart<'_>, resource: &str) -> bool {
    let name = |text: &str| text.split(':').next().map(str::to_owned);
    attribute(element, "id").is_some_and(|id| name(&id) == name(resource))
}

fn is_true(element: &BytesStart<'_>, name: &str) -> bool {
    attribute(element, name).is_some_and(|value| value == "true")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn status(cluster: &str, node: &str, managed: &str) -> String {
        format!(
            r#"<pacemaker-result api-version="2.25" request="crm_mon"><summary>
            <cluster_options stonith-enabled="true" maintenance-mode="{cluster}"/></summary>
            <nodes><node name="n1" id="1" online="true" maintenance="{node}"/>
            <node name="n2" id="2" online="true" maintenance="true"/></nodes>
            <resources><group id="g" number_resources="2" managed="true">
            <resource id="vip" managed="false" blocked="false"><node name="n1" id="1"/></resource>
            <resource id="pbx" role="Started" managed="{managed}" blocked="false" nodes_running_on="1">
            <node name="n1" id="1" cached="true"/></resource></group></resources></pacemaker-result>"#
        )
    }

    #[test]
    fn a_managed_resource_is_told_from_one_that_somebody_works_on() {
        let judge = |text: &str| judge(text, "pbx").unwrap();
        assert_eq!(judge(&status("false", "false", "true")), None);
        for (text, says) in [
            (status("true", "false", "true"), "maintenance mode"),
            (status("false", "true", "true"), "n1 is in maintenance"),
            (status("false", "false", "false"), "not managed"),
        ] {
            let reason = judge(&text).unwrap();
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_resource_is_an_error() {
        let text = status("false", "false", "true");
        for (text, resource) in [(text.as_str(), "other"), ("", "pbx"), ("<a><b></a>", "pbx")] {
            assert!(judge(text, resource).is_err(), "{text}");
        }
        assert_eq!(judge(&text, "pbx:0"), Ok(None));
    }
}
