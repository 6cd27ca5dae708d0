//! The names that vars.yml holds, each a type that is checked once, when it is read:
//! EC2 ids, node names, regions, paths and image references.

/// A checked text: a newtype whose only way in is its check.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                let check: fn(&str) -> Result<String, Malformed> = $check;
                check(text).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

mod ebs;
mod fencing;
mod storage;

use std::fmt;
use std::str::FromStr;

use crate::mistake::Code;

pub use ebs::EbsDevice;
pub use fencing::{FenceAgent, FencingOptions, Target};
pub use storage::{DiskPath, Size};

/// Why a text is not what it should be, and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found}; write: {write}")]
pub struct Malformed {
    /// Which kind of mistake it is.
    pub code: Code,
    /// What is wrong with the text.
    pub found: String,
    /// What to write.
    pub write: String,
}

impl Malformed {
    /// A text that is not what it should be.
    pub fn new(found: impl Into<String>, write: impl Into<String>) -> Malformed {
        Malformed::coded(Code::Malformed, found, write)
    }

    /// The same, where the kind of mistake is one of its own.
    pub fn coded(code: Code, found: impl Into<String>, write: impl Into<String>) -> Malformed {
        Malformed {
            code,
            found: found.into(),
            write: write.into(),
        }
    }
}

/// The kinds of id that people mix up.
const KINDS: &[(&str, &str)] = &[
    ("i-", "an instance id"),
    ("vol-", "a volume id"),
    ("eipalloc-", "the allocation id of an Elastic IP"),
    ("eipassoc-", "the id of an Elastic IP's association"),
    ("eni-", "a network interface id"),
    ("subnet-", "a subnet id"),
    ("snap-", "a snapshot id"),
    ("ami-", "an image id"),
];

/// Checks an EC2 id: the prefix, then 8 (before 2016) or 17 hexadecimal digits.
fn ec2_id(text: &str, prefix: &str, kind: &str) -> Result<String, Malformed> {
    let example = format!(
        "{kind}: `{prefix}` and 17 hexadecimal digits (8 for old ones), such as {prefix}0123456789abcdef0"
    );
    let Some(digits) = text.strip_prefix(prefix) else {
        return Err(match KINDS.iter().find(|(p, _)| text.starts_with(p)) {
            Some((_, other)) => Malformed::coded(
                Code::OtherKind,
                format!("`{text}` is {other}, not {kind}"),
                example,
            ),
            None => Malformed::new(format!("`{text}` is not {kind}"), example),
        });
    };
    if let Some(c) = digits.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(Malformed::new(
            format!("`{text}` is not {kind}: `{c}` is not one of 0-9 and a-f"),
            example,
        ));
    }
    match digits.len() {
        8 | 17 => Ok(text.to_owned()),
        n => Err(Malformed::new(
            format!("`{text}` is not {kind}: it has {n} hexadecimal digits after `{prefix}`"),
            example,
        )),
    }
}

/// Letters and digits, and the given others.
fn only(text: &str, others: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// One digit or more, and nothing else.
fn digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

checked_text!(
    /// An EC2 instance: `i-08807c762627239b8`.
    InstanceId,
    |text| ec2_id(text, "i-", "an instance id")
);

checked_text!(
    /// An EBS volume: `vol-0e06e1e9da3c49b67`.
    VolumeId,
    |text| ec2_id(text, "vol-", "a volume id")
);

checked_text!(
    /// The allocation of an Elastic IP: `eipalloc-02c7cf64a5cd449cf`.
    AllocationId,
    |text| ec2_id(text, "eipalloc-", "the allocation id of an Elastic IP")
);

checked_text!(
    /// A node's name in the cluster: its host name, as `uname -n` prints it (RFC 1123).
    NodeName,
    |text| {
        let label = |l: &str| {
            !l.is_empty() && l.len() <= 63 && only(l, "-") && !l.starts_with('-') && !l.ends_with('-')
        };
        // 64 is what uname(2) can hold.
        if text.len() <= 64 && text.split('.').all(label) {
            Ok(text.to_owned())
        } else {
            Err(Malformed::new(
                format!("`{text}` is not a host name"),
                "the host name as `uname -n` prints it on the node, such as ip-172-31-16-133",
            ))
        }
    }
);

checked_text!(
    /// An AWS region: `us-west-1`.
    Region,
    |text| {
        let parts: Vec<&str> = text.split('-').collect();
        let letters = |p: &&str| !p.is_empty() && p.chars().all(|c| c.is_ascii_lowercase());
        let good = match parts.as_slice() {
            [names @ .., number] => {
                names.len() >= 2
                    && names.iter().all(letters)
                    && !number.is_empty()
                    && number.chars().all(|c| c.is_ascii_digit())
            }
            [] => false,
        };
        if good {
            return Ok(text.to_owned());
        }
        let zone = text.strip_suffix(|c: char| c.is_ascii_lowercase());
        Err(match zone.filter(|z| Region::from_str(z).is_ok()) {
            Some(region) => Malformed::new(
                format!("`{text}` is an availability zone, not a region"),
                region,
            ),
            None => Malformed::new(
                format!("`{text}` is not an AWS region"),
                "a region such as us-west-1",
            ),
        })
    }
);

impl NodeName {
    /// Whether Pacemaker takes both for one node: it compares names without regard to case.
    pub fn is_same(&self, other: &NodeName) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl VolumeId {
    /// The link that udev's stock rules make for the volume on Nitro instances.
    pub fn nvme_link(&self) -> DevicePath {
        let serial = self.0.replacen("vol-", "vol", 1);
        DevicePath(format!(
            "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"
        ))
    }
}

/// Absolute, without `.` and `..`, of characters that no agent splits or expands.
fn plain_path(text: &str) -> bool {
    text.starts_with('/')
        && only(text, "/._-+@:=")
        && text[1..]
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."))
}

checked_text!(
    /// The path of a block device.
    DevicePath,
    |text| {
        if plain_path(text) && text.starts_with("/dev/") {
            Ok(text.to_owned())
        } else {
            Err(Malformed::new(
                format!("`{text}` is not the path of a device"),
                "a path below /dev, such as /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0",
            ))
        }
    }
);

checked_text!(
    /// Where the volume is mounted and the PBX keeps its data.
    DataPath,
    |text| {
        const SYSTEM: &[&str] = &["bin", "boot", "dev", "etc", "lib", "proc", "run", "sbin", "sys", "usr"];
        let top = text.split('/').nth(1).unwrap_or_default();
        if plain_path(text) && text.matches('/').count() > 1 && !SYSTEM.contains(&top) {
            Ok(text.to_owned())
        } else {
            Err(Malformed::new(
                format!("`{text}` can not be the data directory"),
                "an absolute path of a directory of its own, without a slash at the end, such as /var/lib/portsip",
            ))
        }
    }
);

checked_text!(
    /// A container image with its tag or digest: `portsip/pbx:22`.
    ImageName,
    |text| {
        let example = "an image with its tag, such as portsip/pbx:22";
        if text.is_empty() || !only(text, "./:_@-") || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Malformed::new(
                format!("`{text}` is not the name of a container image"),
                example,
            ));
        }
        // A colon before the last slash is the port of a registry.
        let last = text.rsplit('/').next().unwrap_or_default();
        let (name, tag) = last.split_once(['@', ':']).unwrap_or((last, ""));
        if name.is_empty() || tag.is_empty() {
            return Err(Malformed::coded(
                Code::NoTag,
                format!("`{text}` names no version: Docker would take `latest`, another one on each node"),
                example,
            ));
        }
        Ok(text.to_owned())
    }
);

/// Checks an id that only EC2 writes. What it looks like is EC2's business; it must only not mean more
/// than itself where it is written: in an ARN, `*`, `?` and `:` do.
fn answered_id(text: &str) -> Result<String, Malformed> {
    if !text.is_empty() && only(text, "-_") {
        Ok(text.to_owned())
    } else {
        Err(Malformed::new(
            format!("`{text}` is not an id"),
            "letters, digits and hyphens",
        ))
    }
}

checked_text!(
    /// A network interface of EC2.
    InterfaceId,
    answered_id
);

checked_text!(
    /// An AWS account.
    AccountId,
    answered_id
);

checked_text!(
    /// The path of a file on the machine where the operator works.
    FilePath,
    |text| {
        if text.is_empty() || text.chars().any(char::is_control) {
            Err(Malformed::new("the path is empty or has control characters", "the path of a file"))
        } else {
            Ok(text.to_owned())
        }
    }
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_8_or_17_digits() {
        assert!("i-08807c762627239b8".parse::<InstanceId>().is_ok());
        assert!("i-0880abcd".parse::<InstanceId>().is_ok());
        for bad in [
            "i-",
            "i-08807c76262723",
            "i-08807c762627239b89",
            "i-08807C762627239b8",
            "08807c762627239b8",
        ] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn an_id_of_another_kind_is_called_by_its_kind() {
        let error = "i-08807c762627239b8".parse::<VolumeId>().unwrap_err();
        assert_eq!(
            error.found,
            "`i-08807c762627239b8` is an instance id, not a volume id"
        );
    }

    #[test]
    fn ids_that_only_ec2_writes_are_taken_as_they_are() {
        for good in ["eni-0a1f3c5e", "eni-0a1f3c5e7b9d2f4010000", "eni_new-9Z"] {
            assert_eq!(good.parse::<InterfaceId>().unwrap().to_string(), good);
        }
        for bad in ["", "*", "eni-?", "eni-0:instance/i-0", "eni-0\""] {
            assert!(bad.parse::<InterfaceId>().is_err(), "{bad} was accepted");
            assert!(bad.parse::<AccountId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_zone_is_told_from_a_region() {
        assert!("us-gov-east-1".parse::<Region>().is_ok());
        let error = "us-west-1c".parse::<Region>().unwrap_err();
        assert_eq!(error.write, "us-west-1");
        for bad in ["", "-", "us-west", "us west-1", "us-west-1'"] {
            assert!(bad.parse::<Region>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn names_and_paths_hold_nothing_that_a_shell_or_agent_would_read() {
        for bad in ["a;b", "a:b", "a b", "a'b", "$(a)", "-a", "a.", ".", ""] {
            assert!(bad.parse::<NodeName>().is_err(), "node {bad} was accepted");
        }
        for bad in [
            "/",
            "/dev",
            "/dev/x",
            "/usr/x",
            "var/lib",
            "/var/lib/",
            "/var/../x",
            "/var/a b",
            "/var/$x",
            "//x/y",
        ] {
            assert!(bad.parse::<DataPath>().is_err(), "path {bad} was accepted");
        }
        assert!("/var/lib/portsip".parse::<DataPath>().is_ok());
        assert!("/dev/../etc/passwd".parse::<DevicePath>().is_err());
    }

    #[test]
    fn the_link_is_the_one_udev_makes() {
        let volume: VolumeId = "vol-0e06e1e9da3c49b67".parse().unwrap();
        assert_eq!(
            volume.nvme_link().to_string(),
            "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67"
        );
    }
}
