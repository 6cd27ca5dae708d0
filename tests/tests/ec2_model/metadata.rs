//! The metadata service.

use lab::site;

use crate::client::{N1, Site};

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";

#[test]
fn nothing_is_told_without_a_token() {
    let site = Site::new();
    let path = "/latest/meta-data/instance-id";
    assert_eq!(site.metadata("GET", path, "").status, 401);
    let forged = "X-aws-ec2-metadata-token: forged\r\n";
    assert_eq!(site.metadata("GET", path, forged).status, 401);
    assert_eq!(site.metadata("POST", path, "").status, 405);
}

#[test]
fn a_token_needs_a_lifetime_of_a_second_to_six_hours() {
    let site = Site::new();
    let status = |headers: &str| site.metadata("PUT", "/latest/api/token", headers).status;
    assert_eq!(status(""), 400);
    for (ttl, expected) in [
        ("0", 400),
        ("21601", 400),
        ("soon", 400),
        ("1", 200),
        ("21600", 200),
    ] {
        assert_eq!(status(&format!("{TTL}: {ttl}\r\n")), expected, "{ttl}");
    }
    assert_eq!(
        status(&format!("{TTL}: 60\r\nX-Forwarded-For: 10.0.0.1\r\n")),
        403
    );
}

#[test]
fn a_token_ends_with_its_lifetime() {
    let site = Site::new();
    let token = site
        .metadata("PUT", "/latest/api/token", &format!("{TTL}: 1\r\n"))
        .body;
    let header = format!("X-aws-ec2-metadata-token: {token}\r\n");
    let status = || {
        site.metadata("GET", "/latest/meta-data/mac", &header)
            .status
    };
    assert_eq!(status(), 200);
    crate::client::wait("the token ends", || status() == 401);
}

#[test]
fn an_instance_learns_who_and_where_it_is() {
    let site = Site::new();
    let mac = site::INSTANCES[0].mac;
    let interface = format!("meta-data/network/interfaces/macs/{mac}");
    let name = "ip-172-31-16-133.us-west-1.compute.internal";
    let cases = [
        ("meta-data/instance-id", N1),
        ("meta-data/placement/region", site::REGION),
        ("meta-data/placement/availability-zone", site::ZONE),
        ("meta-data/mac", mac),
        ("meta-data/local-ipv4", "172.31.16.133"),
        ("meta-data/public-ipv4", "54.183.20.133"),
        ("meta-data/local-hostname", name),
        ("meta-data/hostname", name),
        (&format!("{interface}/interface-id"), site::INSTANCES[0].eni),
        (
            &format!("{interface}/subnet-ipv4-cidr-block"),
            site::SUBNET_CIDR,
        ),
        (&format!("{interface}/device-number"), "0"),
        (&format!("{interface}/vpc-id"), site::VPC_ID),
        (
            &format!("{interface}/ipv4-associations/54.183.20.133"),
            "172.31.16.133",
        ),
    ];
    for (path, expected) in cases {
        assert_eq!(site.document(path).as_deref(), Ok(expected), "{path}");
    }
    let document = site.document("dynamic/instance-identity/document").unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["region"], site::REGION);
}

#[test]
fn directories_are_listed_with_a_slash_behind_directories() {
    let site = Site::new();
    let mac = site::INSTANCES[0].mac;
    let macs = "meta-data/network/interfaces/macs/";
    assert_eq!(site.document(macs).unwrap(), format!("{mac}/"));
    let interface = site.document(&format!("{macs}{mac}/")).unwrap();
    let entries: Vec<&str> = interface.lines().collect();
    assert!(
        entries.contains(&"local-ipv4s") && entries.contains(&"ipv4-associations/"),
        "{interface}"
    );
    assert_eq!(
        site.document(&format!("{macs}{mac}//interface-id"))
            .unwrap(),
        site::INSTANCES[0].eni,
        "upstream's awseip puts a slash of its own behind a name from the listing"
    );
    assert_eq!(
        site.document("meta-data/iam/security-credentials/")
            .unwrap(),
        site::ROLE
    );
    assert_eq!(site.document("").unwrap(), "dynamic\nmeta-data");
    assert_eq!(site.document("meta-data/no-such-thing"), Err(404));
}
