//! `vars.yml` as it was written: every key with a type and a place, nothing derived.
//! What several keys mean together is decided in [`crate::site`].

mod keys;
mod read;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::ids::{
    AllocationId, DataPath, DevicePath, FilePath, ImageName, InstanceId, Malformed, NodeName,
    Region, VolumeId,
};
use crate::mistake::{At, Mistake, Mistakes, Position, Source};

pub use keys::{KEYS, Key};

/// Everything in the file, and the file itself, to show its lines.
#[derive(Debug, Clone)]
pub struct Vars {
    pub(crate) source: Source,
    /// What the topology needs.
    pub topology: Topology,
    /// `pbx0N_hostname` and `pbx0N_private_ip`, in the order of the nodes.
    pub nodes: [NodeVars; 3],
    /// `pbx_image`.
    pub pbx_image: At<ImageName>,
    /// `data_path`.
    pub data_path: Option<At<DataPath>>,
}

/// Where the cluster runs.
#[derive(Debug, Clone)]
pub enum Topology {
    /// Three EC2 instances.
    Aws(AwsVars),
}

/// What the file says of one node's name and address.
#[derive(Debug, Clone)]
pub struct NodeVars {
    /// `pbx0N_hostname`.
    pub hostname: Option<At<NodeName>>,
    /// `pbx0N_private_ip`.
    pub private_ip: Option<At<Ipv4Addr>>,
}

/// The keys of the AWS topology.
#[derive(Debug, Clone)]
pub struct AwsVars {
    /// `pbx01_instance_id` to `pbx03_instance_id`.
    pub instance_ids: [At<InstanceId>; 3],
    /// `private_vip_address`.
    pub private_vip_address: At<Ipv4Addr>,
    /// `eip_address`.
    pub eip_address: At<Ipv4Addr>,
    /// `eip_allocation_id`.
    pub eip_allocation_id: At<AllocationId>,
    /// `ebs_volume_id`.
    pub ebs_volume_id: At<VolumeId>,
    /// `ssh_private_key_file`.
    pub ssh_private_key_file: At<FilePath>,
    /// `subnet_cidr`.
    pub subnet_cidr: Option<At<Ipv4Net>>,
    /// `region`.
    pub region: Option<At<Region>>,
    /// `ebs_device`.
    pub ebs_device: Option<At<DevicePath>>,
    /// `fencing`.
    pub fencing: Option<At<FencingWord>>,
    /// `fencing_action`.
    pub fencing_action: Option<At<FencingAction>>,
    /// `privip_agent`.
    pub privip_agent: Option<At<PrivipAgent>>,
}

/// The values of `fencing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FencingWord {
    /// Through EC2, the default.
    Aws,
    /// Nothing is fenced.
    None,
}

/// The values of `fencing_action`: what becomes of a node that is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FencingAction {
    /// Stopped, and left so: recovery begins when EC2 says `stopped`.
    Off,
    /// Stopped and started again.
    Reboot,
}

/// The values of `privip_agent`: what assigns the virtual address to a node's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivipAgent {
    /// Ours.
    #[default]
    Portsip,
    /// The distribution's, which needs the AWS CLI.
    Heartbeat,
}

impl FromStr for PrivipAgent {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "ocf:portsip:awsvip" => Ok(PrivipAgent::Portsip),
            "ocf:heartbeat:awsvip" => Ok(PrivipAgent::Heartbeat),
            _ => Err(Malformed {
                found: format!("`{text}` is no agent that assigns a private address"),
                write: "`ocf:portsip:awsvip` (the default), or `ocf:heartbeat:awsvip`, which needs the AWS CLI".into(),
            }),
        }
    }
}

impl FromStr for FencingWord {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "aws" => Ok(FencingWord::Aws),
            "none" => Ok(FencingWord::None),
            _ => Err(Malformed {
                found: format!("`{text}` is no way of fencing"),
                write: "`aws` (the default), or `none` for a cluster that can lose data".into(),
            }),
        }
    }
}

impl FromStr for FencingAction {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "off" => Ok(FencingAction::Off),
            "reboot" => Ok(FencingAction::Reboot),
            _ => Err(Malformed {
                found: format!("`{text}` is not what fencing can do"),
                write: "`off` (the default) or `reboot`".into(),
            }),
        }
    }
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
        let (entries, mistakes) = read::entries(text);
        // After a mistake that stopped the reader, every key would be called missing.
        if entries.is_empty() && !mistakes.is_empty() {
            return Err(Mistakes::new(source, mistakes));
        }
        let mut keys = Keys::new(text, entries, mistakes);
        let vars = keys.vars(&source);
        match vars {
            Some(vars) if keys.mistakes.is_empty() => Ok(vars),
            _ => Err(Mistakes::new(source, keys.mistakes)),
        }
    }
}

/// The entries by key, and the mistakes found so far.
struct Keys {
    found: BTreeMap<&'static str, At<Option<String>>>,
    end: At<()>,
    mistakes: Vec<Mistake>,
}

impl Keys {
    fn new(text: &str, entries: Vec<read::Entry>, mut mistakes: Vec<Mistake>) -> Self {
        let mut found = BTreeMap::new();
        for entry in entries {
            match keys::named(&entry.key.value) {
                Some(key) => {
                    found.insert(key.name, entry.value);
                }
                None => mistakes.push(keys::unknown(&entry.key)),
            }
        }
        let end = At {
            value: (),
            position: Position {
                line: text.lines().count() + 1,
                column: 1,
            },
            width: 1,
        };
        Keys {
            found,
            end,
            mistakes,
        }
    }

    /// The value of a key, if it is there and good.
    fn optional<T: FromStr<Err = Malformed>>(&mut self, name: &str) -> Option<At<T>> {
        let value = self.found.get(name)?.clone();
        let Some(text) = &value.value else {
            let example = keys::named(name).map_or("a value", |k| k.example);
            self.mistakes.push(Mistake::at(
                &value,
                format!("`{name}` has no value"),
                format!("{name}: {example}"),
            ));
            return None;
        };
        match text.parse() {
            Ok(parsed) => Some(value.with(parsed)),
            Err(error) => {
                let Malformed { found, write } = error;
                self.mistakes
                    .push(Mistake::at(&value, format!("{name}: {found}"), write));
                None
            }
        }
    }

    /// The same for a key that must be there.
    fn required<T: FromStr<Err = Malformed>>(&mut self, name: &str) -> Option<At<T>> {
        if !self.found.contains_key(name) {
            let example = keys::named(name).map_or("", |k| k.example);
            self.mistakes.push(Mistake::at(
                &self.end,
                format!("`{name}` is missing"),
                format!("{name}: {example}"),
            ));
        }
        self.optional(name)
    }

    fn vars(&mut self, source: &Source) -> Option<Vars> {
        // Every key is read before the first missing one ends this, so that all are checked.
        let aws = self.aws();
        let nodes = ["pbx01", "pbx02", "pbx03"].map(|node| NodeVars {
            hostname: self.optional(&format!("{node}_hostname")),
            private_ip: self.address(&format!("{node}_private_ip")),
        });
        let pbx_image = self.required("pbx_image");
        let data_path = self.optional("data_path");
        Some(Vars {
            source: source.clone(),
            topology: Topology::Aws(aws?),
            nodes,
            pbx_image: pbx_image?,
            data_path,
        })
    }

    fn aws(&mut self) -> Option<AwsVars> {
        let [one, two, three] =
            ["pbx01", "pbx02", "pbx03"].map(|node| self.required(&format!("{node}_instance_id")));
        let private_vip_address = self.required::<Address>("private_vip_address");
        let eip_address = self.required::<Address>("eip_address");
        let eip_allocation_id = self.required("eip_allocation_id");
        let ebs_volume_id = self.required("ebs_volume_id");
        let ssh_private_key_file = self.required("ssh_private_key_file");
        let subnet_cidr = self.optional::<Cidr>("subnet_cidr");
        let region = self.optional("region");
        let ebs_device = self.optional("ebs_device");
        let fencing = self.optional("fencing");
        let fencing_action = self.optional("fencing_action");
        let privip_agent = self.optional("privip_agent");
        Some(AwsVars {
            instance_ids: [one?, two?, three?],
            private_vip_address: private_vip_address.map(|a| a.with(a.value.0))?,
            eip_address: eip_address.map(|a| a.with(a.value.0))?,
            eip_allocation_id: eip_allocation_id?,
            ebs_volume_id: ebs_volume_id?,
            ssh_private_key_file: ssh_private_key_file?,
            subnet_cidr: subnet_cidr.map(|c| c.with(c.value.0)),
            region,
            ebs_device,
            fencing,
            fencing_action,
            privip_agent,
        })
    }

    fn address(&mut self, name: &str) -> Option<At<Ipv4Addr>> {
        let address = self.optional::<Address>(name)?;
        Some(address.with(address.value.0))
    }
}

/// An address with our words when it is none.
struct Address(Ipv4Addr);

impl FromStr for Address {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse().map(Address).map_err(|_| Malformed {
            found: format!("`{text}` is not an IPv4 address"),
            write: "four numbers from 0 to 255 with dots between them, such as 172.31.16.130"
                .into(),
        })
    }
}

/// A subnet with our words when it is none.
struct Cidr(Ipv4Net);

impl FromStr for Cidr {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let example = "the subnet's IPv4 CIDR as the VPC console shows it, such as 172.31.16.0/20";
        let net: Ipv4Net = text.parse().map_err(|_| Malformed {
            found: format!("`{text}` is not an IPv4 subnet"),
            write: example.into(),
        })?;
        if net.trunc() != net {
            return Err(Malformed {
                found: format!("`{text}` has bits beyond its prefix"),
                write: net.trunc().to_string(),
            });
        }
        Ok(Cidr(net))
    }
}

#[cfg(test)]
mod tests;
