//! The keys of vars.yml: the one list that the reader, the messages and the tests share.

use crate::mistake::{At, Mistake};

/// A key that vars.yml may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Whether the cluster can not be built without it.
    pub required: bool,
    /// A value that would be accepted.
    pub example: &'static str,
}

const fn required(name: &'static str, example: &'static str) -> Key {
    Key {
        name,
        required: true,
        example,
    }
}

const fn optional(name: &'static str, example: &'static str) -> Key {
    Key {
        name,
        required: false,
        example,
    }
}

/// Every key. The first nine are the vendor's.
pub const KEYS: &[Key] = &[
    required("pbx01_instance_id", "i-08807c762627239b8"),
    required("pbx02_instance_id", "i-03411641c37513049"),
    required("pbx03_instance_id", "i-0c301db1a53ae3a4b"),
    required("private_vip_address", "172.31.16.130"),
    required("eip_address", "54.151.30.9"),
    required("eip_allocation_id", "eipalloc-02c7cf64a5cd449cf"),
    required("ebs_volume_id", "vol-0e06e1e9da3c49b67"),
    required("pbx_image", "portsip/pbx:22"),
    required(
        "ssh_private_key_file",
        "/home/ubuntu/.ssh/aws-portsip-pbx-ha.pem",
    ),
    optional("pbx01_hostname", "ip-172-31-16-133"),
    optional("pbx02_hostname", "ip-172-31-16-134"),
    optional("pbx03_hostname", "ip-172-31-16-135"),
    optional("pbx01_private_ip", "172.31.16.133"),
    optional("pbx02_private_ip", "172.31.16.134"),
    optional("pbx03_private_ip", "172.31.16.135"),
    optional("subnet_cidr", "172.31.16.0/20"),
    optional("region", "us-west-1"),
    optional(
        "ebs_device",
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67",
    ),
    optional("fencing", "aws"),
    optional("fencing_action", "off"),
    optional("data_path", "/var/lib/portsip"),
    optional("privip_agent", "ocf:portsip:awsvip"),
];

/// Keys of older guides and of the other topology, and what to do about them here.
const FOREIGN: &[(&str, &str)] = &[
    ("vip", "private_vip_address"),
    ("eip", "eip_address"),
    ("pbx_datapath_disk", ""),
    ("pbx_datapath_size", ""),
    ("pcs_hacluster_pwd", ""),
    ("db_pwd", ""),
];

/// The key of that name.
pub(super) fn named(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// What to say of a key that is none.
pub(super) fn unknown(key: &At<String>) -> Mistake {
    let name = &key.value;
    let found = format!("`{name}` is not a key of vars.yml");
    if let Some((_, here)) = FOREIGN.iter().find(|(other, _)| other == name) {
        return match named(here) {
            Some(key_here) => Mistake::at(
                key,
                format!("{found} on AWS"),
                format!("{here}: {}", key_here.example),
            ),
            None => Mistake::at(
                key,
                format!("{found} on AWS"),
                "nothing; delete this line".to_owned(),
            ),
        };
    }
    match nearest(name) {
        Some(near) => Mistake::at(
            key,
            format!("{found}; did you mean `{}`?", near.name),
            format!("{}: {}", near.name, near.example),
        ),
        None => {
            let names: Vec<&str> = KEYS.iter().map(|k| k.name).collect();
            Mistake::at(key, found, format!("one of {}", names.join(" ")))
        }
    }
}

/// The key that differs least, if it differs by a third of its letters at most, or holds
/// the word whole.
fn nearest(name: &str) -> Option<&'static Key> {
    let name = name.to_lowercase().replace('-', "_");
    let distance = |key: &&Key| strsim::osa_distance(key.name, &name);
    KEYS.iter()
        .min_by_key(distance)
        .filter(|key| distance(key) <= key.name.len() / 3)
        .or_else(|| {
            KEYS.iter()
                .find(|key| name.len() > 3 && key.name.contains(name.as_str()))
        })
}
