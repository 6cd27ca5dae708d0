//! The names that vars.yml holds, each a type that is checked once, when it is read:
//! node names, paths and image references. The ids of EC2 are those of the crate `ec2`.

/// A checked text: a newtype whose only way in is its check.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                let check: fn(&str) -> Result<(), Malformed> = $check;
                check(text).map(|()| $name(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

mod ebs_device;
mod fence_agent;
mod storage;

use std::fmt;
use std::str::FromStr;

use crate::mistake::Code;

pub use ebs_device::EbsDevice;
pub use ec2::{AccountId, AllocationId, InstanceId, InterfaceId, Region, SnapshotId, VolumeId};
pub use fence_agent::{FenceAgent, FencingOptions, Target};
pub use storage::{DiskPath, Size};

/// Why a text is not what it should be, and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found}; help: {help}")]
pub struct Malformed {
    pub code: Code,
    pub found: String,
    pub help: String,
}

impl Malformed {
    pub fn new(found: impl Into<String>, help: impl Into<String>) -> Malformed {
        Malformed::coded(Code::Malformed, found, help)
    }

    /// The same, where the kind of mistake is one of its own.
    pub fn coded(code: Code, found: impl Into<String>, help: impl Into<String>) -> Malformed {
        let (found, help) = (found.into(), help.into());
        Malformed { code, found, help }
    }
}

impl From<ec2::Malformed> for Malformed {
    fn from(error: ec2::Malformed) -> Malformed {
        let code = if error.other_kind {
            Code::OtherKind
        } else {
            Code::Malformed
        };
        Malformed::coded(code, error.found, format!("write {}", error.help))
    }
}

fn accept(good: bool, text: &str, wrong: &str, help: &str) -> Result<(), Malformed> {
    good.then_some(())
        .ok_or_else(|| Malformed::new(format!("`{text}` {wrong}"), help))
}

/// Letters and digits, and the given others.
fn only(text: &str, others: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// Whether a list of words with spaces between them has the word.
fn listed(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

/// One digit or more, and nothing else.
fn digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

checked_text!(
    /// A node's name in the cluster: its host name, as `uname -n` prints it (RFC 1123).
    NodeName,
    |text| {
        let label = |l: &str| {
            !l.is_empty() && l.len() <= 63 && only(l, "-") && !l.starts_with('-') && !l.ends_with('-')
        };
        // 64 is what uname(2) can hold.
        let good = text.len() <= 64 && text.split('.').all(label);
        let help = "write the host name as `uname -n` prints it on the node, such as ip-172-31-16-133";
        accept(good, text, "is not a host name", help)
    }
);

impl NodeName {
    /// Whether Pacemaker takes both for one node: it compares names without regard to case.
    pub fn is_same(&self, other: &NodeName) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// The link that udev's stock rules make for a volume on Nitro instances.
pub fn nvme_link(volume: &VolumeId) -> DevicePath {
    let serial = volume.serial();
    DevicePath(format!(
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"
    ))
}

/// Absolute, without `.` and `..`, of characters that no agent splits or expands.
fn plain_path(text: &str) -> bool {
    let mut parts = text.split('/');
    parts.next() == Some("")
        && parts.all(|part| !matches!(part, "" | "." | ".."))
        && only(text, "/._-+@:=")
}

checked_text!(DevicePath, |text| {
    let good = plain_path(text) && text.starts_with("/dev/");
    let help = "write a path below /dev, such as \
                    /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0";
    accept(good, text, "is not the path of a device", help)
});

checked_text!(
    /// Where the volume is mounted and the PBX keeps its data.
    DataPath,
    |text| {
        const SYSTEM: &str = "bin boot dev etc lib proc run sbin sys usr";
        let top = text.split('/').nth(1).unwrap_or_default();
        let good = plain_path(text) && text.matches('/').count() > 1 && !listed(SYSTEM, top);
        let help = "write the absolute path of a directory of its own, such as /var/lib/portsip, without a \
                    slash at the end";
        accept(good, text, "cannot be the data directory", help)
    }
);

checked_text!(
    /// A container image with its tag or digest: `portsip/pbx:22`.
    ImageName,
    |text| {
        let example = "write an image with its tag, such as portsip/pbx:22";
        let good = only(text, "./:_@-") && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        accept(good, text, "is not the name of a container image", example)?;
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
        Ok(())
    }
);

checked_text!(
    /// The path of a file on the machine where the operator works.
    FilePath,
    |text| {
        let good = !text.is_empty() && !text.chars().any(char::is_control);
        accept(good, text, "is empty or has control characters", "write the path of a file")
    }
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
            nvme_link(&volume).to_string(),
            "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67"
        );
    }
}
