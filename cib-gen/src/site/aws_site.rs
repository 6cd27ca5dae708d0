//! What is special to a site in EC2.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Resolver, private, value_or};
use crate::ids::{
    AccountId, AllocationId, DevicePath, EbsDevice, FilePath, InstanceId, InterfaceId, Region,
    VolumeId, nvme_link,
};
use crate::mistake::{At, Code};
use crate::nodes::{FoundVolume, NotInRegion};
use crate::vars::{AwsFencingWord, AwsVars, Cidr, FencingAction, PrivipAgent};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSite {
    /// The instances, in the order of the nodes.
    pub instances: Vec<InstanceId>,
    /// Their first interfaces, in the same order; empty where EC2 was not asked.
    pub interfaces: Vec<InterfaceId>,
    /// The account that owns them, if EC2 was asked.
    pub account: Option<AccountId>,
    /// The virtual address: a secondary private address of the active node.
    pub vip: Ipv4Addr,
    /// The Elastic IP, associated with the virtual address.
    pub elastic_ip: Ipv4Addr,
    pub allocation: AllocationId,
    pub volume: VolumeId,
    pub device: VolumeDevice,
    /// The region. Without one, what runs on a node takes the node's own.
    pub region: Option<Region>,
    /// The addresses of the subnet, if they are known.
    pub subnet: Option<Ipv4Net>,
    /// The addresses of the VPC, if vars.yml names them.
    pub vpc: Option<Ipv4Net>,
    /// From where operators log in, if vars.yml names it.
    pub admin: Option<Ipv4Net>,
    pub fencing: AwsFencing,
    pub privip_agent: PrivipAgent,
    pub ssh_private_key_file: FilePath,
}

/// How the volume is called on a node: decided once, for what attaches it and for what mounts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDevice {
    /// The device that is mounted: on Nitro instances a link by the volume's id, which can be no other
    /// volume; on Xen instances, which show no id, the name that it is attached by.
    pub mounted: DevicePath,
    /// The name that EC2 is asked for, if vars.yml names one.
    pub attached_as: Option<DevicePath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsFencing {
    /// EC2 stops the instance; then this.
    Ec2(FencingAction),
    /// Not at all, because the user asked for it by name.
    None,
}

impl Resolver<'_> {
    /// The site, if nothing of it is unknown.
    pub(super) fn aws_site(&mut self, aws: &AwsVars) -> Option<AwsSite> {
        // No two nodes may be the same instance.
        for (n, id) in aws.instance_ids.iter().enumerate() {
            if aws.instance_ids[..n].iter().any(|e| e.value == id.value) {
                let found = format!("{} is already another node", id.value);
                let help = "write the id of another instance; each node has its own";
                self.mistake(Code::SameNode, id, found, help);
            }
        }
        let subnet = self.subnet(aws);
        let vip = self.vip(aws);
        if let Some(vip) = &vip {
            self.check_virtual_address(vip, subnet, reserved);
        }
        let elastic_ip = self.elastic_ip(aws, vip.as_ref());
        let fencing = match value_or(&aws.fencing, AwsFencingWord::Aws) {
            AwsFencingWord::Aws => {
                let action = value_or(&self.vars.shared.fencing_action, FencingAction::Off);
                AwsFencing::Ec2(action)
            }
            AwsFencingWord::None => {
                self.refuse_fencing_action("none");
                AwsFencing::None
            }
        };
        self.check_volume(&aws.ebs_volume_id);
        let device = self.volume_device(aws);
        let interface = |id: &At<InstanceId>| {
            let mut found = self.known.found.iter();
            let node = found.find(|found| found.instance_id == id.value)?;
            node.interface.clone()
        };
        let interfaces: Option<Vec<InterfaceId>> = aws.instance_ids.iter().map(interface).collect();
        let cidr = |written: &Option<At<Cidr>>| written.as_ref().map(|cidr| cidr.value.0);
        Some(AwsSite {
            instances: self.vars.instances(),
            interfaces: interfaces.unwrap_or_default(),
            account: self.known.account.clone(),
            vip: vip?.value,
            elastic_ip: elastic_ip?,
            allocation: aws.eip_allocation_id.value.clone(),
            volume: aws.ebs_volume_id.value.clone(),
            device,
            region: self.vars.region().or(self.known.region.as_ref()).cloned(),
            subnet,
            vpc: cidr(&aws.vpc_cidr),
            admin: cidr(&aws.admin_cidr),
            fencing,
            privip_agent: value_or(&aws.privip_agent, PrivipAgent::Portsip),
            ssh_private_key_file: aws.ssh_private_key_file.value.clone(),
        })
    }

    /// The subnet: that of vars.yml, or that of the instances.
    fn subnet(&mut self, aws: &AwsVars) -> Option<Ipv4Net> {
        if let Some(cidr) = &self.vars.shared.subnet_cidr {
            return Some(cidr.value.0);
        }
        let subnets: BTreeSet<Ipv4Net> = self
            .known
            .found
            .iter()
            .filter_map(|f| f.subnet_cidr)
            .collect();
        if subnets.len() > 1 {
            let (count, list) = (subnets.len(), list(&subnets));
            let found = format!("the instances are in {count} subnets: {list}");
            let help = "name instances of one subnet, so that an address can move between them";
            self.mistake(Code::OtherSubnet, &aws.instance_ids[0], found, help);
            return None;
        }
        subnets.into_iter().next()
    }

    /// The virtual address. Newer guides do not name it: then it is the private address that the
    /// Elastic IP is associated with, or the only secondary address that the instances have.
    fn vip(&mut self, aws: &AwsVars) -> Option<At<Ipv4Addr>> {
        if let Some(vip) = &aws.private_vip_address {
            return Some(vip.clone());
        }
        let (at, nodes) = (&aws.eip_allocation_id, &self.known.found);
        let is_primary = |address: &Ipv4Addr| nodes.iter().any(|f| f.private_ip == *address);
        let elastic_ip = self.known.elastic_ip.as_ref();
        let associated = elastic_ip.and_then(|found| found.as_ref().ok()?.private);
        if let Some(address) = associated.filter(|address| !is_primary(address)) {
            return Some(at.with(address));
        }
        let secondary: BTreeSet<&Ipv4Addr> = nodes.iter().flat_map(|f| &f.secondary).collect();
        let why = match secondary.first() {
            Some(address) if secondary.len() == 1 => return Some(at.with(**address)),
            Some(_) => format!(
                "the instances have several secondary addresses: {}",
                list(&secondary)
            ),
            None if nodes.is_empty() => "EC2 was not asked".to_owned(),
            None => {
                "the Elastic IP is associated with no secondary address, and the instances have none"
                    .to_owned()
            }
        };
        let found = format!("the virtual address is neither in the file nor known from EC2: {why}");
        let help = "add private_vip_address: a private address of the nodes' subnet that nothing else uses";
        self.mistake(Code::UnknownAddress, at, found, help);
        None
    }

    /// The Elastic IP. Newer guides name only its allocation: then it is what EC2 says.
    fn elastic_ip(&mut self, aws: &AwsVars, vip: Option<&At<Ipv4Addr>>) -> Option<Ipv4Addr> {
        let allocation = &aws.eip_allocation_id;
        let written = aws.eip_address.as_ref().map(|eip| eip.value);
        let actual = match self.known.elastic_ip.clone() {
            Some(Err(NotInRegion(region))) => {
                self.not_in_ec2(allocation, &region, "Elastic IP", "eip_allocation_id");
                return written;
            }
            found => found.and_then(Result::ok).map(|found| found.public),
        };
        let Some(eip) = &aws.eip_address else {
            if actual.is_none() {
                let found =
                    "the address of the Elastic IP is not in the file, and EC2 was not asked";
                let help = "add eip_address: the public address that belongs to eip_allocation_id; \
                            or leave out --offline to ask EC2";
                self.mistake(Code::UnknownAddress, allocation, found, help);
            }
            return actual;
        };
        let address = eip.value;
        let [first, ..] = address.octets();
        let is_private = private(address) || vip.is_some_and(|vip| vip.value == address);
        // RFC 6890, RFC 5771 and RFC 1112: "this network", multicast, reserved.
        if is_private || first == 0 || first >= 224 {
            let what = match is_private {
                true => "a private address",
                false => "no address of a single host on the Internet",
            };
            let found = format!("{address} is not an Elastic IP: it is {what}");
            let help = "write the public address that belongs to eip_allocation_id";
            self.mistake(Code::NotElastic, eip, found, help);
        } else if let Some(actual) = actual.filter(|actual| *actual != address) {
            let found = format!("{address} is not the address of {}", allocation.value);
            self.mistake(Code::NotElastic, eip, found, format!("write {actual}"));
        }
        Some(address)
    }

    fn not_in_ec2<T: std::fmt::Display>(
        &mut self,
        id: &At<T>,
        region: &str,
        what: &str,
        key: &str,
    ) {
        let found = format!("EC2 in {region} has no {what} {} ({key})", id.value);
        let help = "correct the id; or, if it is of another region or account, say with `region`, --region and \
                    --profile where and as whom EC2 is asked";
        self.mistake(Code::NotInEc2, id, found, help);
    }

    /// Refuses a volume that no node could attach, or that several could attach at once.
    fn check_volume(&mut self, volume: &At<VolumeId>) {
        let id = &volume.value;
        let FoundVolume {
            zone,
            multi_attach,
            lost,
        } = match self.known.volume.clone() {
            None => return,
            Some(Err(NotInRegion(region))) => {
                return self.not_in_ec2(volume, &region, "volume", "ebs_volume_id");
            }
            Some(Ok(found)) => found,
        };
        let mut nodes = self.known.found.iter().filter(|node| !node.zone.is_empty());
        if lost {
            let found = format!("EC2 is deleting the volume {id}, or its state is `error`");
            let help = "write the id of another volume, such as one that is made from a snapshot";
            self.mistake(Code::NotInEc2, volume, found, help);
        } else if let Some(node) = nodes.find(|node| node.zone != zone) {
            let (node, elsewhere) = (&node.instance_id, &node.zone);
            let found = format!(
                "{id} is in {zone}, and {node} in {elsewhere}: a volume can be attached only in its own zone"
            );
            let help = "write the id of a volume in the zone of the nodes. A snapshot can be made into a volume \
                        of any zone";
            self.mistake(Code::NotInEc2, volume, found, help);
        }
        if multi_attach {
            let found = format!(
                "{id} has Multi-Attach on: two nodes could mount it at once and destroy its data"
            );
            let help = format!(
                "turn it off: aws ec2 modify-volume --volume-id {id} --no-multi-attach-enabled"
            );
            self.mistake(Code::NotInEc2, volume, found, help);
        }
    }

    /// How the volume is called on the nodes, which must all be of the kind that ebs_device is for.
    fn volume_device(&mut self, aws: &AwsVars) -> VolumeDevice {
        let volume = &aws.ebs_volume_id;
        let by_id = nvme_link(&volume.value);
        let mut place = volume.with(());
        let mut help = "add ebs_device: /dev/xvdf; or use instances of a newer type";
        let mut attached_as = None;
        if let Some(at) = &aws.ebs_device {
            place = at.with(());
            help = "write /dev/xvdf, or another letter up to /dev/xvdp";
            match &at.value {
                EbsDevice::Xen(name) => {
                    self.check_xen_name(at, volume);
                    let (mounted, attached_as) = (name.clone(), Some(name.clone()));
                    return VolumeDevice {
                        mounted,
                        attached_as,
                    };
                }
                EbsDevice::Asked(name) => attached_as = Some(name.clone()),
                EbsDevice::Link(link) if *link != by_id => {
                    let found = format!("this is the link of another volume than {}", volume.value);
                    let help = format!("delete this line, or write {by_id}");
                    self.mistake(Code::Contradiction, at, found, help);
                }
                EbsDevice::Link(_) => {}
            }
        }
        let mut nodes = self.known.found.iter();
        if let Some(xen) = nodes.find(|node| is_xen(&node.instance_type)) {
            let (id, kind) = (&xen.instance_id, &xen.instance_type);
            let found =
                format!("{id} is a Xen instance ({kind}), where no volume has a link by its id");
            self.mistake(Code::Malformed, &place, found, help);
        }
        let mounted = by_id;
        VolumeDevice {
            mounted,
            attached_as,
        }
    }

    /// Refuses the name that a Xen instance shows the volume by, where it is not that volume's name.
    fn check_xen_name(&mut self, at: &At<EbsDevice>, volume: &At<VolumeId>) {
        let name = at.value.to_string();
        for node in &self.known.found {
            let (id, kind) = (&node.instance_id, &node.instance_type);
            if kind.is_empty() {
                continue;
            }
            if !is_xen(kind) {
                let found = format!(
                    "{id} is not a Xen instance ({kind}): no device is called {name} there"
                );
                let help = "delete this line, or write /dev/sdf to /dev/sdp for a device name of your choice";
                self.mistake(Code::Malformed, at, found, help);
            }
            let mut others = (node.volumes.iter()).filter(|(id, _)| id != volume.value.as_str());
            let taken =
                others.find(|(_, device)| EbsDevice::xen_name(device).as_ref() == Some(&name));
            if let Some((other, _)) = taken {
                let found = format!("{name} is another volume on {id}: {other}");
                let help =
                    "write a name from /dev/xvdf to /dev/xvdp that no volume of the nodes has";
                self.mistake(Code::Malformed, at, found, help);
            }
        }
    }
}

fn list<T: ToString>(items: &BTreeSet<T>) -> String {
    let texts: Vec<String> = items.iter().map(T::to_string).collect();
    texts.join(", ")
}

/// Whether instances of a type run on Xen (EC2 User Guide, "Instances built on Xen"). AWS adds no
/// new Xen types; whatever is not here runs on Nitro.
fn is_xen(instance_type: &str) -> bool {
    const FAMILIES: &[&str] = &[
        "c1", "c3", "c4", "cc2", "cr1", "d2", "f1", "g2", "g3", "g3s", "h1", "hs1", "i2", "i3",
        "m1", "m2", "m3", "m4", "p2", "p3", "r3", "r4", "t1", "t2", "x1", "x1e",
    ];
    let (family, size) = instance_type.split_once('.').unwrap_or_default();
    // A bare machine of such a family, i3.metal, is built on Nitro.
    FAMILIES.contains(&family) && !size.starts_with("metal")
}

/// AWS keeps the first four addresses and the last of every subnet (VPC User Guide,
/// "Subnet CIDR blocks").
fn reserved(subnet: Ipv4Net, address: Ipv4Addr) -> Option<&'static str> {
    let kept =
        u32::from(address) - u32::from(subnet.network()) < 4 || address == subnet.broadcast();
    kept.then_some("AWS keeps the first four addresses and the last one of a subnet")
}
