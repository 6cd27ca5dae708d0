//! cib-gen asks EC2 for what vars.yml does not say.

use std::time::Duration;

use lab::ec2::{CallFault, Injection};
use lab::site::{self, INSTANCES};

use crate::node::{Answer, Site};

/// The vendor's newer guide, which names neither the virtual address nor the Elastic IP's.
fn newer() -> String {
    let [one, two, three] = INSTANCES.map(|instance| instance.id);
    format!(
        "pbx01_instance_id: {one}\npbx02_instance_id: {two}\npbx03_instance_id: {three}\n\
         eip_allocation_id: {}\nebs_volume_id: {}\npbx_image: portsip/pbx:22\n\
         ssh_private_key_file: /home/ubuntu/.ssh/x.pem\n",
        site::EIP_ALLOCATION,
        site::VOLUME_ID
    )
}

fn cib_gen(site: &Site, format: &str, vars: &str) -> Answer {
    let script = format!("printf '%s' '{vars}' | $AGENT --format {format} -");
    site.inside(0, "cib-gen", &script)
}

#[test]
fn what_the_newer_guide_leaves_out_is_known_to_ec2() {
    let site = Site::new();
    let unknown = cib_gen(&site, "pcs", &newer()).expect(2);
    assert!(
        unknown.stderr.contains("error[E26]") && unknown.stderr.contains("the instances have none"),
        "{unknown:?}"
    );

    // Once the cluster has run, the address is on an interface and the Elastic IP leads to it.
    site.assign_vip(INSTANCES[1].eni);
    let secondary = cib_gen(&site, "pcs", &newer()).expect(0);
    let vip = format!("ip={}", site::VIP);
    let eip = format!("elastic_ip={}", site::EIP);
    for text in [&vip, &eip, INSTANCES[2].hostname, "region=us-west-1"] {
        assert!(
            secondary.stdout.contains(text),
            "{text}: {}",
            secondary.stdout
        );
    }
    let short = format!("{}private_vip_address: {}\n", newer(), site::VIP);
    let written = cib_gen(&site, "pcs", &short).expect(0);
    assert_eq!(
        written.stdout, secondary.stdout,
        "what is written and what is found differ"
    );
}

#[test]
fn an_address_of_another_allocation_is_told() {
    let site = Site::new();
    let text = format!(
        "{}private_vip_address: {}\neip_address: 54.151.30.77\n",
        newer(),
        site::VIP
    );
    let lacking = text.replace(&format!("private_vip_address: {}\n", site::VIP), "");
    let right = format!("eip_address: {}", site::EIP);
    let whole = whole().replace(&right, "eip_address: 54.151.30.77");
    for text in [text, lacking, whole] {
        let answer = cib_gen(&site, "pcs", &text).expect(2);
        assert!(answer.stderr.contains("error[E21]"), "{answer:?}");
        assert!(answer.stdout.is_empty());
    }
}

#[test]
fn an_id_that_ec2_does_not_know_is_an_error_at_its_key() {
    let site = Site::new();
    let volume = (site::VOLUME_ID, "vol-0e06e1e9da3c49b76", "ebs_volume_id");
    let allocation = (
        site::EIP_ALLOCATION,
        "eipalloc-02c7cf64a5cd449fc",
        "eip_allocation_id",
    );
    for (right, wrong, key) in [volume, allocation] {
        for vars in [complete(), whole(), newer()] {
            let answer = cib_gen(&site, "pcs", &vars.replace(right, wrong)).expect(2);
            let said = &answer.stderr;
            assert!(
                said.contains("error[E27]: EC2 in us-west-1 has no")
                    && said.contains(&format!(" | {key}: {wrong}\n"))
                    && said.contains("--profile"),
                "{said}"
            );
            assert!(answer.stdout.is_empty());
        }
        let vars = complete().replace(right, wrong);
        for arguments in [
            "--format cib",
            "--format json",
            "--format iam-policy",
            "--format security-group",
            "apply --dry-run",
            "simulate",
        ] {
            let script = format!("printf '%s' '{vars}' | $AGENT {arguments} -");
            let answer = site.inside(0, "cib-gen", &script).expect(2);
            assert!(
                answer.stderr.contains("error[E27]"),
                "{arguments}: {answer:?}"
            );
        }
    }
}

#[test]
fn a_volume_of_another_zone_is_an_error() {
    let site = Site::new();
    let other = "vol-0a0a0a0a0a0a0a0a0";
    site.ec2.add_volume(other, "us-west-1a").unwrap();
    for vars in [complete(), whole()] {
        let answer = cib_gen(&site, "pcs", &vars.replace(site::VOLUME_ID, other)).expect(2);
        let said = format!("{other} is in us-west-1a, and {}", INSTANCES[0].id);
        assert!(
            answer.stderr.contains("error[E27]") && answer.stderr.contains(&said),
            "{answer:?}"
        );
    }
}

#[test]
fn a_look_at_the_volume_or_the_elastic_ip_that_is_refused_is_a_warning() {
    let site = Site::new();
    nat(&site);
    for (action, what) in [
        ("DescribeVolumes", "whether EC2 has the volume"),
        ("DescribeAddresses", "whether EC2 has the Elastic IP"),
    ] {
        site.ec2
            .inject(Injection::of(CallFault::Denied).on(&[action]));
        let said = warnings(&site, &whole());
        let begins = format!("WARNING: could not look {what}");
        assert!(
            said.len() == 1 && said[0].starts_with(&begins) && said[0].contains("iam-policy"),
            "{said:?}"
        );
        site.ec2.clear_faults();
    }
}

#[test]
fn an_elastic_ip_that_leads_elsewhere_is_told() {
    let site = Site::new();
    nat(&site);
    let (instance, interface) = ("i-0000000000000000a", "eni-0000000000000000a");
    let address = "172.31.16.200".parse().unwrap();
    site.ec2
        .add_interface(instance, interface, "02:00:00:00:00:aa", address)
        .unwrap();
    let elsewhere = [
        ("AllocationId", site::EIP_ALLOCATION),
        ("NetworkInterfaceId", interface),
    ];
    site.call("AssociateAddress", &elsewhere);
    let said = warnings(&site, &whole());
    let told = format!("is associated with the instance {instance}, which is none of the nodes");
    assert!(said.len() == 1 && said[0].contains(&told), "{said:?}");
}

#[test]
fn credentials_that_may_not_stop_the_instances_are_told_with_whose_they_are() {
    let site = Site::new();
    nat(&site);
    site.ec2
        .inject(Injection::of(CallFault::Denied).on(&["StopInstances"]));
    let of_fencing = warnings(&site, &whole());
    assert!(
        of_fencing.len() == 1
            && of_fencing[0].starts_with("WARNING: ")
            && INSTANCES.iter().all(|node| of_fencing[0].contains(node.id))
            && of_fencing[0].contains("of the instance role")
            && of_fencing[0].contains("a lost node could not be fenced"),
        "{of_fencing:?}"
    );
    // An administrator's own credentials do not fence.
    let keys = "export AWS_ACCESS_KEY_ID=AKIDLAB AWS_SECRET_ACCESS_KEY=secret";
    let script = format!("{keys}; printf '%s' '{}' | $AGENT -", whole());
    let own = site.inside(0, "cib-gen", &script).expect(0).stderr;
    assert!(
        own.lines().count() == 1
            && own.starts_with("NOTE: ")
            && own.contains("of the environment")
            && own.contains("were not looked at"),
        "{own}"
    );
    let unfenced = format!("{}fencing: none\n", whole());
    let unfenced = warnings(&site, &unfenced);
    let told = unfenced.iter().any(|line| line.contains("fenced"));
    assert!(!told, "{unfenced:?}");
}

#[test]
fn to_look_whether_an_instance_may_be_stopped_stops_none() {
    let site = Site::new();
    nat(&site);
    assert_eq!(warnings(&site, &whole()), Vec::<String>::new());
    assert_eq!(site.calls("StopInstances"), INSTANCES.len());
    let all = site.call("DescribeInstances", &[]);
    assert_eq!(all.matches("<name>running</name>").count(), INSTANCES.len());
}

#[test]
fn without_ec2_the_help_says_from_where_else_the_names_come_and_soon() {
    let site = Site::new();
    site.ec2.inject(Injection::of(CallFault::Hanging));
    let script = format!("printf '%s' '{}' | $AGENT apply --dry-run -", newer());
    let answer = site.inside(0, "cib-gen", &script).expect(1);
    assert!(answer.took < Duration::from_secs(12), "{:?}", answer.took);
    for said in [
        "--nodes",
        "pbx01_hostname",
        "/etc/corosync/corosync.conf",
        "pcs stonith config",
    ] {
        assert!(answer.stderr.contains(said), "{said}: {answer:?}");
    }
}

#[test]
fn a_region_variable_that_is_empty_names_no_region() {
    let site = Site::new();
    let vars = newer().replace(INSTANCES[2].id, "i-00000000000000000");
    let script = format!("export AWS_REGION=; printf '%s' '{vars}' | $AGENT -");
    let answer = site.inside(0, "cib-gen", &script).expect(1);
    assert!(answer.stderr.contains("EC2 in us-west-1 has"), "{answer:?}");
}

/// The newer guide's file with the one address that a new site cannot know.
fn complete() -> String {
    format!("{}private_vip_address: {}\n", newer(), site::VIP)
}

/// The warnings of a look-up that succeeds, one a line.
fn warnings(site: &Site, vars: &str) -> Vec<String> {
    let answer = cib_gen(site, "pcs", vars).expect(0);
    let lines = answer.stderr.lines();
    lines.map(str::to_owned).collect()
}

/// A NAT gateway in the place of the Internet gateway.
fn nat(site: &Site) {
    let route = [
        ("RouteTableId", "rtb-0a1f3c5e7b9d2f4a1"),
        ("DestinationCidrBlock", "0.0.0.0/0"),
        ("NatGatewayId", "nat-0123456789abcdef0"),
    ];
    site.call("ReplaceRoute", &route);
}

#[test]
fn what_ec2_does_not_answer_is_said_with_what_to_do() {
    let site = Site::new();
    let other = newer().replace(INSTANCES[2].id, "i-00000000000000000");
    let answer = cib_gen(&site, "pcs", &other).expect(1);
    for said in [
        "pbx03 (i-00000000000000000): there is none of that id",
        "us-west-1",
        "Replacing a node",
        "--region",
        "--nodes",
    ] {
        assert!(answer.stderr.contains(said), "{said}: {answer:?}");
    }
    assert!(!answer.stderr.contains(INSTANCES[0].id), "{answer:?}");
    assert!(answer.stdout.is_empty());
}

#[test]
fn an_instance_that_is_terminated_is_an_error_of_its_own() {
    let site = Site::new();
    site.call("TerminateInstances", &[("InstanceId.1", INSTANCES[1].id)]);
    site.wait("it is terminated", || {
        let all = site.call("DescribeInstances", &[]);
        all.contains("<name>terminated</name>")
    });
    let answer = cib_gen(&site, "pcs", &complete()).expect(1);
    let said = format!("pbx02 ({}): it is terminated", INSTANCES[1].id);
    assert!(
        answer.stderr.contains(&said) && answer.stderr.contains("Replacing a node"),
        "{answer:?}"
    );
    assert!(answer.stdout.is_empty());
}

#[test]
fn an_instance_that_fencing_cannot_stop_is_told_where_there_is_fencing() {
    let site = Site::new();
    nat(&site);
    assert_eq!(warnings(&site, &complete()), Vec::<String>::new());
    let protected = [
        ("InstanceId", INSTANCES[1].id),
        ("DisableApiStop.Value", "true"),
    ];
    site.call("ModifyInstanceAttribute", &protected);
    let said = warnings(&site, &complete());
    let begins = format!(
        "WARNING: pbx02 ({}): EC2 is told never to stop it",
        INSTANCES[1].id
    );
    assert!(said.len() == 1 && said[0].starts_with(&begins), "{said:?}");
    let without = warnings(&site, &format!("{}fencing: none\n", complete()));
    let told = without.iter().any(|line| line.contains("never to stop"));
    assert!(!told, "{without:?}");
}

/// A file that leaves nothing to look up.
fn whole() -> String {
    let nodes = INSTANCES.iter().enumerate().map(|(n, node)| {
        let (name, address) = (node.hostname, node.private_ip);
        format!(
            "pbx0{0}_hostname: {name}\npbx0{0}_private_ip: {address}\n",
            n + 1
        )
    });
    let nodes: String = nodes.collect();
    format!(
        "{}{nodes}eip_address: {}\nregion: us-west-1\n",
        complete(),
        site::EIP
    )
}

#[test]
fn a_file_that_says_everything_is_looked_at_too() {
    let site = Site::new();
    nat(&site);
    let protected = [
        ("InstanceId", INSTANCES[2].id),
        ("DisableApiStop.Value", "true"),
    ];
    site.call("ModifyInstanceAttribute", &protected);
    let said = warnings(&site, &whole());
    assert!(
        said.len() == 1 && said[0].starts_with("WARNING: pbx03"),
        "{said:?}"
    );
    site.call("TerminateInstances", &[("InstanceId.1", INSTANCES[1].id)]);
    site.wait("it is terminated", || {
        let all = site.call("DescribeInstances", &[]);
        all.contains("<name>terminated</name>")
    });
    let said = warnings(&site, &whole());
    let gone = format!("pbx02 ({}): it is terminated", INSTANCES[1].id);
    assert!(
        said.len() == 2 && said[0].contains(&gone) && said[1].starts_with("WARNING: pbx03"),
        "{said:?}"
    );
}

#[test]
fn a_file_that_says_everything_needs_no_ec2() {
    let site = Site::new();
    nat(&site);
    let with = cib_gen(&site, "pcs", &whole()).expect(0);
    assert_eq!(with.stderr, "");
    for fault in [
        CallFault::Hanging,
        CallFault::Unavailable,
        CallFault::Denied,
    ] {
        site.ec2.inject(Injection::of(fault));
        let without = cib_gen(&site, "pcs", &whole()).expect(0);
        assert_eq!(without.stdout, with.stdout, "{fault:?}");
        let note = without.stderr.lines().collect::<Vec<_>>();
        assert!(
            note.len() == 1 && note[0].starts_with("NOTE: not looked at"),
            "{fault:?}: {note:?}"
        );
        assert!(without.took < Duration::from_secs(20), "{:?}", without.took);
        site.ec2.clear_faults();
    }
    // What configures nothing asks nobody.
    site.ec2.inject(Injection::of(CallFault::Denied));
    assert_eq!(cib_gen(&site, "json", &whole()).expect(0).stderr, "");
}

#[test]
fn a_node_that_a_stop_takes_the_way_to_ec2_from_is_told() {
    let site = Site::new();
    let lent = warnings(&site, &complete());
    assert!(
        lent.len() == 1
            && INSTANCES.iter().all(|node| lent[0].contains(node.id))
            && lent[0].contains("is lent by EC2"),
        "{lent:?}"
    );
    // The cluster's own Elastic IP is no node's own.
    let own = [
        ("AllocationId", site::EIP_ALLOCATION),
        ("InstanceId", INSTANCES[0].id),
    ];
    site.call("AssociateAddress", &own);
    let moves = warnings(&site, &complete());
    let cluster = moves.iter().find(|line| line.contains("which moves away"));
    assert!(
        moves.len() == 2 && cluster.is_some_and(|line| line.contains(INSTANCES[0].id)),
        "{moves:?}"
    );
}

#[test]
fn an_endpoint_for_ec2_is_a_way() {
    let site = Site::new();
    let mut endpoint = [
        ("VpcId", site::VPC_ID),
        ("ServiceName", "com.amazonaws.us-west-1.s3"),
        ("VpcEndpointType", "Interface"),
    ];
    site.call("CreateVpcEndpoint", &endpoint);
    assert_eq!(warnings(&site, &complete()).len(), 1);
    endpoint[1].1 = "com.amazonaws.us-west-1.ec2";
    site.call("CreateVpcEndpoint", &endpoint);
    assert_eq!(warnings(&site, &complete()), Vec::<String>::new());
}

#[test]
fn a_look_that_is_refused_is_a_warning() {
    let site = Site::new();
    for action in ["DescribeInstanceAttribute", "DescribeRouteTables"] {
        site.ec2
            .inject(Injection::of(CallFault::Denied).on(&[action]));
    }
    let said = warnings(&site, &complete());
    let refused = said.iter().filter(|line| {
        line.starts_with("WARNING: could not look") && line.contains("UnauthorizedOperation")
    });
    assert_eq!(refused.count(), 2, "{said:?}");
    assert!(
        said.iter().any(|line| line.contains("is lent by EC2")),
        "{said:?}"
    );
}

#[test]
fn what_the_volume_is_called_is_the_instances_business() {
    let site = Site::new();
    nat(&site);
    let asked = format!("{}ebs_device: /dev/sdg\n", complete());
    let answer = cib_gen(&site, "pcs", &asked).expect(0);
    for wanted in [
        "device=/dev/sdg",
        "device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0",
    ] {
        assert!(
            answer.stdout.contains(wanted),
            "{wanted}: {}",
            answer.stdout
        );
    }
    let xen = format!("{}ebs_device: /dev/xvdg\n", complete());
    let answer = cib_gen(&site, "pcs", &xen).expect(2);
    assert!(
        answer.stderr.contains("is not a Xen instance (c5.xlarge)"),
        "{answer:?}"
    );
}
