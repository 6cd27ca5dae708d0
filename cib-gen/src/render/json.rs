//! `--format json`: the site and the whole cluster, for other programs.

use serde::Serialize;
use serde_json::{Value, json};

use crate::Mistakes;
use crate::cluster::Cluster;
use crate::ids::FencingOptions;
use crate::site::{AwsFencing, AwsSite, LanFencing, LanSite, Place, Site};
use crate::vars::FencingAction;

/// The version of the document's shape. It changes when a field is removed or gets another meaning, not
/// when a field is added.
const SHAPE: u32 = 1;

/// The document: `shape`; `generator`, the program that wrote it; `site`, what vars.yml and EC2 say, with `null` for
/// what is not known; and `cluster`, the [`Cluster`] field by field. It contains no secret, only the names of files
/// with keys and passwords.
pub fn json(site: &Site, cluster: &Cluster) -> Result<String, Mistakes> {
    super::pretty(&Document {
        shape: SHAPE,
        generator: json!({ "name": "cib-gen", "version": env!("CARGO_PKG_VERSION") }),
        site: site_facts(site),
        cluster,
    })
}

#[derive(Serialize)]
struct Document<'a> {
    shape: u32,
    generator: Value,
    site: Value,
    cluster: &'a Cluster,
}

fn site_facts(site: &Site) -> Value {
    let nodes = site.nodes.iter();
    let nodes = nodes.map(|n| json!({ "name": n.name.to_string(), "address": n.address }));
    let (place, virtual_address, facts) = match &site.place {
        Place::Aws(aws) => ("aws", aws.vip, aws_facts(aws)),
        Place::Lan(lan) => ("lan", lan.vip, lan_facts(lan)),
    };
    json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "virtual_address": virtual_address,
        "pbx": {
            "image": site.pbx.image.to_string(),
            "data_path": site.pbx.data_path.to_string(),
            "sip_transport": site.pbx.sip_transport.to_string(),
            "sip_port": site.pbx.sip_port,
            "web_port": site.pbx.web_port,
        },
        place: facts,
    })
}

/// Instances and interfaces are in the order of the nodes. Without an answer of EC2 there are no
/// interfaces.
fn aws_facts(aws: &AwsSite) -> Value {
    json!({
        "region": text(&aws.region),
        "account": text(&aws.account),
        "instances": texts(&aws.instances),
        "interfaces": texts(&aws.interfaces),
        "elastic_ip": aws.elastic_ip.to_string(),
        "allocation": aws.allocation.to_string(),
        "volume": aws.volume.to_string(),
        "device": aws.device.mounted.to_string(),
        "subnet": text(&aws.subnet),
        "vpc": text(&aws.vpc),
        "admin": text(&aws.admin),
        "ssh_private_key_file": aws.ssh_private_key_file.to_string(),
        "fencing": match aws.fencing {
            AwsFencing::Ec2(action) => fencing("ec2", Some(action)),
            AwsFencing::None => fencing("none", None),
        },
    })
}

fn lan_facts(lan: &LanSite) -> Value {
    json!({
        "subnet": text(&lan.subnet),
        "disk": lan.disk.to_string(),
        "size": lan.size.to_string(),
        "size_bytes": lan.size.bytes(),
        "drbd": lan.drbd.to_string(),
        "fencing": match &lan.fencing {
            LanFencing::Watchdog => fencing("watchdog", None),
            LanFencing::None => fencing("none", None),
            LanFencing::Agent { agent, action, options, of_nodes } => {
                let mut fencing = fencing(&agent.to_string(), Some(*action));
                fencing["options"] = pairs(options);
                fencing["of_nodes"] = of_nodes.iter().map(pairs).collect();
                fencing
            }
        },
    })
}

/// `kind` is `ec2`, `watchdog`, `none` or the name of a fence agent. `options` are those of every
/// device, `of_nodes` those of the device of each node, in the order of the nodes.
fn fencing(kind: &str, action: Option<FencingAction>) -> Value {
    json!({ "kind": kind, "action": text(&action), "options": [], "of_nodes": [] })
}

fn pairs(options: &FencingOptions) -> Value {
    let pairs = options.iter();
    pairs
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

fn text(value: &Option<impl ToString>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;

    use super::super::sites::{aws, lan};
    use super::*;

    fn of(site: &Site) -> String {
        json(site, &Cluster::of(site)).unwrap()
    }

    #[test]
    fn model_of_the_vendors_file() {
        assert_snapshot!(of(&aws("region: us-west-1\n")));
    }

    #[test]
    fn model_of_a_lan() {
        assert_snapshot!(of(&lan("")));
    }

    #[test]
    fn the_top_of_the_document_stays_what_it_is() {
        for site in [aws(""), lan("")] {
            let text = of(&site);
            assert!(text.ends_with("}\n") && !text.ends_with("\n\n"));
            let keys: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("  \"")?.split('"').next())
                .collect();
            assert_eq!(keys, ["shape", "generator", "site", "cluster"]);
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["site"]["nodes"].as_array().unwrap().len(), 3);
            assert_eq!(document["cluster"]["corosync"]["name"], "ha_cluster");
        }
    }

    #[test]
    fn a_fence_agents_options_are_told_by_node() {
        let options = "fencing: fence_ipmilan\nfencing_options: lanplus=1\n\
                       pbx01_fencing_options: ip=192.168.1.231\n\
                       pbx02_fencing_options: ip=192.168.1.232\n\
                       pbx03_fencing_options: ip=192.168.1.233\n";
        let document: serde_json::Value = serde_json::from_str(&of(&lan(options))).unwrap();
        let fencing = &document["site"]["lan"]["fencing"];
        assert_eq!(fencing["kind"], "fence_ipmilan");
        assert_eq!(fencing["action"], "reboot");
        assert_eq!(fencing["options"][0]["name"], "lanplus");
        assert_eq!(fencing["of_nodes"][2][0]["value"], "192.168.1.233");
    }
}
