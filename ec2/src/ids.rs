//! The ids of EC2, each a type of its own. What a person writes is checked when it is read. What EC2 answers is
//! opaque: EC2 may change the form of its ids.

use std::fmt;
use std::str::FromStr;

/// A text that is not such an id: what is wrong with it, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found}; help: {help}")]
pub struct Malformed {
    /// Whether it is an id of another kind.
    pub other_kind: bool,
    pub found: String,
    pub help: String,
}

impl Malformed {
    fn new(found: String, help: impl Into<String>) -> Self {
        Self {
            other_kind: false,
            found,
            help: help.into(),
        }
    }
}

/// The kinds of ids that people confuse.
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

/// Checks an id that a person wrote: the prefix, then 8 (before 2016) or 17 hexadecimal digits.
fn check_written(text: &str, prefix: &str) -> Result<(), Malformed> {
    let known = KINDS.iter().find(|(p, _)| *p == prefix);
    let kind = known.map_or("an id", |(_, kind)| kind);
    let error = |why: String| {
        let help = format!(
            "{kind}: `{prefix}` and 17 hexadecimal digits (8 for old ones), such as {prefix}0123456789abcdef0"
        );
        Malformed::new(format!("`{text}` is not {kind}{why}"), help)
    };
    let Some(digits) = text.strip_prefix(prefix) else {
        let mut malformed = error(String::new());
        if let Some((_, other)) = KINDS.iter().find(|(p, _)| text.starts_with(p)) {
            malformed.other_kind = true;
            malformed.found = format!("`{text}` is {other}, not {kind}");
        }
        return Err(malformed);
    };
    if let Some(c) = digits.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(error(format!(": `{c}` is not one of 0-9 and a-f")));
    }
    match digits.len() {
        8 | 17 => Ok(()),
        n => Err(error(format!(
            ": it has {n} hexadecimal digits after `{prefix}`"
        ))),
    }
}

/// Checks an id that only EC2 writes. Characters with a meaning in an ARN (`*`, `?`, `:`) are refused.
fn check_opaque(text: &str) -> Result<(), Malformed> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        let found = format!("`{text}` is not an id");
        return Err(Malformed::new(found, "letters, digits and hyphens"));
    }
    Ok(())
}

/// Checks the name of a region.
fn check_region(text: &str) -> Result<(), Malformed> {
    let is_region = |text: &str| {
        let (words, number) = text.rsplit_once('-').unwrap_or_default();
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
        words.split('-').all(is_word)
            && words.contains('-')
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    };
    if is_region(text) {
        return Ok(());
    }
    // People write a zone, us-west-1c, by mistake. It is a region and a letter.
    let zone = text.strip_suffix(|c: char| c.is_ascii_lowercase());
    let (what, help) = match zone.filter(|text| is_region(text)) {
        Some(region) => ("is an availability zone, not a region", region),
        None => ("is not an AWS region", "a region such as us-west-1"),
    };
    Err(Malformed::new(format!("`{text}` {what}"), help))
}

/// A type for each kind of id, and its check.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($check:expr);)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// An id in an answer of EC2, whatever its form; `None` if it is empty.
            #[cfg(feature = "client")]
            #[allow(dead_code)]
            pub(crate) fn from_answer(text: &str) -> Option<Self> {
                let text = text.trim();
                (!text.is_empty()).then(|| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                let check: fn(&str) -> Result<(), Malformed> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }
    )+};
}

ids! {
    /// An instance: `i-08807c762627239b8`.
    InstanceId(|text| check_written(text, "i-"));
    /// An EBS volume: `vol-0e06e1e9da3c49b67`.
    VolumeId(|text| check_written(text, "vol-"));
    /// A snapshot of a volume: `snap-0123456789abcdef0`.
    SnapshotId(|text| check_written(text, "snap-"));
    /// The allocation of an Elastic IP: `eipalloc-02c7cf64a5cd449cf`.
    AllocationId(|text| check_written(text, "eipalloc-"));
    /// What ties an Elastic IP to a private address: `eipassoc-0123456789abcdef0`.
    AssociationId(check_opaque);
    /// A network interface: `eni-0a1f3c5e7b9d2f401`.
    InterfaceId(check_opaque);
    AccountId(check_opaque);
    /// A region: `us-west-1`.
    Region(check_region);
}

impl VolumeId {
    /// The serial number that the volume's NVMe controller shows: the id without its hyphen.
    pub fn serial(&self) -> String {
        self.0.replacen("vol-", "vol", 1)
    }
}

/// Instances, separated by spaces or commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIds(Vec<InstanceId>);

impl InstanceIds {
    pub fn contains(&self, instance: &InstanceId) -> bool {
        self.0.contains(instance)
    }
}

impl FromStr for InstanceIds {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let words = words.filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_8_or_17_digits() {
        assert!("i-08807c762627239b8".parse::<InstanceId>().is_ok());
        assert!("vol-0e06e1e9".parse::<VolumeId>().is_ok());
        for bad in [
            "",
            "vol-",
            "vol-0e06e1e9da3c49b6",
            "vol-0e06e1e9da3c49b678",
            "0e06e1e9da3c49b67",
            "vol-0E06e1e9da3c49b67",
            "vol-../../../../etc",
        ] {
            assert!(bad.parse::<VolumeId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn an_id_of_another_kind_is_called_by_its_kind() {
        let error = "i-08807c762627239b8".parse::<VolumeId>().unwrap_err();
        assert_eq!(
            error.found,
            "`i-08807c762627239b8` is an instance id, not a volume id"
        );
        assert!(error.other_kind);
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

    #[cfg(feature = "client")]
    #[test]
    fn an_id_in_an_answer_is_what_ec2_likes_it_to_be() {
        for text in ["eipassoc-3efb5a2c01ab", "i-0123", "assoc~7"] {
            let id = InstanceId::from_answer(text);
            assert_eq!(id.as_ref().map(InstanceId::as_str), Some(text));
        }
        assert_eq!(AssociationId::from_answer(" \n"), None);
    }

    #[test]
    fn the_serial_is_the_id_without_its_hyphen() {
        let volume: VolumeId = "vol-0e06e1e9da3c49b67".parse().unwrap();
        assert_eq!(volume.serial(), "vol0e06e1e9da3c49b67");
    }

    #[test]
    fn instances_are_a_list() {
        let one: InstanceId = "i-08807c762627239b8".parse().unwrap();
        let other: InstanceId = "i-03411641c37513049".parse().unwrap();
        for text in [
            "i-08807c762627239b8 i-03411641c37513049",
            "i-08807c762627239b8,  i-03411641c37513049 ",
        ] {
            let list: InstanceIds = text.parse().unwrap();
            assert!(list.contains(&one) && list.contains(&other), "{text}");
        }
        let list: InstanceIds = one.as_str().parse().unwrap();
        assert!(!list.contains(&other));
        assert!("i-08807c762627239b8 pbx02".parse::<InstanceIds>().is_err());
    }

    #[test]
    fn a_zone_is_told_from_a_region() {
        assert!("us-gov-east-1".parse::<Region>().is_ok());
        let error = "us-west-1c".parse::<Region>().unwrap_err();
        assert_eq!(error.help, "us-west-1");
        for bad in ["", "-", "us-west", "us west-1", "us-west-1'", "US-WEST-1"] {
            assert!(bad.parse::<Region>().is_err(), "{bad} was accepted");
        }
    }
}
