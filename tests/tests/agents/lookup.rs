//! cib-gen asks EC2 for what vars.yml does not say.

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
    // Nothing else is missing but the nodes' names, so EC2 is asked for those alone.
    cib_gen(&site, "pcs", &text).expect(0);
    let lacking = text.replace(&format!("private_vip_address: {}\n", site::VIP), "");
    let answer = cib_gen(&site, "pcs", &lacking).expect(2);
    assert!(answer.stderr.contains("error[E21]"), "{answer:?}");
}

#[test]
fn what_ec2_does_not_answer_is_said_with_what_to_do() {
    let site = Site::new();
    let other = newer().replace(INSTANCES[2].id, "i-00000000000000000");
    let answer = cib_gen(&site, "pcs", &other).expect(1);
    assert!(
        answer.stderr.contains("i-00000000000000000") && answer.stderr.contains("--nodes"),
        "{answer:?}"
    );
    assert!(answer.stdout.is_empty());
}
