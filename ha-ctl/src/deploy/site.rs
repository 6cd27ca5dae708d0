//! What cib-gen knows of the site: the nodes, the addresses, what the data is on, with what the agents are called.
//! cib-gen runs on this machine and asks EC2 for what vars.yml does not say.

use cib_gen::vars::DrbdVersion;
use serde::Deserialize;

use super::cib_gen::{ask_cib_gen, cib_gen};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::output::say;

/// The site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Name and address of each node, pbx01 first.
    pub nodes: Vec<(String, String)>,
    /// The cluster's name.
    pub cluster: String,
    /// The image of the PBX.
    pub image: String,
    /// Where the data is mounted.
    pub data_path: String,
    /// The virtual address.
    pub virtual_address: String,
    /// The port of the web portal.
    pub web_port: u16,
    /// What only one of the two systems has.
    pub system: System,
}

/// Which of the two systems it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// EC2 instances with a volume and an Elastic IP.
    Aws(Aws),
    /// Machines of a LAN with DRBD.
    Lan(Lan),
}

/// What only the system on AWS has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The address of the PBX outside.
    pub elastic_ip: String,
    /// The region, which fence_aws has to be told.
    pub region: String,
    /// The device of the volume.
    pub device: String,
    /// Parameters of the agent that attaches the volume.
    pub volume: Vec<(String, String)>,
}

/// What only the system on a LAN has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lan {
    /// The device of the watchdog that SBD feeds; nothing where another way of fencing is configured.
    pub watchdog: Option<String>,
    /// Where the data is.
    pub drbd: Drbd,
}

/// The DRBD resource with the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drbd {
    /// Which DRBD the kernels have.
    pub version: DrbdVersion,
    /// The resource.
    pub name: String,
    /// The device that DRBD makes of it.
    pub device: String,
    /// The disk of each holder, whole.
    pub disk: String,
    /// The volume group on it.
    pub volume_group: String,
    /// The logical volume in that, which DRBD stores on.
    pub logical_volume: String,
    /// Its size, as lvcreate(8) takes it.
    pub size: String,
    /// The nodes that have a copy of the data. The others vote.
    pub holders: Vec<String>,
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
    drbd: Option<DrbdFacts>,
    resources: Vec<ResourceFacts>,
}

#[derive(Deserialize)]
struct CorosyncFacts {
    name: String,
    watchdog: Option<WatchdogFacts>,
}

#[derive(Deserialize)]
struct WatchdogFacts {
    device: String,
}

#[derive(Deserialize)]
struct DrbdFacts {
    version: String,
    name: String,
    device: String,
    disk: String,
    volume_group: String,
    logical_volume: String,
    size: String,
    peers: Vec<NodeFacts>,
}

/// A resource. Those of a clone are none of what is asked for here.
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
    /// It is not that, or the region of a site on AWS is not known.
    pub fn parse(json: &str) -> Result<Site, Failure> {
        let unusable = |why: String| {
            Failure::failed(format!(
                "what cib-gen printed cannot be used: {why}. Nothing was changed\n  help: use the cib-gen of the \
                 package that has this ha-ctl"
            ))
        };
        let document: Document =
            serde_json::from_str(json).map_err(|error| unusable(error.to_string()))?;
        let (corosync, resources) = (document.cluster.corosync, document.cluster.resources);
        let system = match (document.site.aws, document.cluster.drbd) {
            (Some(aws), _) => System::Aws(Aws::of(aws, resources)?),
            (None, Some(drbd)) => System::Lan(Lan {
                watchdog: corosync.watchdog.map(|it| it.device),
                drbd: Drbd::of(drbd).map_err(unusable)?,
            }),
            (None, None) => return Err(unusable("it has neither a volume nor DRBD".to_owned())),
        };
        let nodes = document.site.nodes.into_iter();
        Ok(Site {
            nodes: nodes.map(|node| (node.name, node.address)).collect(),
            cluster: corosync.name,
            image: document.site.pbx.image,
            data_path: document.site.pbx.data_path,
            virtual_address: document.site.virtual_address,
            web_port: document.site.pbx.web_port,
            system,
        })
    }

    /// What cib-gen is told on a node, so that it means the same nodes and the same region there.
    pub fn options(&self) -> String {
        let nodes = self.nodes.iter();
        let nodes: Vec<String> = nodes
            .map(|(name, address)| format!("{name}={address}"))
            .collect();
        let nodes = format!("--nodes {}", quoted(&nodes.join(",")));
        match &self.system {
            System::Aws(aws) => format!("--region {} {nodes}", quoted(&aws.region)),
            System::Lan(_) => nodes,
        }
    }

    /// The device with the file system of the data.
    pub fn device(&self) -> &str {
        match &self.system {
            System::Aws(aws) => &aws.device,
            System::Lan(lan) => &lan.drbd.device,
        }
    }

    /// Whether a node can have the data, and so run the PBX. On a LAN with DRBD 8.4 one node only votes.
    pub fn can_run_pbx(&self, node: &str) -> bool {
        let has_copy = |drbd: &Drbd| drbd.holders.iter().any(|holder| holder == node);
        self.drbd().is_none_or(has_copy)
    }

    /// The DRBD resource, on a LAN.
    pub fn drbd(&self) -> Option<&Drbd> {
        match &self.system {
            System::Aws(_) => None,
            System::Lan(lan) => Some(&lan.drbd),
        }
    }

    /// The volume with the data, on AWS.
    pub fn volume(&self) -> Option<&str> {
        match &self.system {
            System::Aws(aws) => {
                let mut parameters = aws.volume.iter();
                let volume = parameters.find(|(name, _)| name == "volume_id");
                volume.map(|(_, id)| id.as_str())
            }
            System::Lan(_) => None,
        }
    }

    /// The device of the watchdog that SBD feeds, if SBD fences.
    pub fn watchdog(&self) -> Option<&str> {
        match &self.system {
            System::Aws(_) => None,
            System::Lan(lan) => lan.watchdog.as_deref(),
        }
    }

    /// Where a browser finds the portal.
    pub fn portal(&self) -> String {
        let address = match &self.system {
            System::Aws(aws) => &aws.elastic_ip,
            System::Lan(_) => &self.virtual_address,
        };
        format!("https://{address}:{}", self.web_port)
    }

    /// Has cib-gen say it, on this machine: with the credentials that are there, which are a node's on a node; and if
    /// that fails, with those of the profile that was given.
    ///
    /// # Errors
    /// A mistake in vars.yml, or EC2 could not be asked for what the file lacks.
    pub async fn ask(vars: &str, nodes: &[String], profile: Option<&str>) -> Result<Site, Failure> {
        let nodes = nodes.join(",");
        let mut arguments = vec!["--format", "json", "-"];
        if !nodes.is_empty() {
            arguments.extend(["--nodes", &nodes]);
        }
        let mut output = cib_gen(&arguments, vars).await?;
        let is_mistake = output.status.code() == Some(2);
        if let Some(profile) = profile.filter(|_| !output.status.success() && !is_mistake) {
            output = ask_cib_gen(&arguments, vars, Some(profile)).await?;
        }
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

impl Aws {
    fn of(facts: AwsFacts, resources: Vec<ResourceFacts>) -> Result<Aws, Failure> {
        let Some(region) = facts.region else {
            return Err(Failure::usage(
                "the region is not known: it is not in vars.yml, and EC2 was not asked. Without it nothing can fence. \
                 Nothing was changed\n  help: write the region of the instances into vars.yml, such as `region: \
                 us-west-1`",
            ));
        };
        let volume = resources.into_iter().find(|it| it.id == "ebs");
        let volume = volume.into_iter().flat_map(|it| it.parameters);
        let volume = volume.filter(|it| it.name != NOT_BY_HAND);
        Ok(Aws {
            elastic_ip: facts.elastic_ip,
            region,
            device: facts.device,
            volume: volume.map(|it| (it.name, it.value)).collect(),
        })
    }
}

impl Drbd {
    /// The command that shows whether the copies are connected and up to date.
    pub fn status_command(&self) -> String {
        match self.version {
            DrbdVersion::Nine => format!("sudo drbdadm status {}", self.name),
            DrbdVersion::EightFour => "cat /proc/drbd".to_owned(),
        }
    }

    fn of(facts: DrbdFacts) -> Result<Drbd, String> {
        let versions = [DrbdVersion::Nine, DrbdVersion::EightFour];
        let version = versions
            .into_iter()
            .find(|it| it.to_string() == facts.version);
        let unknown = || format!("DRBD {} is not known here", facts.version);
        Ok(Drbd {
            version: version.ok_or_else(unknown)?,
            name: facts.name,
            device: facts.device,
            disk: facts.disk,
            volume_group: facts.volume_group,
            logical_volume: facts.logical_volume,
            size: facts.size,
            holders: facts.peers.into_iter().map(|peer| peer.name).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cib_gen::Cluster;
    use cib_gen::nodes::Known;
    use cib_gen::render::{Format, render};

    use super::super::samples;
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
        assert_eq!(site, samples::aws());
        let nodes = nodes.join(",");
        assert_eq!(
            site.options(),
            format!("--region 'us-west-1' --nodes '{nodes}'")
        );
    }

    #[test]
    fn what_cib_gen_says_of_a_lan() {
        let bytes = include_bytes!("../../../packaging/examples/vars-lan.yml");
        let of = |more: &str| {
            let bytes = [&bytes[..], more.as_bytes()].concat();
            Site::parse(&json("vars-lan.yml", &bytes, &[])).unwrap()
        };
        let site = of("drbd: 8.4\n");
        assert_eq!(site, samples::lan());
        assert!(site.can_run_pbx("pbx02") && !site.can_run_pbx("pbx03"));
        assert!(!site.options().contains("--region"));
        let nine = of("fencing: none\n");
        assert!(nine.can_run_pbx("pbx03"));
        assert_eq!(nine.watchdog(), None);
        assert_eq!(nine.portal(), "https://192.168.1.130:8887");
    }
}
