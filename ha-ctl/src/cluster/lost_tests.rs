#![allow(clippy::unwrap_used)]

use super::super::notices::of;
use super::super::state::tests::DEAD;
use super::super::{Configuration, State};
use super::*;

const NODE: &str = "ip-172-31-16-133";

fn on_ec2() -> Configuration {
    let xml = format!(
        r#"<configuration><resources>
        <primitive id="fencing" class="stonith" type="fence_aws"><instance_attributes id="i">
        <nvpair id="a" name="region" value="us-west-1"/>
        <nvpair id="b" name="pcmk_host_map" value="{NODE}:i-1;ip-172-31-16-134:i-2;ip-172-31-16-135:i-3"/>
        </instance_attributes></primitive></resources></configuration>"#
    );
    Configuration::parse(&xml).unwrap()
}

fn notices(state: &State, configuration: Option<&Configuration>, lost: &LostSince) -> Vec<Notice> {
    of(&Seen {
        state,
        configuration,
        facts: &[],
        missing: &[],
        lost,
    })
}

fn named<'a>(notices: &'a [Notice], name: &str, about: &str) -> &'a Notice {
    let mut named = notices.iter();
    let named = named.find(|it| it.name == name && it.about == about);
    named.unwrap_or_else(|| panic!("no {name} of {about} in {notices:#?}"))
}

#[test]
fn since_when_a_node_is_lost_is_read() {
    let lost = lost_since("1764454000\nn1 1764453905.123456\nn2\nn3 nonsense\n");
    assert_eq!(lost.len(), 1);
    assert_eq!(lost["n1"].as_secs(), 95);
    // A clock that was set back meanwhile.
    assert!(lost_since("100\nn1 200\n").is_empty());
    assert!(lost_since("").is_empty());
}

#[test]
fn a_fencing_that_goes_on_is_no_error_until_it_takes_too_long() {
    let mut state = State::parse(DEAD).unwrap();
    state.nodes[0].unclean = true;
    let configuration = on_ec2();
    for (seconds, level, help) in [
        (20, Level::Warning, false),
        (55, Level::Warning, false),
        (95, Level::Error, true),
    ] {
        let lost = LostSince::from([(NODE.to_owned(), Duration::from_secs(seconds))]);
        let found = notices(&state, Some(&configuration), &lost);
        let unclean = named(&found, "node.unclean", NODE);
        assert_eq!(unclean.level, level);
        assert!(
            unclean
                .text
                .contains(&format!("for {seconds} s, and not fenced yet"))
        );
        assert_eq!(unclean.command.is_some(), help);
    }
    let found = notices(&state, Some(&configuration), &LostSince::new());
    let command = named(&found, "node.unclean", NODE).command.clone().unwrap();
    assert!(command.starts_with("ha-ctl check --only aws "), "{command}");
    let found = notices(&state, None, &LostSince::new());
    let command = named(&found, "node.unclean", NODE).command.clone().unwrap();
    assert!(command.contains("docs/lan.md"), "{command}");
    // What the journal has of an earlier loss does not concern one that is online.
    state.nodes[0].online = true;
    let lost = LostSince::from([(NODE.to_owned(), Duration::from_secs(9000))]);
    let found = notices(&state, Some(&configuration), &lost);
    let unclean = named(&found, "node.unclean", NODE);
    assert!(
        unclean.text.contains("something there did not stop"),
        "{}",
        unclean.text
    );
    assert_eq!(unclean.level, Level::Warning);
}

#[test]
fn a_node_that_is_off_is_told_with_what_starts_it() {
    let state = State::parse(DEAD).unwrap();
    let off = |configuration: Option<&Configuration>| {
        let found = notices(&state, configuration, &LostSince::new());
        named(&found, "node.takeover", NODE)
            .command
            .clone()
            .unwrap()
    };
    assert_eq!(
        off(Some(&on_ec2())),
        format!(
            "aws ec2 start-instances --region us-west-1 --instance-ids i-1   (if the machine runs: sudo pcs cluster \
             start {NODE})"
        )
    );
    assert!(off(None).starts_with(&format!("sudo pcs cluster start {NODE}   (")));
}

#[test]
fn without_a_majority_nobody_is_fenced_and_what_brings_one_back_is_said() {
    let mut state = State::parse(DEAD).unwrap();
    state.quorum = false;
    state.nodes[2].online = false;
    state.nodes[2].unclean = true;
    let found = notices(&state, Some(&on_ec2()), &LostSince::new());
    let command = named(&found, "cluster.quorum", "cluster").command.clone();
    let command = command.unwrap();
    assert!(
        command.starts_with("aws ec2 start-instances --region us-west-1 --instance-ids i-1 i-3 "),
        "{command}"
    );
    let unclean = named(&found, "node.unclean", "ip-172-31-16-135");
    assert_eq!(unclean.level, Level::Warning);
    assert!(unclean.text.contains("without a majority fences nobody"));
}
