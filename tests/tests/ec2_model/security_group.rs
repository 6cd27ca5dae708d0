//! The security group: its rules are added and taken away one by one.

use lab::site::SECURITY_GROUP;

use crate::client::Site;

fn rule<'a>(protocol: &'a str, port: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("GroupId", SECURITY_GROUP),
        ("IpPermissions.1.IpProtocol", protocol),
        ("IpPermissions.1.FromPort", port),
        ("IpPermissions.1.ToPort", port),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ]
}

#[test]
fn a_rule_is_there_once_and_can_be_taken_away() {
    let site = Site::new();
    let of_group = [("GroupId.1", SECURITY_GROUP)];
    let ports = || {
        let groups = site.ok("DescribeSecurityGroups", &of_group);
        groups.all("fromPort")
    };
    assert!(ports().contains(&"5060".to_owned()));
    let sip = rule("udp", "5060");
    assert_eq!(
        site.refused("AuthorizeSecurityGroupIngress", &sip),
        "InvalidPermission.Duplicate"
    );
    site.ok("RevokeSecurityGroupIngress", &sip);
    assert!(!ports().contains(&"5060".to_owned()));
    assert_eq!(
        site.refused("RevokeSecurityGroupIngress", &sip),
        "InvalidPermission.NotFound"
    );
    site.ok("AuthorizeSecurityGroupIngress", &sip);
    assert!(ports().contains(&"5060".to_owned()));
    assert_eq!(
        site.refused("DescribeSecurityGroups", &[("GroupId.1", "sg-0")]),
        "InvalidGroup.NotFound"
    );
}
