//! What EC2 believes: instances, interfaces, addresses, volumes. Plain data and look-ups; the
//! rules that change it are in `action`, the passing of time in `transition`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use ipnet::Ipv4Net;

use super::OWNER;
use super::ebs::{Attachment, EbsSnapshot, Tags, Volume};
use super::error::ApiError;
use super::ids::{
    AllocationId, AssociationId, InstanceId, InterfaceId, SnapshotId, SubnetId, VolumeId,
};
use super::states::{InstanceState, VolumeState};
use super::volume_type::{Performance, VolumeType};
use crate::site;

#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) hostname: &'static str,
    pub(super) interface: InterfaceId,
    pub(super) state: InstanceState,
    /// Whether the model has given it power. The guest may be dead all the same.
    pub(super) powered: bool,
    pub(super) rebooting: bool,
    pub(super) launched: SystemTime,
    /// Why it is stopping or stopped, as DescribeInstances tells it.
    pub(super) reason: Option<&'static str>,
    /// Nobody may stop or terminate it through the API.
    pub(super) disable_api_stop: bool,
    /// Nobody may terminate it through the API.
    pub(super) disable_api_termination: bool,
    /// Whether the metadata service wants tokens, as DescribeInstances tells it. The lab's wants them always.
    pub(super) tokens_required: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub(super) instance: InstanceId,
    pub(super) mac: &'static str,
    pub(super) primary: Ipv4Addr,
    pub(super) secondary: Vec<Ipv4Addr>,
    /// The auto-assigned public address of the primary address, while the instance runs.
    pub(super) auto_public: Option<Ipv4Addr>,
    /// EC2 assigns it no public address any more (see `public_address.rs`).
    pub(super) no_public_address: bool,
}

impl Interface {
    pub(super) fn holds(&self, address: Ipv4Addr) -> bool {
        self.primary == address || self.secondary.contains(&address)
    }

    /// Primary first.
    pub(super) fn private(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        std::iter::once(self.primary).chain(self.secondary.iter().copied())
    }
}

#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) public: Ipv4Addr,
    pub(super) association: Option<Association>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Association {
    pub(super) id: AssociationId,
    pub(super) interface: InterfaceId,
    pub(super) private: Ipv4Addr,
}

/// The addresses as the VPC delivers them and as the metadata shows them: behind what the
/// API answers by `Timing::address`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Primary first.
    pub(crate) private: BTreeMap<InterfaceId, Vec<Ipv4Addr>>,
    pub(crate) public: BTreeMap<Ipv4Addr, (InterfaceId, Ipv4Addr)>,
}

#[derive(Debug, Clone)]
pub(super) struct Subnet {
    pub(super) id: SubnetId,
    pub(super) cidr: Ipv4Net,
}

/// A VPC endpoint: EC2's or another service's address within the VPC.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) service: String,
    /// Whether the service's own name leads to it.
    pub(super) private_dns: bool,
}

/// A rule of the security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InboundRule {
    pub(super) protocol: String,
    pub(super) ports: Option<(i32, i32)>,
    /// A range of addresses, or a group.
    pub(super) from: String,
}

/// The table of the vendor's guide, section "Inbound rule", and path MTU discovery, which is not in it.
const RULES: [(&str, i32, i32, &str); 13] = [
    ("udp", 35000, 65000, "0.0.0.0/0"),
    ("tcp", 0, 65535, "172.31.0.0/16"),
    ("udp", 0, 65535, "172.31.0.0/16"),
    ("tcp", 5432, 5432, "172.31.0.0/16"),
    ("tcp", 22, 22, "0.0.0.0/0"),
    ("udp", 5060, 5060, "0.0.0.0/0"),
    ("tcp", 5061, 5061, "0.0.0.0/0"),
    ("tcp", 5063, 5063, "0.0.0.0/0"),
    ("tcp", 8882, 8900, "0.0.0.0/0"),
    ("tcp", 10443, 10443, "0.0.0.0/0"),
    ("tcp", 80, 80, "0.0.0.0/0"),
    ("tcp", 443, 443, "0.0.0.0/0"),
    ("icmp", 3, 4, "0.0.0.0/0"),
];

/// Everything that EC2 knows.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) subnet: Subnet,
    /// The id of what the subnet's default route leads to.
    pub(super) default_route: String,
    pub(super) endpoints: Vec<Endpoint>,
    /// Of the security group that all instances are in.
    pub(super) rules: Vec<InboundRule>,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) interfaces: BTreeMap<InterfaceId, Interface>,
    pub(super) volumes: BTreeMap<VolumeId, Volume>,
    pub(super) snapshots: BTreeMap<SnapshotId, EbsSnapshot>,
    pub(super) addresses: BTreeMap<AllocationId, Address>,
    pub(super) delivered: Delivered,
    next: u64,
}

impl State {
    /// The site of `site`: three running instances and others besides, the volume available, the Elastic IP free.
    pub(super) fn of_site(besides: &'static [site::Instance]) -> Self {
        let now = SystemTime::now();
        let mut instances = BTreeMap::new();
        let mut interfaces = BTreeMap::new();
        for node in site::INSTANCES.iter().chain(besides) {
            let (id, eni) = (InstanceId::of_site(node.id), InterfaceId::of_site(node.eni));
            instances.insert(
                id.clone(),
                Instance {
                    hostname: node.hostname,
                    interface: eni.clone(),
                    state: InstanceState::Running,
                    powered: true,
                    rebooting: false,
                    launched: now,
                    reason: None,
                    disable_api_stop: false,
                    disable_api_termination: false,
                    tokens_required: true,
                },
            );
            interfaces.insert(
                eni,
                Interface {
                    instance: id,
                    mac: node.mac,
                    primary: node.private_ip,
                    secondary: Vec::new(),
                    auto_public: Some(node.public_ip),
                    no_public_address: false,
                },
            );
        }
        let address = Address {
            public: site::EIP,
            association: None,
        };
        let mut state = Self {
            subnet: Subnet {
                id: SubnetId::of_site(site::SUBNET_ID),
                cidr: subnet_cidr(),
            },
            default_route: "igw-0a1f3c5e7b9d2f4a3".to_owned(),
            endpoints: Vec::new(),
            rules: RULES
                .map(|(protocol, first, last, from)| InboundRule {
                    protocol: protocol.to_owned(),
                    ports: Some((first, last)),
                    from: from.to_owned(),
                })
                .to_vec(),
            instances,
            interfaces,
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            addresses: BTreeMap::from([(AllocationId::of_site(site::EIP_ALLOCATION), address)]),
            delivered: Delivered::default(),
            next: 1,
        };
        state.add_volume(VolumeId::of_site(site::VOLUME_ID), site::ZONE);
        state.delivered = state.deliverable();
        state
    }

    pub(super) fn add_volume(&mut self, id: VolumeId, zone: &'static str) {
        let volume = Volume {
            zone,
            size_gib: site::VOLUME_GIB,
            performance: Performance {
                kind: VolumeType::Io2,
                iops: Some(500),
                throughput: None,
            },
            key: format!(
                "arn:aws:kms:{}:{OWNER}:key/6e1f3c5e-7b9d-4f40-8a1f-3c5e7b9d2f40",
                site::REGION
            ),
            created: SystemTime::now(),
            origin: None,
            tags: Tags::new(),
            unattached: VolumeState::Available,
            attachment: None,
            modifications: Vec::new(),
        };
        self.volumes.insert(id, volume);
    }

    pub(super) fn add_interface(
        &mut self,
        instance: InstanceId,
        id: InterfaceId,
        mac: &'static str,
        primary: Ipv4Addr,
    ) {
        let interface = Interface {
            instance,
            mac,
            primary,
            secondary: Vec::new(),
            auto_public: None,
            no_public_address: true,
        };
        self.interfaces.insert(id, interface);
        self.delivered = self.deliverable();
    }

    /// Numbers attachments, associations, auto-assigned addresses and whatever is created.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn instance(&self, id: &InstanceId) -> Result<&Instance, ApiError> {
        self.instances.get(id).ok_or_else(|| no_instance(id))
    }

    pub(super) fn instance_mut(&mut self, id: &InstanceId) -> Result<&mut Instance, ApiError> {
        self.instances.get_mut(id).ok_or_else(|| no_instance(id))
    }

    pub(super) fn interface(&self, id: &InterfaceId) -> Result<&Interface, ApiError> {
        self.interfaces.get(id).ok_or_else(|| no_interface(id))
    }

    pub(super) fn interface_mut(&mut self, id: &InterfaceId) -> Result<&mut Interface, ApiError> {
        self.interfaces.get_mut(id).ok_or_else(|| no_interface(id))
    }

    pub(super) fn volume_mut(&mut self, id: &VolumeId) -> Result<&mut Volume, ApiError> {
        self.volumes.get_mut(id).ok_or_else(|| no_volume(id))
    }

    /// Which interface has a private address, primary or secondary.
    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<&InterfaceId> {
        self.interfaces
            .iter()
            .find(|(_, interface)| interface.holds(address))
            .map(|(id, _)| id)
    }

    /// The volumes that an instance holds, and their attachments.
    pub(super) fn held_by<'a>(
        &'a self,
        instance: &'a InstanceId,
    ) -> impl Iterator<Item = (&'a VolumeId, &'a Attachment)> + 'a {
        self.volumes.iter().filter_map(move |(id, volume)| {
            let attachment = volume.attachment.as_ref()?;
            (&attachment.instance == instance).then_some((id, attachment))
        })
    }

    /// The attachment with this number, if it still exists.
    pub(super) fn attachment(&self, volume: &VolumeId, number: u64) -> Option<&Attachment> {
        let attachment = self.volumes.get(volume)?.attachment.as_ref()?;
        (attachment.number == number).then_some(attachment)
    }

    /// The same, to change it.
    pub(super) fn attachment_mut(
        &mut self,
        volume: &VolumeId,
        number: u64,
    ) -> Option<&mut Attachment> {
        let attachment = self.volumes.get_mut(volume)?.attachment.as_mut()?;
        (attachment.number == number).then_some(attachment)
    }

    /// What the VPC and the metadata should show once they have caught up.
    pub(super) fn deliverable(&self) -> Delivered {
        let mut delivered = Delivered::default();
        for (id, interface) in &self.interfaces {
            delivered
                .private
                .insert(id.clone(), interface.private().collect());
            if let Some(public) = interface.auto_public {
                delivered
                    .public
                    .insert(public, (id.clone(), interface.primary));
            }
        }
        for address in self.addresses.values() {
            if let Some(association) = &address.association {
                let target = (association.interface.clone(), association.private);
                delivered.public.insert(address.public, target);
            }
        }
        delivered
    }
}

fn subnet_cidr() -> Ipv4Net {
    // The constant is well formed; an empty subnet would refuse every address, visibly.
    site::SUBNET_CIDR.parse().unwrap_or_default()
}

pub(super) fn no_instance(id: &InstanceId) -> ApiError {
    ApiError::client(
        "InvalidInstanceID.NotFound",
        format!("The instance ID '{id}' does not exist"),
    )
}

pub(super) fn no_interface(id: &InterfaceId) -> ApiError {
    ApiError::client(
        "InvalidNetworkInterfaceID.NotFound",
        format!("The networkInterface ID '{id}' does not exist"),
    )
}

pub(super) fn no_volume(id: &VolumeId) -> ApiError {
    ApiError::client(
        "InvalidVolume.NotFound",
        format!("The volume '{id}' does not exist."),
    )
}

pub(super) fn no_snapshot(id: &SnapshotId) -> ApiError {
    ApiError::client(
        "InvalidSnapshot.NotFound",
        format!("The snapshot '{id}' does not exist."),
    )
}

pub(super) fn no_allocation(id: &AllocationId) -> ApiError {
    ApiError::client(
        "InvalidAllocationID.NotFound",
        format!("The allocation ID '{id}' does not exist"),
    )
}
