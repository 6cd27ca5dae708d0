//! The checks of EC2's answers, on what a node of the lab was told, with one thing changed.

mod resources;

use cib_gen::ec2_facts::{CallAnswer, Ec2Facts, GoneInstance, Refusal, Way};

use super::*;

const FACTS: &str = include_str!("../../../tests/recorded/ec2-facts.json");
const IDS: [&str; 3] = [
    "i-08807c762627239b8",
    "i-03411641c37513049",
    "i-0c301db1a53ae3a4b",
];

/// The facts of a site that is as it should be: each node has a way of its own, and one has the volume.
fn facts(node: usize) -> Ec2Facts {
    let mut facts: Ec2Facts = serde_json::from_str(FACTS).unwrap();
    facts.answers.here = Some(IDS[node].to_owned());
    for (_, way) in &mut facts.ways {
        *way = Way::Own;
    }
    let volume = facts.answers.volume.as_mut().unwrap();
    volume.attached_to = vec![IDS[0].to_owned()];
    facts
}

/// What is found where every node is told this.
fn told(change: impl Fn(&mut Ec2Facts)) -> Vec<Finding> {
    let nodes: Vec<Inspection> = names()
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let mut facts = facts(n);
            change(&mut facts);
            let mut inspection = node(name, &good());
            inspection.ec2 = Some(Ok(facts));
            inspection
        })
        .collect();
    found_on(&nodes)
}

fn found_on(nodes: &[Inspection]) -> Vec<Finding> {
    let instances = IDS.map(|id| (id.to_owned(), None));
    let site = Site {
        machines: &machines(),
        instances: &instances,
        volume: Some("vol-0e06e1e9da3c49b67"),
        vars_file: Some("/etc/portsip/vars.yml"),
        ..Site::default()
    };
    found_in(nodes, &site)
}

#[track_caller]
fn only(found: &[Finding], name: &str, level: Level, text: &str, command: &str) {
    let first = found.first().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.iter().all(|it| it.name == name), "{found:#?}");
    assert_eq!(first.level, level, "{first:?}");
    assert!(first.found.contains(text), "{first:?}");
    let said = first.command.as_deref().unwrap_or_default();
    assert!(said.contains(command), "{first:?}");
}

fn refused(said: &str) -> Refusal {
    Refusal {
        denied: true,
        not_found: false,
        said: said.to_owned(),
    }
}

#[test]
fn a_site_that_is_as_it_should_be_has_no_findings() {
    assert_eq!(told(|_| {}), []);
}

#[test]
fn a_node_that_is_not_as_it_should_be_is_named() {
    let third = |found: &[Finding]| {
        assert_eq!(found[0].node.as_deref(), Some("ip-172-31-16-135"));
    };
    let found = told(|it| it.stop_protected = vec![IDS[2].to_owned()]);
    let command =
        "modify-instance-attribute --region us-west-1 --no-disable-api-stop --instance-id i-0c30";
    only(
        &found,
        "aws.stop-protection",
        Level::Error,
        "never to stop it",
        command,
    );
    third(&found);
    let instance = |it: &mut Ec2Facts, change: fn(&mut cib_gen::ec2_facts::InstanceAnswer)| {
        let mut instances = it.answers.instances.as_mut().unwrap().iter_mut();
        change(instances.find(|it| it.id == IDS[2]).unwrap());
    };
    let found = told(|it| instance(it, |it| it.spot = true));
    only(&found, "aws.spot", Level::Error, "spot", "on-demand");
    third(&found);
    let found = told(|it| instance(it, |it| it.metadata = false));
    only(
        &found,
        "aws.metadata",
        Level::Error,
        "turned off",
        "--http-endpoint enabled",
    );
    let found = told(|it| instance(it, |it| it.tokens_required = false));
    only(
        &found,
        "aws.metadata",
        Level::Note,
        "without a token",
        "--http-tokens required",
    );
    let found = told(|it| instance(it, |it| it.hop_limit = Some(64)));
    only(
        &found,
        "aws.metadata",
        Level::Note,
        "64 hops",
        "--http-put-response-hop-limit 1",
    );
    let found = told(|it| instance(it, |it| it.state = "shutting-down".to_owned()));
    only(
        &found,
        "aws.instances",
        Level::Error,
        "terminating",
        "Replacing a node",
    );
    third(&found);
    let found = told(|it| it.ways[2].1 = Way::Lent);
    let command = "--service-name com.amazonaws.us-west-1.ec2 --subnet-ids subnet-8cadc4e8";
    only(&found, "aws.way", Level::Warning, "lent by EC2", command);
    third(&found);
    let found = told(|it| it.ways[2].1 = Way::Moves);
    only(
        &found,
        "aws.way",
        Level::Warning,
        "cluster's own",
        "create-vpc-endpoint",
    );
}

#[test]
fn instances_that_are_gone_or_apart_are_named() {
    let gone = |terminated| {
        told(|it| {
            it.nodes.pop();
            it.gone = vec![GoneInstance {
                id: IDS[2].to_owned(),
                terminated,
            }];
        })
    };
    only(
        &gone(true),
        "aws.instances",
        Level::Error,
        "is terminated",
        "replace",
    );
    only(
        &gone(false),
        "aws.instances",
        Level::Error,
        "not known",
        "replace",
    );
    let found = told(|it| it.nodes[1].subnet = "subnet-1".to_owned());
    let text = "subnet: subnet-1 on ip-172-31-16-134";
    only(&found, "aws.subnet", Level::Error, text, "one subnet");
}

#[test]
fn the_machine_has_to_be_the_instance_of_vars_yml() {
    let named = |instances: &[(String, Option<String>)]| {
        let mut inspection = node("ip-172-31-16-133", &good());
        inspection.ec2 = Some(Ok(facts(0)));
        let site = Site {
            machines: &machines(),
            instances,
            ..Site::default()
        };
        found_in(&[inspection], &site)
    };
    let other = named(&[("i-1".to_owned(), None)]);
    let text = "the instance i-08807c762627239b8, which vars.yml does not have";
    only(
        &other,
        "aws.identity",
        Level::Error,
        text,
        "pbx01_instance_id",
    );
    let found = told(|it| it.answers.here = None);
    only(
        &found,
        "aws.identity",
        Level::Error,
        "metadata does not answer",
        "169.254.169.254",
    );
    let swapped = named(&[(IDS[0].to_owned(), Some("pbx02".to_owned()))]);
    let text = "which is pbx02 in vars.yml";
    only(
        &swapped,
        "aws.identity",
        Level::Error,
        text,
        "pbx01_instance_id",
    );
}

#[test]
fn what_the_nodes_may_not_do_is_named_with_whose_credentials() {
    let denied = |call: &str| CallAnswer {
        call: call.to_owned(),
        on: "vol-0e06e1e9da3c49b67".to_owned(),
        refused: Some(refused("EC2 says UnauthorizedOperation to role/pbx")),
    };
    let found = told(|it| {
        it.answers.calls = vec![denied("AttachVolume"), denied("DetachVolume")];
    });
    assert_eq!(found.len(), 3, "one for each node: {found:#?}");
    let text = "EC2 does not allow AttachVolume (vol-0e06e1e9da3c49b67), DetachVolume (vol-0e06e1e9da3c49b67): EC2 \
                says UnauthorizedOperation to role/pbx";
    let policy = "sudo cib-gen --format iam-policy /etc/portsip/vars.yml";
    only(&found, "aws.permissions", Level::Error, text, policy);
    let found = told(|it| it.answers.rules = Err(refused("EC2 says no")));
    only(
        &found,
        "aws.permissions",
        Level::Warning,
        "not looked at: EC2 says no",
        policy,
    );
}

#[test]
fn a_silent_ec2_is_no_finding_about_the_site() {
    let silent = || Refusal {
        denied: false,
        not_found: false,
        said: "EC2 did not answer in time".to_owned(),
    };
    let found = told(|it| {
        it.answers.volume = Err(silent());
        it.answers.rules = Err(silent());
    });
    only(
        &found,
        "aws.api",
        Level::Warning,
        "no answer: EC2 did not",
        "asks again",
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    let without = |why: NoFacts| {
        let mut inspection = node("ip-172-31-16-133", &good());
        inspection.ec2 = Some(Err(why));
        found_on(&[inspection])
    };
    let found = without(NoFacts::NotInstalled);
    only(
        &found,
        "aws.api",
        Level::Note,
        "not on the node yet",
        "apt install",
    );
    let found = without(NoFacts::Failed("no region".to_owned()));
    only(
        &found,
        "aws.api",
        Level::Error,
        "could not be asked: no region",
        "ec2-facts",
    );
}
