//! `vars.yml` as it was written: every key with a type and a place, nothing derived.
//! What several keys mean together is decided in [`crate::site`].

mod keys;
mod read;
mod words;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::ids::{
    AllocationId, DataPath, DevicePath, DiskPath, FencingOptions, FilePath, ImageName, InstanceId,
    Malformed, NodeName, Region, Size, VolumeId,
};
use crate::mistake::{At, Code, Mistake, Mistakes, Position, Source};
use crate::nodes::Known;

pub use keys::{KEYS, Key, MOST_NODES, names};
use words::{Address, Cidr};
pub use words::{AwsFencingWord, FencingAction, LanFencingWord, PrivipAgent};

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
    Aws(AwsVars),
    /// Machines of one LAN.
    Lan(LanVars),
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
    pub ebs_device: Option<At<DevicePath>>,
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

/// The entries by key, and the mistakes found so far.
struct Keys {
    system: System,
    found: BTreeMap<String, At<Option<String>>>,
    end: At<()>,
    mistakes: Vec<Mistake>,
}

impl Keys {
    fn new(text: &str, entries: Vec<read::Entry>, mut mistakes: Vec<Mistake>) -> Self {
        let system = keys::system(entries.iter().map(|entry| entry.key.value.as_str()));
        let mut found = BTreeMap::new();
        for entry in entries {
            match keys::named(&entry.key.value) {
                None => mistakes.push(keys::unknown(&entry.key)),
                Some(key) if key.system.is_some_and(|of| Some(of) != system) => {
                    mistakes.extend(system.map(|system| keys::foreign(&entry.key, system)));
                }
                Some(_) => {
                    found.insert(entry.key.value, entry.value);
                }
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
        if system.is_none() {
            mistakes.push(keys::no_system(&end));
        }
        Keys {
            system: system.unwrap_or(System::Aws),
            found,
            end,
            mistakes,
        }
    }

    /// The value of a key, if the file has it and it can be read.
    fn optional<T: FromStr<Err = Malformed>>(&mut self, name: &str) -> Option<At<T>> {
        let value = self.found.get(name)?.clone();
        let Some(text) = &value.value else {
            self.mistakes.push(Mistake::at(
                Code::Empty,
                &value,
                format!("`{name}` has no value"),
                keys::line(name),
            ));
            return None;
        };
        match text.parse() {
            Ok(parsed) => Some(value.with(parsed)),
            Err(Malformed { code, found, write }) => {
                let found = format!("{name}: {found}");
                self.mistakes.push(Mistake::at(code, &value, found, write));
                None
            }
        }
    }

    /// The same for a key that must be there. What is missing or malformed is a mistake, and has
    /// a value that stands in for it while the rest is looked at.
    fn required<T: FromStr<Err = Malformed>>(&mut self, name: &str) -> Option<At<T>> {
        if !self.found.contains_key(name) {
            self.mistakes.push(Mistake::at(
                Code::Missing,
                &self.end,
                format!("`{name}` is missing"),
                keys::line(name),
            ));
        }
        let stand_in = || Some(At::nowhere(keys::stand_in(name)?.parse().ok()?));
        self.optional(name).or_else(stand_in)
    }

    fn vars(&mut self, source: &Source) -> Option<Vars> {
        // Every key is read before the first missing one ends this, so that all are checked.
        let count = self.node_count()?;
        let topology = match self.system {
            System::Aws => self.aws(count).map(Topology::Aws),
            System::Lan => self.lan(count).map(Topology::Lan),
        };
        let nodes = (1..=count)
            .map(|n| NodeVars {
                hostname: self.optional(&format!("pbx0{n}_hostname")),
                private_ip: self.address(&format!("pbx0{n}_private_ip")),
            })
            .collect();
        let pbx_image = self.required("pbx_image");
        let data_path = self.optional("data_path");
        let subnet_cidr = self.cidr("subnet_cidr");
        let fencing_action = self.optional("fencing_action");
        Some(Vars {
            source: source.clone(),
            topology: topology?,
            nodes,
            pbx_image: pbx_image?,
            data_path,
            subnet_cidr,
            fencing_action,
        })
    }

    /// How many nodes the file is about: as many as its highest number says. Without any,
    /// three, whose keys are then missing.
    fn node_count(&mut self) -> Option<usize> {
        let of_nodes = self.found.iter();
        let numbers =
            of_nodes.filter_map(|(name, at)| Some((keys::node_number(name)?, at.with(()))));
        let highest = numbers.max_by_key(|(number, _)| *number);
        let (count, place) = highest.unwrap_or((1, self.end.clone()));
        let why = match count {
            1 | 3 | 5 | 7 | 9 => return Some(count.max(3)),
            2 => "the file names 2 nodes: when one of two is lost or cut off, the other is not a \
                  majority and stops too, so two nodes fail more often than one"
                .to_owned(),
            n => format!(
                "the file names {n} nodes: {n} survive the loss of no more nodes than {}, and can \
                 be cut into two halves of which neither is a majority",
                n - 1
            ),
        };
        self.mistakes.push(Mistake::at(
            Code::NodeCount,
            &place,
            why,
            "an odd number of nodes, 3 to 9",
        ));
        // What is wrong with the values is still said; nothing is called missing.
        let names: Vec<String> = self.found.keys().cloned().collect();
        for name in names {
            if name.ends_with("_instance_id") {
                self.optional::<InstanceId>(&name);
            } else if name.ends_with("_hostname") {
                self.optional::<NodeName>(&name);
            }
        }
        None
    }

    fn aws(&mut self, count: usize) -> Option<AwsVars> {
        let instance_ids: Vec<Option<At<InstanceId>>> = (1..=count)
            .map(|n| self.required(&format!("pbx0{n}_instance_id")))
            .collect();
        let private_vip_address = self.address("private_vip_address");
        let eip_address = self.address("eip_address");
        let eip_allocation_id = self.required("eip_allocation_id");
        let ebs_volume_id = self.required("ebs_volume_id");
        let ssh_private_key_file = self.required("ssh_private_key_file");
        let vpc_cidr = self.cidr("vpc_cidr");
        let admin_cidr = self.cidr("admin_cidr");
        let region = self.optional("region");
        let ebs_device = self.optional("ebs_device");
        let fencing = self.optional("fencing");
        let privip_agent = self.optional("privip_agent");
        Some(AwsVars {
            instance_ids: instance_ids.into_iter().collect::<Option<_>>()?,
            private_vip_address,
            eip_address,
            eip_allocation_id: eip_allocation_id?,
            ebs_volume_id: ebs_volume_id?,
            ssh_private_key_file: ssh_private_key_file?,
            vpc_cidr,
            admin_cidr,
            region,
            ebs_device,
            fencing,
            privip_agent,
        })
    }

    fn lan(&mut self, count: usize) -> Option<LanVars> {
        let vip = self.required::<Address>("vip");
        let pbx_datapath_disk = self.required("pbx_datapath_disk");
        let pbx_datapath_size = self.required("pbx_datapath_size");
        let fencing = self.optional("fencing");
        let fencing_options = self.optional("fencing_options");
        let node_fencing_options = (1..=count)
            .map(|n| self.optional(&format!("pbx0{n}_fencing_options")))
            .collect();
        Some(LanVars {
            vip: vip.map(|a| a.with(a.value.0))?,
            pbx_datapath_disk: pbx_datapath_disk?,
            pbx_datapath_size: pbx_datapath_size?,
            fencing,
            fencing_options,
            node_fencing_options,
        })
    }

    fn address(&mut self, name: &str) -> Option<At<Ipv4Addr>> {
        let address = self.optional::<Address>(name)?;
        Some(address.with(address.value.0))
    }

    fn cidr(&mut self, name: &str) -> Option<At<Ipv4Net>> {
        let cidr = self.optional::<Cidr>(name)?;
        Some(cidr.with(cidr.value.0))
    }
}

#[cfg(test)]
mod tests;
