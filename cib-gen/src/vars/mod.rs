//! `vars.yml` as it was written: every key with a type and a place, nothing derived.
//! What several keys mean together is decided in [`crate::site`].

mod file;
mod keys;
mod read;
mod words;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ids::{
    AllocationId, DataPath, DiskPath, EbsDevice, FencingOptions, FilePath, ImageName, InstanceId,
    NodeName, Region, Size, VolumeId,
};
use crate::mistake::{At, Code, Mistake, Mistakes, Position, Source};
use crate::nodes::Known;

use file::Keys;
pub use keys::{KEYS, Key, MOST_NODES, names};
pub use words::{AwsFencingWord, FencingAction, LanFencingWord, PrivipAgent, SipTransport};

/// What a file may have at most. The longest that makes sense has some five thousand bytes.
pub const MOST_BYTES: usize = 64 * 1024;

/// Everything in the file, and the file itself, to show its lines.
#[derive(Debug, Clone)]
pub struct Vars {
    pub(crate) source: Source,
    /// What the system needs.
    pub topology: Topology,
    /// `pbx0N_hostname` and `pbx0N_private_ip`, in the order of the nodes.
    pub nodes: Vec<NodeVars>,
    /// `pbx_image`.
    pub pbx_image: At<ImageName>,
    /// `data_path`.
    pub data_path: Option<At<DataPath>>,
    /// `sip_transport`.
    pub sip_transport: Option<At<SipTransport>>,
    /// `sip_port`.
    pub sip_port: Option<At<u16>>,
    /// `web_port`.
    pub web_port: Option<At<u16>>,
    /// `subnet_cidr`.
    pub subnet_cidr: Option<At<Ipv4Net>>,
    /// `fencing_action`.
    pub fencing_action: Option<At<FencingAction>>,
}

/// The two systems of the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// EC2 instances, an EBS volume, an Elastic IP.
    Aws,
    /// Machines of one LAN, DRBD, a virtual address.
    Lan,
}

/// Where the cluster runs, and the keys that only a cluster there has.
#[derive(Debug, Clone)]
pub enum Topology {
    /// EC2 instances.
    Aws(Box<AwsVars>),
    /// Machines of one LAN.
    Lan(Box<LanVars>),
}

/// What the file says of one node's name and address.
#[derive(Debug, Clone)]
pub struct NodeVars {
    /// `pbx0N_hostname`.
    pub hostname: Option<At<NodeName>>,
    /// `pbx0N_private_ip`.
    pub private_ip: Option<At<Ipv4Addr>>,
}

/// The keys of the AWS system.
#[derive(Debug, Clone)]
pub struct AwsVars {
    /// `pbx01_instance_id` and so on.
    pub instance_ids: Vec<At<InstanceId>>,
    /// `private_vip_address`.
    pub private_vip_address: Option<At<Ipv4Addr>>,
    /// `eip_address`.
    pub eip_address: Option<At<Ipv4Addr>>,
    /// `eip_allocation_id`.
    pub eip_allocation_id: At<AllocationId>,
    /// `ebs_volume_id`.
    pub ebs_volume_id: At<VolumeId>,
    /// `ssh_private_key_file`.
    pub ssh_private_key_file: At<FilePath>,
    /// `vpc_cidr`.
    pub vpc_cidr: Option<At<Ipv4Net>>,
    /// `admin_cidr`.
    pub admin_cidr: Option<At<Ipv4Net>>,
    /// `region`.
    pub region: Option<At<Region>>,
    /// `ebs_device`.
    pub ebs_device: Option<At<EbsDevice>>,
    /// `fencing`.
    pub fencing: Option<At<AwsFencingWord>>,
    /// `privip_agent`.
    pub privip_agent: Option<At<PrivipAgent>>,
}

/// The keys of the LAN system.
#[derive(Debug, Clone)]
pub struct LanVars {
    /// `vip`.
    pub vip: At<Ipv4Addr>,
    /// `pbx_datapath_disk`.
    pub pbx_datapath_disk: At<DiskPath>,
    /// `pbx_datapath_size`.
    pub pbx_datapath_size: At<Size>,
    /// `fencing`.
    pub fencing: Option<At<LanFencingWord>>,
    /// `fencing_options`.
    pub fencing_options: Option<At<FencingOptions>>,
    /// `pbx01_fencing_options` and so on, in the order of the nodes.
    pub node_fencing_options: Vec<Option<At<FencingOptions>>>,
}

impl Vars {
    /// Reads the text of a file called `name`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(name: &str, text: &str) -> Result<Vars, Mistakes> {
        // A byte order mark is not part of the first key.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let (entries, mistakes) = if text.len() > MOST_BYTES {
            (Vec::new(), vec![too_large()])
        } else {
            read::entries(text)
        };
        // After a mistake that stopped the reader, every key would be called missing.
        if entries.is_empty() && !mistakes.is_empty() {
            return Err(Mistakes::new(source, mistakes));
        }
        let mut keys = Keys::new(text, entries, mistakes);
        // What is missing can be told only where it is known for what.
        let known = !keys.mistakes.iter().any(|m| m.code == Code::NoSystem);
        let vars = if known { keys.vars(&source) } else { None };
        match vars {
            Some(vars) if keys.mistakes.is_empty() => Ok(vars),
            vars => {
                keys.mistakes
                    .extend(vars.iter().flat_map(Vars::contradictions));
                Err(Mistakes::new(source, keys.mistakes))
            }
        }
    }

    /// What contradicts itself in a file that has other mistakes too, so that one run shows
    /// all of them. What is not known need not be asked for yet.
    fn contradictions(&self) -> Vec<Mistake> {
        let mut named = self.clone();
        let written: Vec<String> = (self.nodes.iter())
            .filter_map(|node| Some(node.hostname.as_ref()?.value.to_string()))
            .collect();
        for (n, node) in named.nodes.iter_mut().enumerate() {
            let name = format!("pbx0{}", n + 1);
            if node.hostname.is_none() && !written.contains(&name) {
                node.hostname = name.parse().ok().map(At::nowhere);
            }
        }
        let unresolved = named.resolve(&Known::default()).err();
        let mut mistakes = unresolved.map(Mistakes::into_list).unwrap_or_default();
        mistakes.retain(|mistake| {
            let nowhere = mistake.place.as_ref().is_none_or(At::is_nowhere);
            !nowhere && !matches!(mistake.code, Code::UnknownNode | Code::UnknownAddress)
        });
        mistakes
    }

    /// The same for bytes as they came from a file.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn parse_bytes(name: &str, bytes: &[u8]) -> Result<Vars, Mistakes> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Vars::parse(name, text),
            Err(error) if bytes.len() <= MOST_BYTES => {
                let source = Source {
                    name: name.to_owned(),
                    text: String::from_utf8_lossy(bytes).into_owned(),
                };
                Err(Mistakes::new(
                    source,
                    vec![not_text(bytes, error.valid_up_to())],
                ))
            }
            Err(_) => Err(Mistakes::new(
                Source {
                    name: name.to_owned(),
                    text: String::new(),
                },
                vec![too_large()],
            )),
        }
    }
}

fn too_large() -> Mistake {
    Mistake::elsewhere(
        Code::TooLarge,
        format!(
            "the file has more than {} KiB: this is no vars.yml",
            MOST_BYTES / 1024
        ),
        "the path of vars.yml: some ten lines of `key: value`",
    )
}

/// The bytes before the one that is no UTF-8 are, so its line and column can be told.
fn not_text(bytes: &[u8], good: usize) -> Mistake {
    let before = String::from_utf8_lossy(&bytes[..good]);
    let place = At {
        value: (),
        position: Position {
            line: before.matches('\n').count() + 1,
            column: before
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1,
        },
        width: 1,
    };
    Mistake::at(
        Code::NotText,
        &place,
        format!("this is not UTF-8 text: byte {:#04x}", bytes[good]),
        "a plain text file in UTF-8",
    )
}

#[cfg(test)]
mod tests;
