//! `--format iam-policy`: the policy of the nodes. It allows what the agents, fence_aws and cib-gen call,
//! on the resources of this site only. The vendor's guide uses AmazonEC2FullAccess instead.

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Value, json};

use crate::Mistakes;
use crate::ids::Region;
use crate::site::{AwsFencing, AwsSite, Place, Site};
use crate::vars::FencingAction;

/// The describe calls and who makes them. EC2 has no resource type for them (Service Authorization
/// Reference), so a policy has to allow them on `*`.
const DESCRIBE: &[&str] = &[
    "ec2:DescribeAddresses",         // awseip, cib-gen
    "ec2:DescribeInstances",         // awsebs, fence_aws, cib-gen, the stock awsvip
    "ec2:DescribeNetworkInterfaces", // awsvip, awseip
    "ec2:DescribeRouteTables",       // cib-gen, to warn of a node without a route to EC2
    "ec2:DescribeSecurityGroups",    // cib-gen, for ha-ctl check and extend
    "ec2:DescribeSubnets",           // cib-gen
    "ec2:DescribeVolumes",           // awsebs, cib-gen
    "ec2:DescribeVpcEndpoints",      // cib-gen, as the route tables
];

/// What ha-ctl looks at with the operator's credentials.
const OPERATORS_DESCRIBE: &[&str] = &[
    "ec2:DescribeAddresses", // ha-ctl update, for the address that vars.yml does not name
    "ec2:DescribeInstances", // ha-ctl deploy, for the names of the nodes
    "ec2:DescribeSnapshots", // ha-ctl update
    "ec2:DescribeVolumes",   // ha-ctl grow, update
    "ec2:DescribeVolumesModifications", // ha-ctl grow
];

/// The policy for `aws iam create-policy --policy-document`.
///
/// Without an answer of EC2 (`--offline`) the ARNs have `*` for the account and the interfaces; without
/// a region also for the region. JSON has no comments, so the name of such a statement says it. A volume
/// that is encrypted with a key of the customer needs more (such as `kms:CreateGrant` on that key); this
/// belongs into the policy of the key.
pub fn iam_policy(site: &Site) -> Result<String, Mistakes> {
    policy(site, statements)
}

/// The policy of who operates the cluster: the rights that ha-ctl takes from the operator's own credentials, and that
/// the nodes do not have.
pub fn iam_policy_operator(site: &Site) -> Result<String, Mistakes> {
    policy(site, operators_statements)
}

fn policy(
    site: &Site,
    statements: impl Fn(&AwsSite) -> Vec<Statement>,
) -> Result<String, Mistakes> {
    let Place::Aws(aws) = &site.place else {
        return Err(super::not_here(
            "this is a LAN site, and a LAN site has no IAM policy: nothing on its nodes calls AWS",
            "another --format; `iam-policy` is for a vars.yml of the AWS system",
        ));
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
    action: &'static [&'static str],
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

/// The statements. Each comment has the resource types of the actions from the Service Authorization
/// Reference, "Actions, resources, and condition keys for Amazon EC2"
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>);
/// `*` means required there.
fn statements(aws: &AwsSite) -> Vec<Statement> {
    let arn = |kind: &str, id: &dyn Display| arn(aws, kind, id);
    let instances: Vec<String> = (aws.instances.iter())
        .map(|id| arn("instance", id))
        .collect();
    let mut interfaces: Vec<String> = (aws.interfaces.iter())
        .map(|id| arn("network-interface", id))
        .collect();
    let (mut elastic_ip_sid, mut vip_sid) = ("MoveTheElasticIp", "MoveTheVirtualAddress");
    if interfaces.is_empty() {
        interfaces.push(arn("network-interface", &"*"));
        elastic_ip_sid = "MoveTheElasticIpToAnyInterface";
        vip_sid = "MoveTheVirtualAddressOnAnyInterface";
    }
    let volume = vec![arn("volume", &aws.volume)];
    let elastic_ip = vec![arn("elastic-ip", &aws.allocation)];
    let mut statements = vec![
        look(aws, DESCRIBE),
        // AttachVolume: instance*, volume*. DetachVolume: instance, volume*.
        allow(
            "MoveTheVolume",
            &["ec2:AttachVolume", "ec2:DetachVolume"],
            &[&volume, &instances],
        ),
        // AssociateAddress: elastic-ip, instance, network-interface.
        // DisassociateAddress: elastic-ip, network-interface.
        allow(
            elastic_ip_sid,
            &["ec2:AssociateAddress", "ec2:DisassociateAddress"],
            &[&elastic_ip, &instances, &interfaces],
        ),
        // Both: network-interface*. No condition key restricts the address.
        allow(
            vip_sid,
            &[
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            ],
            &[&interfaces],
        ),
    ];
    if let AwsFencing::Ec2(action) = aws.fencing {
        // instance*. cib-gen checks whether fencing may stop the instances. No condition key restricts
        // the attribute, so the nodes can read others too, such as the user data.
        let attribute = &["ec2:DescribeInstanceAttribute"];
        statements.push(allow("LookAtStopProtection", attribute, &[&instances]));
        // Both: instance*. cib-gen asks for StopInstances by a dry run. fence_aws stops with StopInstances and Force, and starts with StartInstances.
        let (sid, actions): (_, &[_]) = match action {
            FencingAction::Off => ("FenceByStopping", &["ec2:StopInstances"]),
            FencingAction::Reboot => (
                "FenceByStoppingAndStarting",
                &["ec2:StartInstances", "ec2:StopInstances"],
            ),
        };
        statements.push(allow(sid, actions, &[&instances]));
    }
    statements
}

fn operators_statements(aws: &AwsSite) -> Vec<Statement> {
    let volume = vec![arn(aws, "volume", &aws.volume)];
    let instances = aws.instances.iter();
    let instances: Vec<String> = instances.map(|id| arn(aws, "instance", id)).collect();
    let volumes = vec![arn(aws, "volume", &"*")];
    let snapshots = vec![arn_without_account(aws, "snapshot", &"*")];
    vec![
        look(aws, OPERATORS_DESCRIBE),
        // ModifyVolume: volume*.
        allow("EnlargeTheVolume", &["ec2:ModifyVolume"], &[&volume]),
        // CreateSnapshot: snapshot*, volume*. The ARN of a snapshot has no account.
        allow(
            "KeepTheVolume",
            &["ec2:CreateSnapshot"],
            &[&volume, &snapshots],
        ),
        // CreateVolume: volume*, snapshot. A volume that does not exist yet has no id.
        allow(
            "MakeAVolumeFromASnapshot",
            &["ec2:CreateVolume"],
            &[&volumes, &snapshots],
        ),
        // CreateTags: snapshot, volume. With the call that makes them, and at no other time.
        Statement {
            condition: Some(json!({
                "StringEquals": { "ec2:CreateAction": ["CreateSnapshot", "CreateVolume"] }
            })),
            ..allow("NameThem", &["ec2:CreateTags"], &[&volumes, &snapshots])
        },
        // StartInstances: instance*. A fenced node stays off until then.
        allow("StartAFencedNode", &["ec2:StartInstances"], &[&instances]),
    ]
}

/// No resource types. The only condition key is ec2:Region.
fn look(aws: &AwsSite, calls: &'static [&'static str]) -> Statement {
    let region = aws.region.as_ref().map(Region::to_string);
    Statement {
        condition: region.map(|region| json!({ "StringEquals": { "ec2:Region": region } })),
        ..allow("Look", calls, &[&vec!["*".to_owned()]])
    }
}

fn allow(
    sid: &'static str,
    action: &'static [&'static str],
    resources: &[&Vec<String>],
) -> Statement {
    Statement {
        sid,
        effect: "Allow",
        action,
        resource: resources.iter().copied().flatten().cloned().collect(),
        condition: None,
    }
}

fn arn(aws: &AwsSite, kind: &str, id: &dyn Display) -> String {
    let account = aws.account.as_ref().map_or("*".into(), ToString::to_string);
    arn_of(aws, &account, kind, id)
}

fn arn_without_account(aws: &AwsSite, kind: &str, id: &dyn Display) -> String {
    arn_of(aws, "", kind, id)
}

fn arn_of(aws: &AwsSite, account: &str, kind: &str, id: &dyn Display) -> String {
    let region = aws.region.as_ref().map_or("*".into(), Region::to_string);
    let partition = partition(aws.region.as_ref());
    format!("arn:{partition}:ec2:{region}:{account}:{kind}/{id}")
}

/// The partition of a region (botocore, `data/partitions.json`). An ARN must not have `*` there, so an
/// unknown region is taken to be in the public partition.
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
    fn policy_of_the_operator_of_the_vendors_file() {
        let site = asked(&aws("region: us-west-1\n"));
        assert_snapshot!(iam_policy_operator(&site).unwrap());
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
