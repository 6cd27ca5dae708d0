//! The state as others see it: the summary for `lab status`, the network for the VPC, an
//! instance's identity for the metadata service, and the moves of addresses for the log.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Ec2;
use super::action::{private_dns, public_of};
use super::events::Happening;
use super::ids::{InstanceId, InterfaceId};
use super::state::{Delivered, Interface, State};
use crate::site;
use crate::world::Network;

/// What `lab status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The instances.
    pub instances: Vec<InstanceSnapshot>,
    /// The volumes.
    pub volumes: Vec<VolumeSnapshot>,
    /// The virtual address of the site: the instance that it is assigned to.
    pub vip: Option<String>,
    /// The Elastic IP of the site: the private address that it leads to.
    pub eip: Option<Ipv4Addr>,
    /// The instance with that private address.
    pub eip_instance: Option<String>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSnapshot {
    /// Its id.
    pub id: String,
    /// `running`, ...
    pub state: String,
    /// Its private addresses, primary first.
    pub private: Vec<Ipv4Addr>,
    /// Public addresses that lead to it.
    pub public: Vec<Ipv4Addr>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// Its id.
    pub id: String,
    /// `available`, `in-use`, or `creating`.
    pub state: String,
    /// Who holds it.
    pub holder: Option<HolderSnapshot>,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderSnapshot {
    /// The instance.
    pub instance: String,
    /// The device name asked for, such as `/dev/sdf`.
    pub device: String,
    /// `attaching`, `attached`, `detaching` or `busy`.
    pub state: String,
}

/// An instance as its metadata shows it: addresses as delivered, which are behind the API's answers.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) launched: SystemTime,
    pub(crate) hostname: String,
    pub(crate) subnet: String,
    pub(crate) subnet_cidr: String,
    pub(crate) primary: OwnInterface,
    /// Further interfaces, in the order of their device indexes.
    pub(crate) others: Vec<OwnInterface>,
}

/// An interface of an instance, as its metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnInterface {
    pub(crate) id: InterfaceId,
    pub(crate) mac: &'static str,
    pub(crate) hostname: String,
    /// Primary first.
    pub(crate) private: Vec<Ipv4Addr>,
    /// Public to private.
    pub(crate) public: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl State {
    pub(super) fn snapshot(&self) -> Snapshot {
        let instances = self
            .instances
            .iter()
            .map(|(id, instance)| {
                // A terminated one has none.
                let interface = self.interfaces.get(&instance.interface);
                let private = || interface.into_iter().flat_map(Interface::private);
                InstanceSnapshot {
                    id: id.to_string(),
                    state: instance.state.name().to_owned(),
                    private: private().collect(),
                    public: private()
                        .filter_map(|private| public_of(self, interface?, private))
                        .collect(),
                }
            })
            .collect();
        let volumes = self
            .volumes
            .iter()
            .map(|(id, volume)| VolumeSnapshot {
                id: id.to_string(),
                state: volume.state().name().to_owned(),
                holder: volume.attachment.as_ref().map(|held| HolderSnapshot {
                    instance: held.instance.to_string(),
                    device: held.device.clone(),
                    state: held.state.name().to_owned(),
                }),
            })
            .collect();
        let holder = |interface| Some(self.interfaces.get(interface)?.instance.to_string());
        let association = self
            .addresses
            .values()
            .find(|address| address.public == site::EIP)
            .and_then(|address| address.association.as_ref());
        Snapshot {
            instances,
            volumes,
            vip: self.holder(site::VIP).and_then(holder),
            eip: association.map(|association| association.private),
            eip_instance: association.and_then(|association| holder(&association.interface)),
        }
    }

    /// Instances instead of interfaces: what the VPC has machines for.
    pub(super) fn network(&self, delivered: &Delivered) -> Network {
        let mut network = Network::default();
        for (interface, addresses) in &delivered.private {
            if let Some(interface) = self.interfaces.get(interface) {
                let instance = interface.instance.to_string();
                let all = network.private.entry(instance).or_default();
                all.extend(addresses.iter().copied());
            }
        }
        for (public, (_, private)) in &delivered.public {
            network.public.insert(*public, *private);
        }
        network
    }

    pub(super) fn identity(&self, id: &InstanceId) -> Option<Identity> {
        let instance = self.instances.get(id)?;
        let others = self
            .interfaces
            .iter()
            .filter(|(own, interface)| interface.instance == *id && **own != instance.interface);
        let primary = self.own_interface(&instance.interface)?;
        Some(Identity {
            launched: instance.launched,
            hostname: primary.hostname.clone(),
            subnet: self.subnet.id.to_string(),
            subnet_cidr: self.subnet.cidr.to_string(),
            primary,
            others: others
                .filter_map(|(own, _)| self.own_interface(own))
                .collect(),
        })
    }

    fn own_interface(&self, id: &InterfaceId) -> Option<OwnInterface> {
        let interface = self.interfaces.get(id)?;
        let delivered = &self.delivered;
        let public = delivered.public.iter().filter(|(_, (at, _))| at == id);
        Some(OwnInterface {
            id: id.clone(),
            mac: interface.mac,
            hostname: private_dns(interface.primary),
            private: delivered.private.get(id).cloned().unwrap_or_default(),
            public: public
                .map(|(public, (_, private))| (*public, *private))
                .collect(),
        })
    }
}

impl Ec2 {
    /// Logs every address that is elsewhere in `after` than in `before`.
    pub(super) fn note_moves(&self, before: &Delivered, after: &Delivered) {
        let state = super::locked(&self.state);
        // Also of an interface that went with its instance.
        let instance_of = |interface: &InterfaceId| {
            let mut instances = state.instances.iter();
            let (id, _) = instances.find(|(_, instance)| instance.interface == *interface)?;
            Some(id.to_string())
        };
        let holder = |delivered: &Delivered, address: Ipv4Addr| {
            let (interface, _) = delivered
                .private
                .iter()
                .find(|(_, addresses)| addresses.contains(&address))?;
            instance_of(interface)
        };
        let both = |get: fn(&Delivered) -> Vec<Ipv4Addr>| {
            let mut addresses = get(before);
            addresses.extend(get(after));
            addresses.sort_unstable();
            addresses.dedup();
            addresses
        };
        for address in both(|d| d.private.values().flatten().copied().collect()) {
            let (from, to) = (holder(before, address), holder(after, address));
            if from != to {
                self.events.add(Happening::Address { address, from, to });
            }
        }
        for public in both(|d| d.public.keys().copied().collect()) {
            let target = after.public.get(&public);
            if before.public.get(&public) != target {
                self.events.add(Happening::Association {
                    public,
                    private: target.map(|(_, private)| *private),
                    instance: target.and_then(|(interface, _)| instance_of(interface)),
                });
            }
        }
    }
}
