//! The keys that a file has, each read into its type; what is missing or malformed is noted.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use super::words::{Address, Cidr, Port};
use super::{AwsVars, LanVars, NodeVars, System, Topology, Vars, keys, read};
use crate::ids::{InstanceId, Malformed, NodeName};
use crate::mistake::{At, Code, Mistake, Position, Source};

/// The entries by key, and the mistakes found so far.
pub(super) struct Keys {
    system: System,
    found: BTreeMap<String, At<read::Value>>,
    end: At<()>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Keys {
    pub(super) fn new(text: &str, entries: Vec<read::Entry>, mut mistakes: Vec<Mistake>) -> Self {
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
    fn optional<T: FromStr<Err: Into<Malformed>>>(&mut self, name: &str) -> Option<At<T>> {
        let value = self.found.get(name)?.clone();
        let text = match &value.value {
            read::Value::Text(text) => text,
            read::Value::Unreadable => return None,
            read::Value::Nothing => {
                self.mistakes.push(Mistake::at(
                    Code::Empty,
                    &value,
                    format!("`{name}` has no value"),
                    keys::line(name),
                ));
                return None;
            }
        };
        match text.parse() {
            Ok(parsed) => Some(value.with(parsed)),
            Err(error) => {
                let Malformed { code, found, write } = error.into();
                let found = format!("{name}: {found}");
                self.mistakes.push(Mistake::at(code, &value, found, write));
                None
            }
        }
    }

    /// The same for a key that must be there. What is missing or malformed is a mistake, and has
    /// a value that stands in for it while the rest is looked at.
    fn required<T: FromStr<Err: Into<Malformed>>>(&mut self, name: &str) -> Option<At<T>> {
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

    pub(super) fn vars(&mut self, source: &Source) -> Option<Vars> {
        // Every key is read before the first missing one ends this, so that all are checked.
        let count = self.node_count()?;
        let topology = match self.system {
            System::Aws => self.aws(count).map(|aws| Topology::Aws(Box::new(aws))),
            System::Lan => self.lan(count).map(|lan| Topology::Lan(Box::new(lan))),
        };
        let nodes = (1..=count)
            .map(|n| NodeVars {
                hostname: self.optional(&format!("pbx0{n}_hostname")),
                private_ip: self.address(&format!("pbx0{n}_private_ip")),
            })
            .collect();
        let pbx_image = self.required("pbx_image");
        let data_path = self.optional("data_path");
        let sip_transport = self.optional("sip_transport");
        let sip_port = self.port("sip_port");
        let web_port = self.port("web_port");
        let subnet_cidr = self.cidr("subnet_cidr");
        let fencing_action = self.optional("fencing_action");
        Some(Vars {
            source: source.clone(),
            topology: topology?,
            nodes,
            pbx_image: pbx_image?,
            data_path,
            sip_transport,
            sip_port,
            web_port,
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

    fn port(&mut self, name: &str) -> Option<At<u16>> {
        let port = self.optional::<Port>(name)?;
        Some(port.with(port.value.0))
    }

    fn cidr(&mut self, name: &str) -> Option<At<Ipv4Net>> {
        let cidr = self.optional::<Cidr>(name)?;
        Some(cidr.with(cidr.value.0))
    }
}
