//! `vars.yml` as it was written: every key with a type and a place, nothing derived. What several
//! keys mean together is decided in `site`, which knows this module; this one does not know `site`.

mod fields;
mod keys;
mod read;
mod values;

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use crate::ids::{
    AllocationId, DataPath, DiskPath, EbsDevice, FencingOptions, FilePath, ImageName, InstanceId,
    NodeName, Region, Size, VolumeId,
};
use crate::mistake::{At, Code, Mistake, Position, Source};

use fields::{Field, Fields};
use keys::Key;
pub(crate) use keys::MOST_NODES;
pub use values::{
    AwsFencingWord, Cidr, DrbdVersion, FencingAction, LanFencingWord, PrivipAgent, SipTransport,
};

/// What a file may have at most. The longest useful file has some five thousand bytes.
pub const MOST_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// EC2 instances, an EBS volume, an Elastic IP.
    Aws,
    /// Machines of one LAN, DRBD, a virtual address.
    Lan,
}

/// Where the cluster runs, and the keys that only a cluster there has.
#[derive(Debug, Clone)]
pub enum Topology {
    Aws(Box<AwsVars>),
    Lan(Box<LanVars>),
}

/// Everything in the file, and the file itself, to show its lines.
#[derive(Debug, Clone)]
pub struct Vars {
    pub(crate) source: Source,
    pub topology: Topology,
    pub shared: SharedVars,
}

/// Declares the keys of vars.yml, each once: the field, its type, the key, and a value that would be
/// accepted. The type says whether the key must be there (`At`) or may be (`Option<At>`), and whether
/// every node has one (`Vec`). The example of a node's key ends with what is added to its number.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident of $system:expr, {
        $($field:ident: $type:ty = $key:literal, $example:literal;)+
    })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone)]
            pub struct $name {
                $(#[doc = concat!("`", $key, "`.")] pub $field: $type,)+
            }

            impl $name {
                fn read(fields: &mut Fields) -> Option<Self> {
                    // Every key is read before a missing one ends this, so that all are checked.
                    $(let $field = <$type>::read(fields, $key);)+
                    Some($name { $($field: $field?,)+ })
                }
            }
        )+

        const KEYS: &[Key] = &[$($(Key {
            name: $key,
            system: $system,
            required: <$type>::REQUIRED,
            example: $example,
        },)+)+];
    };
}

keys! {
    SharedVars of None, {
        hostnames: Vec<Option<At<NodeName>>> = "pbx0N_hostname", "pbx01";
        private_ips: Vec<Option<At<Ipv4Addr>>> = "pbx0N_private_ip", "192.168.1.131";
        pbx_image: At<ImageName> = "pbx_image", "portsip/pbx:22";
        subnet_cidr: Option<At<Cidr>> = "subnet_cidr", "192.168.1.0/24";
        fencing_action: Option<At<FencingAction>> = "fencing_action", "off";
        data_path: Option<At<DataPath>> = "data_path", "/var/lib/portsip";
        sip_transport: Option<At<SipTransport>> = "sip_transport", "tcp";
        sip_port: Option<At<NonZeroU16>> = "sip_port", "5063";
        web_port: Option<At<NonZeroU16>> = "web_port", "8887";
    }

    AwsVars of Some(System::Aws), {
        instance_ids: Vec<At<InstanceId>> = "pbx0N_instance_id", "i-08807c762627239b8";
        private_vip_address: Option<At<Ipv4Addr>> = "private_vip_address", "172.31.16.130";
        eip_address: Option<At<Ipv4Addr>> = "eip_address", "54.151.30.9";
        eip_allocation_id: At<AllocationId> = "eip_allocation_id", "eipalloc-02c7cf64a5cd449cf";
        ebs_volume_id: At<VolumeId> = "ebs_volume_id", "vol-0e06e1e9da3c49b67";
        ssh_private_key_file: At<FilePath> =
            "ssh_private_key_file", "/home/ubuntu/.ssh/aws-portsip-pbx-ha.pem";
        vpc_cidr: Option<At<Cidr>> = "vpc_cidr", "172.31.0.0/16";
        admin_cidr: Option<At<Cidr>> = "admin_cidr", "203.0.113.0/24";
        region: Option<At<Region>> = "region", "us-west-1";
        ebs_device: Option<At<EbsDevice>> =
            "ebs_device", "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67";
        fencing: Option<At<AwsFencingWord>> = "fencing", "none";
        privip_agent: Option<At<PrivipAgent>> = "privip_agent", "ocf:portsip:awsvip";
    }

    LanVars of Some(System::Lan), {
        vip: At<Ipv4Addr> = "vip", "192.168.1.130";
        pbx_datapath_disk: At<DiskPath> = "pbx_datapath_disk", "/dev/sdb";
        pbx_datapath_size: At<Size> = "pbx_datapath_size", "36G";
        drbd: Option<At<DrbdVersion>> = "drbd", "8.4";
        fencing: Option<At<LanFencingWord>> = "fencing", "none";
        fencing_options: Option<At<FencingOptions>> = "fencing_options", "lanplus=1 username=fencing";
        node_fencing_options: Vec<Option<At<FencingOptions>>> =
            "pbx0N_fencing_options", "ip=192.168.1.231";
    }
}

impl Vars {
    pub fn node_count(&self) -> usize {
        self.shared.hostnames.len()
    }

    /// The instances, in the order of the nodes; none on a LAN.
    pub fn instances(&self) -> Vec<InstanceId> {
        match &self.topology {
            Topology::Aws(aws) => aws.instance_ids.iter().map(|id| id.value.clone()).collect(),
            Topology::Lan(_) => Vec::new(),
        }
    }

    pub fn region(&self) -> Option<&Region> {
        match &self.topology {
            Topology::Aws(aws) => aws.region.as_ref().map(|region| &region.value),
            Topology::Lan(_) => None,
        }
    }

    /// Whether a name or an address of a node is not in the file: then it must come from
    /// `--nodes` or from EC2.
    pub fn lacks_nodes(&self) -> bool {
        self.shared.hostnames.iter().any(Option::is_none)
            || self.shared.private_ips.iter().any(Option::is_none)
    }

    /// Whether an address of the cluster is not in the file: then it must come from EC2.
    pub fn lacks_addresses(&self) -> bool {
        match &self.topology {
            Topology::Aws(aws) => aws.private_vip_address.is_none() || aws.eip_address.is_none(),
            Topology::Lan(_) => false,
        }
    }
}

/// A file as far as it can be read.
pub(crate) struct Draft {
    pub(crate) source: Source,
    /// What the file says; in place of a required value that is missing or malformed, its example.
    pub(crate) vars: Option<Vars>,
    /// What is wrong with the keys, each looked at alone.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Draft {
    /// Reads the bytes of a file called `name`.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Draft {
        // A byte order mark is not part of the first key.
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let mut source = Source {
            name: name.to_owned(),
            text: String::new(),
        };
        let (entries, mistakes) = if bytes.len() > MOST_BYTES {
            (Vec::new(), vec![too_large()])
        } else {
            source.text = String::from_utf8_lossy(bytes).into_owned();
            match std::str::from_utf8(bytes) {
                Err(error) => (Vec::new(), vec![not_text(bytes, error.valid_up_to())]),
                Ok(text) => read::entries(text),
            }
        };
        // After a mistake that stopped the reader, every key would be called missing.
        if entries.is_empty() && !mistakes.is_empty() {
            return Draft {
                source,
                vars: None,
                mistakes,
            };
        }
        let mut fields = Fields::new(&source.text, entries, mistakes);
        let vars = fields.vars(&source);
        let mistakes = fields.mistakes;
        Draft {
            source,
            vars,
            mistakes,
        }
    }
}

fn too_large() -> Mistake {
    let most = MOST_BYTES / 1024;
    let found = format!("the file has more than {most} KiB: this is not a vars.yml");
    let help = "give the path of vars.yml, a file of some ten lines `key: value`";
    Mistake::elsewhere(Code::TooLarge, found, help)
}

/// Everything before the first byte that is not UTF-8 is text, so the line and column are known.
fn not_text(bytes: &[u8], good: usize) -> Mistake {
    let before = String::from_utf8_lossy(&bytes[..good]);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let (line, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
    let position = Position { line, column };
    let place = At {
        value: (),
        position,
        width: 1,
    };
    let found = format!("this is not UTF-8 text: byte {:#04x}", bytes[good]);
    Mistake::at(
        Code::NotText,
        &place,
        found,
        "save the file as plain text in UTF-8",
    )
}

#[cfg(test)]
mod tests;
