//! The names that vars.yml holds, each a type that is checked once, when it is read:
//! EC2 ids, node names, regions, paths and image references.

use std::fmt;
use std::str::FromStr;

use crate::mistake::Code;

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

checked_text!(
    /// A whole disk of the nodes that becomes the storage of the PBX's data.
    DiskPath,
    |text| {
        let example = "the path of the whole disk, such as /dev/sdb";
        let device: DevicePath = text.parse()?;
        let name = device.0.rsplit('/').next().unwrap_or_default();
        match partition_of(name) {
            Some(disk) => Err(Malformed::coded(
                Code::Partition,
                format!("`{text}` is a partition"),
                format!("{}{disk}, if nothing else is on that disk", &text[..text.len() - name.len()]),
            )),
            None if device.0.starts_with("/dev/drbd") => Err(Malformed::new(
                format!("`{text}` is what DRBD makes, not what it stores on"),
                example,
            )),
            None => Ok(text.to_owned()),
        }
    }
);

/// The disk that a device name is a partition of, by the kernel's and udev's names.
fn partition_of(name: &str) -> Option<&str> {
    if let Some((disk, _)) = name.rsplit_once("-part").filter(|(_, n)| digits(n)) {
        return Some(disk);
    }
    let disk = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if disk.len() == name.len() {
        return None;
    }
    // sda1, vdb2, xvdf1, but not dm-0, md0, loop0.
    if ["sd", "vd", "hd", "xvd"].iter().any(|prefix| {
        disk.strip_prefix(prefix)
            .is_some_and(|l| !l.is_empty() && l.chars().all(|c| c.is_ascii_lowercase()))
    }) {
        return Some(disk);
    }
    // nvme0n1p1, mmcblk0p1: a disk whose name ends with a digit has a p before the number.
    disk.strip_suffix('p')
        .filter(|d| d.ends_with(|c: char| c.is_ascii_digit()))
        .filter(|d| {
            ["nvme", "mmcblk", "nbd", "loop", "md"]
                .iter()
                .any(|k| d.starts_with(k))
        })
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// A size as `lvcreate --size` takes it: `36G`, `49900M`, `1.5T`. Powers of 1024.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    text: String,
    bytes: u64,
}

impl Size {
    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Size {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let example = "a number with G (GiB), M (MiB) or T (TiB) after it, some less than the disk has, such as 36G";
        let wrong = |found: String| Malformed::new(found, example);
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text[number.len()..].to_ascii_lowercase().as_str() {
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            "" => return Err(wrong(format!("`{text}` has no unit"))),
            unit => return Err(wrong(format!("`{unit}` is no unit of a size"))),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        // 1024 times a million TiB still fits.
        if !digits(whole) || !digits(part) || whole.len() > 6 || part.len() > 3 {
            return Err(wrong(format!("`{text}` is not a size")));
        }
        let thousandths = format!("{whole}{part:0<3}")
            .parse::<u64>()
            .unwrap_or_default();
        let bytes = (u128::from(thousandths) << shift) / 1000;
        let bytes = u64::try_from(bytes).map_err(|_| wrong(format!("`{text}` is not a size")))?;
        if bytes < 1 << 30 {
            return Err(wrong(format!(
                "`{text}` is less than a GiB: the PBX's data does not fit"
            )));
        }
        let unit = match shift {
            20 => 'M',
            30 => 'G',
            _ => 'T',
        };
        Ok(Size {
            text: format!("{number}{unit}"),
            bytes,
        })
    }
}

checked_text!(
    /// A fence agent: `fence_ipmilan`.
    FenceAgent,
    |text| {
        let good = text.strip_prefix("fence_").is_some_and(|rest| !rest.is_empty() && only(rest, "_-"));
        if good {
            Ok(text.to_owned())
        } else {
            Err(Malformed::new(
                format!("`{text}` is no way of fencing"),
                "`sbd` (the default: a watchdog), the name of a fence agent such as `fence_ipmilan`, or `none` for a cluster that can lose data",
            ))
        }
    }
);

checked_text!(
    /// A network interface of EC2.
    InterfaceId,
    |text| ec2_id(text, "eni-", "a network interface id")
);

checked_text!(
    /// An AWS account: twelve digits.
    AccountId,
    |text| {
        if text.len() == 12 && digits(text) {
            Ok(text.to_owned())
        } else {
            Err(Malformed::new(
                format!("`{text}` is not an AWS account"),
                "twelve digits, such as 123456789012",
            ))
        }
    }
);

/// Options of a fence agent: `NAME=VALUE` words with spaces between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FencingOptions(Vec<(String, String)>);

impl FencingOptions {
    /// The options in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether an option is set.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

/// Options of fence agents that hold a secret, by the names of fence-agents' library.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret_key",
    "snmp_priv_passwd",
    "token",
    "api_key",
    "pve_token_secret",
];

impl FromStr for FencingOptions {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let example = "NAME=VALUE words with spaces between them, such as `ip=192.168.1.231 username=fencing password_script=/etc/portsip-ha/bmc-password lanplus=1`";
        let mut options = FencingOptions::default();
        for word in text.split_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                return Err(Malformed::new(format!("`{word}` has no `=`"), example));
            };
            let named = !name.is_empty()
                && only(name, "_-")
                && name.starts_with(|c: char| c.is_ascii_alphabetic());
            if !named
                || value.is_empty()
                || value
                    .chars()
                    .any(|c| c.is_control() || "'\"\\`".contains(c))
            {
                return Err(Malformed::new(
                    format!("`{word}` is not NAME=VALUE"),
                    example,
                ));
            }
            if SECRETS.contains(&name) {
                return Err(Malformed::coded(
                    Code::Secret,
                    format!("`{name}` would be readable in the cluster's configuration"),
                    format!(
                        "{name}_script=PATH: a program, mode 0700, that prints it on every node"
                    ),
                ));
            }
            if [
                "pcmk_host_list",
                "pcmk_host_map",
                "pcmk_host_check",
                "pcmk_reboot_action",
            ]
            .contains(&name)
            {
                return Err(Malformed::new(
                    format!("`{name}` is written by cib-gen"),
                    "nothing for it; `plug` in pbx01_fencing_options and so on says what the device calls a node, `fencing_action` what it does",
                ));
            }
            if options.has(name) {
                return Err(Malformed::new(
                    format!("`{name}` is written twice"),
                    "it once",
                ));
            }
            options.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(options)
    }
}

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
