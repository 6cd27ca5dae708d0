//! The volume, the addresses and the security group.

use cib_gen::ec2_facts::AddressHolder;

use super::*;

#[test]
fn the_volume_has_to_be_one_that_a_node_can_have_alone() {
    let volume = |change: fn(&mut cib_gen::ec2_facts::VolumeAnswer)| {
        told(|it| change(it.answers.volume.as_mut().unwrap()))
    };
    let error = Level::Error;
    let found = volume(|it| it.zone = "us-west-1b".to_owned());
    only(
        &found,
        "aws.volume-zone",
        error,
        "it is in us-west-1b",
        "snapshot",
    );
    let found = volume(|it| it.state = "error".to_owned());
    only(
        &found,
        "aws.volume-state",
        error,
        "its state is error",
        "--volume-ids vol-0e06",
    );
    let found = volume(|it| it.attached_to.push("i-9".to_owned()));
    let command = "detach-volume --region us-west-1 --volume-id vol-0e06";
    only(
        &found,
        "aws.volume-state",
        error,
        "attached to i-9",
        command,
    );
    let found = volume(|it| it.kind = "st1".to_owned());
    only(
        &found,
        "aws.volume-type",
        Level::Warning,
        "st1",
        "--volume-type gp3",
    );
    let found = volume(|it| it.multi_attach = true);
    only(
        &found,
        "aws.multi-attach",
        error,
        "two nodes",
        "--no-multi-attach-enabled",
    );
    let found = volume(|it| it.attached_to.clear());
    only(
        &found,
        "aws.encryption",
        Level::Note,
        "a key of AWS",
        "kms:CreateGrant",
    );
    let found = told(|it| {
        it.answers.volume = Err(Refusal {
            denied: false,
            not_found: true,
            said: "EC2 says InvalidVolume.NotFound".to_owned(),
        });
    });
    only(
        &found,
        "aws.volume-state",
        error,
        "NotFound",
        "correct ebs_volume_id",
    );
}

#[test]
fn the_addresses_have_to_be_the_clusters() {
    let held = |instance: Option<&str>, primary| {
        told(|it| {
            it.answers.vip = Ok(Some(AddressHolder {
                interface: "eni-7".to_owned(),
                instance: instance.map(str::to_owned),
                primary,
                description: "a load balancer".to_owned(),
            }));
        })
    };
    assert_eq!(held(Some(IDS[1]), false), [], "a node has it");
    let command = "private_vip_address";
    let error = Level::Error;
    only(
        &held(None, false),
        "aws.vip",
        error,
        "eni-7 (a load balancer) has it",
        command,
    );
    only(
        &held(Some(IDS[1]), true),
        "aws.vip",
        error,
        "primary address",
        command,
    );
    for outside in ["10.0.0.1", "172.31.16.2", "172.31.31.255"] {
        let found = told(|it| it.vip = Some(outside.parse().unwrap()));
        only(
            &found,
            "aws.vip",
            error,
            "not in the subnet 172.31.16.0/20",
            command,
        );
    }
    let found = told(|it| it.elastic_ip.as_mut().unwrap().leads_to = Some("i-9".to_owned()));
    only(
        &found,
        "aws.elastic-ip",
        Level::Warning,
        "leads to i-9",
        "eip_allocation_id",
    );
    let found = told(|it| it.mistakes = Some("error[E17]: no\n".to_owned()));
    only(&found, "aws.vars", error, "error[E17]: no", "vars.yml");
    let found = told(|it| {
        it.mistakes = Some("error[E17]: no\n".to_owned());
        it.vip = Some("10.0.0.1".parse().unwrap());
    });
    only(&found, "aws.vip", error, "not in the subnet", command);
}

#[test]
fn what_the_security_group_lacks_is_named() {
    let without = |protocol: &'static str, port: i32| {
        told(move |it| {
            let rules = it.answers.rules.as_mut().unwrap();
            rules.retain(|rule| rule.protocol != protocol || rule.ports.unwrap().0 != port);
        })
    };
    let command =
        "sudo cib-gen --format security-group /etc/portsip/vars.yml | sh -s sg-0e2bea9ea4033f893";
    let found = without("udp", 5060);
    let text = "sg-0e2bea9ea4033f893 does not let in 5060/udp from 0.0.0.0/0 (pbx sip/udp)";
    only(&found, "aws.ports", Level::Warning, text, command);
    assert_eq!(found.len(), 1, "{found:#?}");
    only(
        &without("icmp", 3),
        "aws.ports",
        Level::Note,
        "icmp type 3 code 4",
        command,
    );
    let found = without("udp", 0);
    let text = "does not let ip-172-31-16-133 in on 5405/udp";
    let errors = found.iter().filter(|it| it.level == Level::Error);
    assert_eq!(errors.count(), 6, "each node to each other: {found:#?}");
    assert!(found.iter().any(|it| it.found.contains(text)), "{found:#?}");
    // The members of a group stand for the addresses of the VPC.
    let found = told(|it| {
        for rule in it.answers.rules.as_mut().unwrap() {
            if rule.ports == Some((0, 65535)) {
                rule.from.clear();
                rule.from_groups = vec![rule.group.clone()];
            }
        }
    });
    assert_eq!(found, []);
    // Everything, from anywhere.
    let found = told(|it| {
        let rules = it.answers.rules.as_mut().unwrap();
        rules.truncate(1);
        rules[0].protocol = "-1".to_owned();
        rules[0].ports = None;
    });
    assert_eq!(found, []);
}
