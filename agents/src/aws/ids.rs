//! The ids of EC2, each a type of its own. What users write is checked once, where it comes in. What EC2 answers
//! is opaque: it may write its ids as it likes.

use std::fmt;
use std::str::FromStr;

use crate::ocf::params::parsed_values;

/// A text that is not what it should be; says what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct Malformed {
    text: String,
    wanted: &'static str,
}

/// A prefix and then 8 (before 2016) or 17 hexadecimal digits.
fn is_ec2_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as EC2 writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

/// Those that are in answers.
macro_rules! answered_ids {
    ($($name:ident)+) => {$(
        impl $name {
            /// An id in an answer; none if there is nothing.
            pub(super) fn from_answer(text: &str) -> Option<Self> {
                let text = text.trim();
                (!text.is_empty()).then(|| Self(text.to_owned()))
            }
        }
    )+};
}

/// Those that users write.
macro_rules! written_ids {
    ($($name:ident: $prefix:literal, $wanted:literal;)+) => {$(
        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                if is_ec2_id(text, $prefix) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Malformed { text: text.to_owned(), wanted: $wanted })
                }
            }
        }
    )+};
}

ids! {
    /// An instance: `i-08807c762627239b8`.
    InstanceId;
    /// An EBS volume: `vol-0e06e1e9da3c49b67`.
    VolumeId;
    /// The allocation of an Elastic IP: `eipalloc-02c7cf64a5cd449cf`.
    AllocationId;
    /// What ties an Elastic IP to a private address: `eipassoc-0123456789abcdef0`.
    AssociationId;
    /// A network interface: `eni-0a1f3c5e7b9d2f401`.
    InterfaceId;
}

answered_ids! { InstanceId AssociationId InterfaceId }

written_ids! {
    InstanceId: "i-", "an instance id (`i-` and 17 hexadecimal digits)";
    VolumeId: "vol-", "a volume id (`vol-` and 17 hexadecimal digits)";
    AllocationId: "eipalloc-", "the allocation id of an Elastic IP (`eipalloc-` and 17 hexadecimal digits)";
}

impl VolumeId {
    /// The serial number that the volume's NVMe controller shows: the id without its hyphen.
    pub fn serial(&self) -> String {
        self.0.replacen("vol-", "vol", 1)
    }
}

/// Instances, with spaces or commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIds(Vec<InstanceId>);

impl InstanceIds {
    /// Whether `instance` is one of them.
    pub fn contains(&self, instance: &InstanceId) -> bool {
        self.0.contains(instance)
    }
}

impl FromStr for InstanceIds {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let between = |c: char| c.is_whitespace() || c == ',';
        let words = text.split(between).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// A region: `us-west-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// The region's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        // A zone, us-west-1c, ends in a letter and is what people write by mistake.
        if text.bytes().all(plain)
            && text.contains('-')
            && text.ends_with(|c: char| c.is_ascii_digit())
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed {
                text: text.to_owned(),
                wanted: "a region such as us-west-1",
            })
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

parsed_values! { VolumeId: "string"; InstanceIds: "string"; AllocationId: "string"; Region: "string"; }

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
            "i-0e06e1e9da3c49b67",
            "vol-0E06e1e9da3c49b67",
            "vol-../../../../etc",
        ] {
            assert!(
                bad.parse::<VolumeId>().is_err(),
                "{bad} was taken for a volume id"
            );
        }
    }

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
    fn a_zone_is_not_a_region() {
        assert!("us-gov-east-1".parse::<Region>().is_ok());
        for bad in ["us-west-1c", "", "us west-1", "US-WEST-1"] {
            assert!(
                bad.parse::<Region>().is_err(),
                "{bad} was taken for a region"
            );
        }
    }
}
