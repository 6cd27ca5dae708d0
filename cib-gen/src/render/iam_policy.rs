//! The IAM policy of the nodes: what the agents, fence_aws and cib-gen call, on this site's
//! resources and on nothing else. The vendor's guide gives AmazonEC2FullAccess instead.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Error;
use crate::ids::Region;
use crate::mistake::{Code, Mistake, Mistakes};
use crate::site::{AwsFencing, AwsSite, Place, Site};
use crate::vars::FencingAction;

/// What describe calls there are, and who makes them. Where the Service Authorization Reference
/// has no resource type for an action, a policy has to allow it on `*`.
const DESCRIBE: &[&str] = &[
    "ec2:DescribeAddresses",         // awseip, cib-gen
    "ec2:DescribeInstances",         // awsebs, fence_aws, cib-gen, the stock awsvip
    "ec2:DescribeNetworkInterfaces", // awsvip, awseip
    "ec2:DescribeRouteTables",       // cib-gen: has each node a way to EC2? Only a warning needs it
    "ec2:DescribeSubnets",           // cib-gen
    "ec2:DescribeVolumes",           // awsebs
    "ec2:DescribeVpcEndpoints",      // cib-gen, as the route tables
];

/// The policy, as `aws iam create-policy --policy-document` takes it.
///
/// Where EC2 was not asked (`--offline`), an ARN has `*` for the account and for the
/// interfaces; without a region it has `*` there too. A policy can hold no comment, so the name
/// of such a statement says it. What a volume that is encrypted with a key of the customer's own
/// needs besides (`kms:CreateGrant` and others, on that key) belongs into the key's policy.
///
/// # Errors
/// A LAN has no IAM.
pub fn iam_policy(site: &Site) -> Result<String, Error> {
    let Place::Aws(aws) = &site.place else {
        return Err(Error::NotHere(Mistakes::elsewhere(Mistake::elsewhere(
            Code::NotHere,
            "this is a LAN site, and a LAN site has no IAM policy: nothing on its nodes calls AWS",
            "another --format; `iam-policy` is for a vars.yml of the AWS system",
        ))));
    };
    super::pretty(&Policy {
        version: "2012-10-17",
        statement: statements(aws),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    /// IAM allows letters and digits.
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<BTreeMap<&'static str, BTreeMap<&'static str, String>>>,
}

fn allow(sid: &'static str, action: &[&'static str], resource: Vec<String>) -> Statement {
    Statement {
        sid,
        effect: "Allow",
        action: action.to_vec(),
        resource,
        condition: None,
    }
}

/// The statements. Resource types and condition keys of each action are those of the Service
/// Authorization Reference, "Actions, resources, and condition keys for Amazon EC2"
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>);
/// a type with `*` is required there.
fn statements(aws: &AwsSite) -> Vec<Statement> {
    let arn = |kind: &str, id: &dyn std::fmt::Display| {
        let region = aws.region.as_ref().map_or("*".into(), Region::to_string);
        let account = aws.account.as_ref().map_or("*".into(), ToString::to_string);
        let partition = partition(aws.region.as_ref());
        format!("arn:{partition}:ec2:{region}:{account}:{kind}/{id}")
    };
    let instances: Vec<String> = (aws.instances.iter())
        .map(|id| arn("instance", id))
        .collect();
    let any_interface = aws.interfaces.is_empty();
    let interfaces: Vec<String> = match any_interface {
        true => vec![arn("network-interface", &"*")],
        false => (aws.interfaces.iter())
            .map(|id| arn("network-interface", id))
            .collect(),
    };

    // No resource types; the only condition key is ec2:Region.
    let mut look = allow("Look", DESCRIBE, vec!["*".to_owned()]);
    look.condition = aws.region.as_ref().map(|region| {
        let key = BTreeMap::from([("ec2:Region", region.to_string())]);
        BTreeMap::from([("StringEquals", key)])
    });

    // AttachVolume: instance*, volume*. DetachVolume: instance, volume*.
    let volume = std::iter::once(arn("volume", &aws.volume));
    let mut statements = vec![
        look,
        allow(
            "MoveTheVolume",
            &["ec2:AttachVolume", "ec2:DetachVolume"],
            volume.chain(instances.clone()).collect(),
        ),
    ];

    // AssociateAddress: elastic-ip, instance, network-interface. DisassociateAddress:
    // elastic-ip, network-interface.
    let elastic_ip = std::iter::once(arn("elastic-ip", &aws.allocation));
    statements.push(allow(
        match any_interface {
            false => "MoveTheElasticIp",
            true => "MoveTheElasticIpToAnyInterface",
        },
        &["ec2:AssociateAddress", "ec2:DisassociateAddress"],
        elastic_ip
            .chain(instances.clone())
            .chain(interfaces.clone())
            .collect(),
    ));

    // Both: network-interface*. No key says which address.
    statements.push(allow(
        match any_interface {
            false => "MoveTheVirtualAddress",
            true => "MoveTheVirtualAddressOnAnyInterface",
        },
        &[
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        ],
        interfaces,
    ));

    // DescribeInstanceAttribute: instance*. cib-gen looks whether fencing may stop the instances. Other
    // attributes, such as user data, are not its business, but no key tells them apart.
    if let AwsFencing::Ec2(_) = aws.fencing {
        statements.push(allow(
            "LookAtStopProtection",
            &["ec2:DescribeInstanceAttribute"],
            instances.clone(),
        ));
    }

    // Both: instance*. fence_aws stops by StopInstances with Force, and starts by StartInstances.
    statements.extend(match aws.fencing {
        AwsFencing::Ec2(FencingAction::Off) => {
            Some(allow("FenceByStopping", &["ec2:StopInstances"], instances))
        }
        AwsFencing::Ec2(FencingAction::Reboot) => Some(allow(
            "FenceByStoppingAndStarting",
            &["ec2:StartInstances", "ec2:StopInstances"],
            instances,
        )),
        AwsFencing::None => None,
    });
    statements
}

/// The partition that a region is of (botocore, `data/partitions.json`). No ARN may have `*`
/// there, so a region that is not known is taken for one of the public partition.
fn partition(region: Option<&Region>) -> &'static str {
    const BY_PREFIX: &[(&str, &str)] = &[
        ("us-gov-", "aws-us-gov"),
        ("cn-", "aws-cn"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
    ];
    let region = region.map(Region::to_string).unwrap_or_default();
    let found = BY_PREFIX.iter().find(|(p, _)| region.starts_with(p));
    found.map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;

    use super::super::sites::{asked, aws, aws_of, lan};
    use super::*;

    /// IAM's limit for a managed policy, in characters that are no white space (IAM User Guide,
    /// "IAM and AWS STS quotas").
    const MOST: usize = 6144;

    fn policy(site: &Site) -> (String, serde_json::Value) {
        let text = iam_policy(site).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    /// Every action of the policy.
    fn actions(site: &Site) -> Vec<String> {
        let (_, value) = policy(site);
        let statements = value["Statement"].as_array().unwrap().clone();
        let actions = statements
            .iter()
            .flat_map(|s| s["Action"].as_array().unwrap().clone());
        actions.map(|a| a.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn policy_of_the_vendors_file() {
        assert_snapshot!(policy(&aws("region: us-west-1\n")).0);
    }

    #[test]
    fn policy_of_the_vendors_file_when_ec2_was_asked() {
        assert_snapshot!(policy(&asked(&aws("region: us-west-1\n"))).0);
    }

    #[test]
    fn nothing_can_be_changed_but_on_this_sites_resources() {
        let site = asked(&aws("region: us-west-1\n"));
        let (_, value) = policy(&site);
        for statement in value["Statement"].as_array().unwrap() {
            for action in statement["Action"].as_array().unwrap() {
                let action = action.as_str().unwrap();
                assert!(!action.contains('*'), "{action}");
                for resource in statement["Resource"].as_array().unwrap() {
                    let open = resource.as_str().unwrap().contains('*');
                    assert_eq!(open, DESCRIBE.contains(&action), "{statement}");
                }
            }
        }
    }

    #[test]
    fn the_nodes_may_start_an_instance_only_where_fencing_starts_one() {
        let has = |more: &str, action: &str| actions(&aws(more)).iter().any(|a| a == action);
        let (start, stop) = ("ec2:StartInstances", "ec2:StopInstances");
        assert!(has("", stop) && !has("", start));
        let reboot = "fencing_action: reboot\n";
        assert!(has(reboot, stop) && has(reboot, start));
        let none = "fencing: none\n";
        assert!(!has(none, stop) && !has(none, start));
    }

    #[test]
    fn stop_protection_is_looked_at_where_fencing_stops_instances() {
        let look = "ec2:DescribeInstanceAttribute".to_owned();
        assert!(actions(&aws("")).contains(&look));
        assert!(!actions(&aws("fencing: none\n")).contains(&look));
    }

    #[test]
    fn nine_nodes_fit_into_a_managed_policy() {
        for region in ["us-west-1", "us-gov-west-1"] {
            let site = aws_of(9, &format!("region: {region}\nfencing_action: reboot\n"));
            let (text, _) = policy(&asked(&site));
            let counted = text.chars().filter(|c| !c.is_whitespace()).count();
            assert!(counted <= MOST, "{region}: {counted}");
        }
    }

    #[test]
    fn the_partition_is_that_of_the_region() {
        for (region, partition) in [
            ("us-west-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-north-1", "aws-cn"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            let (text, _) = policy(&aws(&format!("region: {region}\n")));
            let arn = format!("\"arn:{partition}:ec2:{region}:*:volume/");
            assert!(text.contains(&arn), "{arn} is not in {text}");
        }
        let (text, _) = policy(&aws(""));
        assert!(text.contains("\"arn:aws:ec2:*:*:volume/"), "{text}");
        assert!(!text.contains("Condition"), "{text}");
    }

    #[test]
    fn names_of_statements_are_as_iam_wants_them() {
        for site in [aws(""), asked(&aws("fencing_action: reboot\n"))] {
            let (_, value) = policy(&site);
            for statement in value["Statement"].as_array().unwrap() {
                let sid = statement["Sid"].as_str().unwrap();
                assert!(sid.chars().all(|c| c.is_ascii_alphanumeric()), "{sid}");
            }
        }
    }

    #[test]
    fn a_lan_has_no_policy() {
        let refused = iam_policy(&lan("")).unwrap_err().to_string();
        assert!(refused.starts_with("error[E25]: "), "{refused}");
        assert!(refused.contains("LAN"), "{refused}");
    }
}
