//! The model as JSON: what an automation needs to know of the site, and the whole cluster.

use serde::Serialize;

use super::Error;
use crate::cluster::Cluster;
use crate::ids::FencingOptions;
use crate::site::{AwsFencing, AwsSite, LanFencing, LanSite, Place, Site};
use crate::vars::FencingAction;

/// The version of the shape. It grows when a field goes away or means something else, and not
/// when one is added.
const SHAPE: u32 = 1;

/// The model, indented by two spaces, with the keys in the order of the types. At the top:
///
/// | key | what |
/// |---|---|
/// | `shape` | the version of this shape, 1 |
/// | `generator` | `name` and `version` of what wrote it |
/// | `site` | what vars.yml and EC2 say: `nodes`, `virtual_address`, `pbx`, and `aws` or `lan`. What is not known is `null` |
/// | `cluster` | the [`Cluster`], field by field: all that the other renderings are written from |
///
/// There is no secret in it: a key or a password is at most named by its file.
///
/// # Errors
/// None in practice: it writes into memory.
pub fn json(site: &Site, cluster: &Cluster) -> Result<String, Error> {
    let document = Document {
        shape: SHAPE,
        generator: Generator {
            name: "cib-gen",
            version: env!("CARGO_PKG_VERSION"),
        },
        site: facts(site),
        cluster,
    };
    super::pretty(&document)
}

#[derive(Serialize)]
struct Document<'a> {
    shape: u32,
    generator: Generator,
    site: Facts,
    cluster: &'a Cluster,
}

#[derive(Serialize)]
struct Generator {
    name: &'static str,
    version: &'static str,
}

/// The site, with every checked text as a string.
#[derive(Serialize)]
struct Facts {
    nodes: Vec<Node>,
    virtual_address: String,
    pbx: Pbx,
    #[serde(flatten)]
    place: PlaceFacts,
}

#[derive(Serialize)]
struct Node {
    name: String,
    address: String,
}

#[derive(Serialize)]
struct Pbx {
    image: String,
    data_path: String,
    sip_transport: String,
    sip_port: Option<u16>,
    web_port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum PlaceFacts {
    Aws(Box<Aws>),
    Lan(Lan),
}

#[derive(Serialize)]
struct Aws {
    region: Option<String>,
    account: Option<String>,
    /// In the order of the nodes.
    instances: Vec<String>,
    /// In the order of the nodes; empty where EC2 was not asked.
    interfaces: Vec<String>,
    elastic_ip: String,
    allocation: String,
    volume: String,
    device: String,
    subnet: Option<String>,
    vpc: Option<String>,
    admin: Option<String>,
    ssh_private_key_file: String,
    fencing: Fencing,
}

#[derive(Serialize)]
struct Lan {
    subnet: Option<String>,
    disk: String,
    size: String,
    size_bytes: u64,
    fencing: Fencing,
}

/// What keeps a lost node from the data.
#[derive(Serialize)]
struct Fencing {
    /// `ec2`, `watchdog`, `none`, or a fence agent's name.
    kind: String,
    /// What becomes of the node, where that was chosen.
    action: Option<&'static str>,
    /// Options of every device of a fence agent.
    options: Vec<Pair>,
    /// Options of a device for each node, in the order of the nodes.
    of_nodes: Vec<Vec<Pair>>,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

fn facts(site: &Site) -> Facts {
    let node = |node: &crate::site::Node| Node {
        name: node.name.to_string(),
        address: node.address.to_string(),
    };
    let (virtual_address, place) = match &site.place {
        Place::Aws(aws) => (aws.vip, PlaceFacts::Aws(Box::new(aws_facts(aws)))),
        Place::Lan(lan) => (lan.vip, PlaceFacts::Lan(lan_facts(lan))),
    };
    Facts {
        nodes: site.nodes.iter().map(node).collect(),
        virtual_address: virtual_address.to_string(),
        pbx: Pbx {
            image: site.pbx.image.to_string(),
            data_path: site.pbx.data_path.to_string(),
            sip_transport: site.pbx.sip_transport.to_string(),
            sip_port: site.pbx.sip_port,
            web_port: site.pbx.web_port,
        },
        place,
    }
}

fn aws_facts(aws: &AwsSite) -> Aws {
    Aws {
        region: text(&aws.region),
        account: text(&aws.account),
        instances: texts(&aws.instances),
        interfaces: texts(&aws.interfaces),
        elastic_ip: aws.elastic_ip.to_string(),
        allocation: aws.allocation.to_string(),
        volume: aws.volume.to_string(),
        device: aws.device.mounted.to_string(),
        subnet: text(&aws.subnet),
        vpc: text(&aws.vpc),
        admin: text(&aws.admin),
        ssh_private_key_file: aws.ssh_private_key_file.to_string(),
        fencing: match aws.fencing {
            AwsFencing::Ec2(action) => Fencing::of("ec2", Some(action)),
            AwsFencing::None => Fencing::of("none", None),
        },
    }
}

fn lan_facts(lan: &LanSite) -> Lan {
    Lan {
        subnet: text(&lan.subnet),
        disk: lan.disk.to_string(),
        size: lan.size.to_string(),
        size_bytes: lan.size.bytes(),
        fencing: match &lan.fencing {
            LanFencing::Watchdog => Fencing::of("watchdog", None),
            LanFencing::None => Fencing::of("none", None),
            LanFencing::Agent {
                agent,
                action,
                options,
                of_nodes,
            } => Fencing {
                options: pairs(options),
                of_nodes: of_nodes.iter().map(pairs).collect(),
                ..Fencing::of(&agent.to_string(), Some(*action))
            },
        },
    }
}

impl Fencing {
    fn of(kind: &str, action: Option<FencingAction>) -> Self {
        Fencing {
            kind: kind.to_owned(),
            action: action.map(|action| match action {
                FencingAction::Off => "off",
                FencingAction::Reboot => "reboot",
            }),
            options: Vec::new(),
            of_nodes: Vec::new(),
        }
    }
}

fn pairs(options: &FencingOptions) -> Vec<Pair> {
    let pair = |(name, value): (&str, &str)| Pair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    options.iter().map(pair).collect()
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
