//! What cib-gen knows of the site: the nodes, the addresses, the volume, with what the agents are called. cib-gen runs
//! on this machine and asks EC2 for what vars.yml does not say.

use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command as Process;

use crate::commands::quoted;
use crate::exit::Failure;
use crate::output::say;

/// The site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// Name and address of each node, pbx01 first.
    pub nodes: Vec<(String, String)>,
    /// The cluster's name.
    pub cluster: String,
    /// The image of the PBX.
    pub image: String,
    /// Where the volume is mounted.
    pub data_path: String,
    /// The virtual address.
    pub virtual_address: String,
    /// The address of the PBX outside.
    pub elastic_ip: String,
    /// The port of the web portal.
    pub web_port: u16,
    /// The region, which fence_aws has to be told.
    pub region: String,
    /// The device of the volume.
    pub device: String,
    /// Parameters of the agent that attaches the volume.
    pub volume: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Document {
    site: SiteFacts,
    cluster: ClusterFacts,
}

#[derive(Deserialize)]
struct SiteFacts {
    aws: Option<AwsFacts>,
    nodes: Vec<NodeFacts>,
    pbx: PbxFacts,
    virtual_address: String,
}

#[derive(Deserialize)]
struct AwsFacts {
    region: Option<String>,
    elastic_ip: String,
    device: String,
}

#[derive(Deserialize)]
struct NodeFacts {
    name: String,
    address: String,
}

#[derive(Deserialize)]
struct PbxFacts {
    image: String,
    data_path: String,
    web_port: u16,
}

#[derive(Deserialize)]
struct ClusterFacts {
    corosync: CorosyncFacts,
    resources: Vec<ResourceFacts>,
}

#[derive(Deserialize)]
struct CorosyncFacts {
    name: String,
}

#[derive(Deserialize)]
struct ResourceFacts {
    id: String,
    #[serde(default)]
    parameters: Vec<ParameterFacts>,
}

#[derive(Deserialize)]
struct ParameterFacts {
    name: String,
    value: String,
}

/// A start by hand takes the volume from no running instance: nobody knows yet that the instance has let it go.
const NOT_BY_HAND: &str = "cluster_instances";

impl Site {
    /// From what `cib-gen --format json` printed.
    ///
    /// # Errors
    /// It is not that, or the site is none on AWS.
    pub fn parse(json: &str) -> Result<Site, Failure> {
        let document: Document = serde_json::from_str(json).map_err(|error| {
            Failure::failed(format!(
                "what cib-gen printed cannot be used: {error}. Nothing was changed\n  help: use the cib-gen of the \
                 package that has this ha-ctl"
            ))
        })?;
        let Some(aws) = document.site.aws else {
            return Err(Failure::usage(
                "deploy builds the AWS system alone, and vars.yml is of a LAN. Nothing was changed\n  help: \
                 docs/lan.md has the steps for a LAN",
            ));
        };
        let Some(region) = aws.region else {
            return Err(Failure::usage(
                "the region is not known: it is not in vars.yml, and EC2 was not asked. Without it nothing can fence. \
                 Nothing was changed\n  help: write the region of the instances into vars.yml, such as `region: \
                 us-west-1`",
            ));
        };
        let resources = document.cluster.resources;
        let volume = resources.into_iter().find(|it| it.id == "ebs");
        let volume = volume.into_iter().flat_map(|it| it.parameters);
        let volume = volume.filter(|it| it.name != NOT_BY_HAND);
        let nodes = document.site.nodes.into_iter();
        Ok(Site {
            nodes: nodes.map(|node| (node.name, node.address)).collect(),
            cluster: document.cluster.corosync.name,
            image: document.site.pbx.image,
            data_path: document.site.pbx.data_path,
            virtual_address: document.site.virtual_address,
            elastic_ip: aws.elastic_ip,
            web_port: document.site.pbx.web_port,
            region,
            device: aws.device,
            volume: volume.map(|it| (it.name, it.value)).collect(),
        })
    }

    /// What cib-gen is told on a node, so that it means the same nodes and the same region there.
    pub fn options(&self) -> String {
        let nodes = self.nodes.iter();
        let nodes: Vec<String> = nodes
            .map(|(name, address)| format!("{name}={address}"))
            .collect();
        let (nodes, region) = (quoted(&nodes.join(",")), quoted(&self.region));
        format!("--region {region} --nodes {nodes}")
    }

    /// Has cib-gen say it, on this machine.
    ///
    /// # Errors
    /// A mistake in vars.yml, or EC2 could not be asked for what the file lacks.
    pub async fn ask(vars: &str, nodes: &[String]) -> Result<Site, Failure> {
        let mut cib_gen = Process::new(beside_this("cib-gen"));
        cib_gen.args(["--format", "json"]);
        if !nodes.is_empty() {
            cib_gen.arg("--nodes").arg(nodes.join(","));
        }
        let output = run(cib_gen.arg("-"), vars).await.map_err(|error| {
            Failure::failed(format!(
                "could not run cib-gen on this machine: {error}. Nothing was changed\n  help: it is in the same \
                 package as ha-ctl; use both from there"
            ))
        })?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() {
            // Warnings of what would make a failover fail.
            if !said.is_empty() {
                say(&said);
            }
            return Site::parse(&String::from_utf8_lossy(&output.stdout));
        }
        Err(match output.status.code() {
            Some(2) => Failure::usage(said),
            _ => Failure::failed(format!(
                "cib-gen could not find out on this machine what vars.yml does not say. Nothing was changed\n{said}\n  \
                 help: run ha-ctl on one of the nodes, or with credentials that may look at EC2, or name the nodes: \
                 --nodes NAME=ADDRESS,NAME=ADDRESS,... (pbx01 first)"
            )),
        })
    }
}

async fn run(program: &mut Process, input: &str) -> io::Result<Output> {
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = program.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It says itself why it has not read everything.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait_with_output().await
}

/// A program of the same package: next to this one, or else the one on PATH.
fn beside_this(name: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.map(|own| own.with_file_name(name));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cib_gen::Cluster;
    use cib_gen::nodes::Known;
    use cib_gen::render::{Format, render};

    use super::*;

    /// The vendor's file, as cib-gen renders it.
    pub(crate) fn json(file: &str, bytes: &[u8], nodes: &[&str]) -> String {
        let vars = cib_gen::Vars::parse(file, bytes).unwrap();
        let known = Known {
            given: nodes.iter().map(|node| node.parse().unwrap()).collect(),
            ..Known::default()
        };
        let site = vars.resolve(&known).unwrap();
        render(&site, &Cluster::of(&site), Format::Json).unwrap()
    }

    #[test]
    fn what_cib_gen_says_of_the_vendors_file() {
        let bytes = include_bytes!("../../../packaging/examples/vars-aws.yml");
        let nodes = [
            "ip-172-31-16-133=172.31.16.133",
            "ip-172-31-16-134=172.31.16.134",
            "ip-172-31-16-135=172.31.16.135",
        ];
        let unknown = Site::parse(&json("vars-aws.yml", bytes, &nodes)).unwrap_err();
        assert!(
            unknown.text.contains("the region is not known"),
            "{unknown}"
        );
        let bytes = [&bytes[..], b"region: us-west-1\n"].concat();
        let site = Site::parse(&json("vars-aws.yml", &bytes, &nodes)).unwrap();
        let nodes = nodes.join(",");
        assert_eq!(
            site.options(),
            format!("--region 'us-west-1' --nodes '{nodes}'")
        );
        assert_eq!(site.cluster, "ha_cluster");
        assert_eq!(site.image, "portsip/pbx:22");
        assert_eq!(site.virtual_address, "172.31.16.130");
        assert_eq!(
            (site.elastic_ip.as_str(), site.web_port),
            ("54.151.30.9", 8887)
        );
        assert_eq!(
            site.volume,
            [
                ("volume_id", "vol-0e06e1e9da3c49b67"),
                ("region", "us-west-1")
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_lan_is_refused_in_words() {
        let bytes = include_bytes!("../../../packaging/examples/vars-lan.yml");
        let refused = Site::parse(&json("vars-lan.yml", bytes, &[])).unwrap_err();
        assert!(refused.text.contains("docs/lan.md"), "{refused}");
    }
}
