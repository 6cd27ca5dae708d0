//! How the EBS volume is called on a node: what `ebs_device` may say.

use std::fmt;
use std::str::FromStr;

use super::storage::partition_of;
use super::{DevicePath, Malformed, VolumeId};
use crate::mistake::Code;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EbsDevice {
    /// udev's link by the volume's id. Nitro instances have it.
    Link(DevicePath),
    /// `/dev/sdf`: the name that EC2 is asked to attach the volume by. The kernel of a Nitro instance
    /// does not use it.
    Asked(DevicePath),
    /// `/dev/xvdf`: the same, on a Xen instance, whose kernel shows the volume by this name.
    Xen(DevicePath),
}

/// The letters that EC2 recommends for data volumes (EC2 User Guide, "Device names for volumes").
const LETTERS: std::ops::RangeInclusive<char> = 'f'..='p';

const LINKS: &str = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_";

/// The letter of `/dev/sdf` or `/dev/xvdf`.
fn letter(name: &str, prefix: &str) -> Option<char> {
    let mut letters = name.strip_prefix(prefix)?.chars();
    letters.next().filter(|_| letters.next().is_none())
}

impl EbsDevice {
    /// The name by which a Xen instance shows what was attached by `name`: `/dev/xvdf` for `/dev/sdf`.
    pub fn xen_name(name: &str) -> Option<String> {
        let name = name.strip_prefix("/dev/").unwrap_or(name);
        let letter = letter(name, "sd").or_else(|| letter(name, "xvd"))?;
        Some(format!("/dev/xvd{letter}"))
    }
}

impl fmt::Display for EbsDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (EbsDevice::Link(path) | EbsDevice::Asked(path) | EbsDevice::Xen(path)) = self;
        path.fmt(f)
    }
}

impl FromStr for EbsDevice {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let help = "delete this line to use the volume's link by its id. On Xen instances write /dev/xvdf to \
                    /dev/xvdp. For a device name of your choice write /dev/sdf to /dev/sdp";
        let wrong = |why: &str| Malformed::new(format!("`{text}` {why}"), help);
        let with_help = |malformed: Malformed| Malformed::new(malformed.found, help);
        let path: DevicePath = text.parse().map_err(with_help)?;
        let name = text.rsplit('/').next().unwrap_or_default();
        if partition_of(name).is_some() {
            let found = format!("`{text}` is a partition; the file system is on the volume itself");
            return Err(Malformed::coded(Code::Partition, found, help));
        }
        if let Some(serial) = text.strip_prefix(LINKS) {
            let volume = serial.replacen("vol", "vol-", 1).parse::<VolumeId>();
            let volume = volume.map_err(|_| wrong("is not the link of a volume by its id"));
            return volume.map(|_| EbsDevice::Link(path));
        }
        let is_data = |prefix| letter(text, prefix).is_some_and(|letter| LETTERS.contains(&letter));
        match text {
            _ if is_data("/dev/sd") => Ok(EbsDevice::Asked(path)),
            _ if is_data("/dev/xvd") => Ok(EbsDevice::Xen(path)),
            _ if text.starts_with("/dev/sd") || text.starts_with("/dev/xvd") => {
                Err(wrong("is not a name for a data volume"))
            }
            _ => Err(wrong(
                "does not name one volume for good: after the next attachment or start, another volume can \
                 have that name",
            )),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINK: &str = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67";

    fn of(text: &str) -> EbsDevice {
        text.parse().unwrap()
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        assert!(matches!(of(LINK), EbsDevice::Link(_)));
        assert!(matches!(of("/dev/sdf"), EbsDevice::Asked(_)));
        assert!(matches!(of("/dev/xvdp"), EbsDevice::Xen(_)));
        for text in [LINK, "/dev/sdf", "/dev/xvdp"] {
            assert_eq!(of(text).to_string(), text);
        }
    }

    #[test]
    fn a_name_that_can_become_another_volumes_is_refused() {
        for bad in [
            "/dev/nvme1n1",
            "/dev/disk/by-uuid/0b1c2d3e",
            "/dev/disk/by-path/pci-0000:00:1f.0-nvme-1",
            "/dev/sda",
            "/dev/sdq",
            "/dev/sdff",
            "/dev/xvda",
            "/dev/xvdba",
            "/dev/sd",
            "sdf",
            "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06",
        ] {
            let said = bad.parse::<EbsDevice>().unwrap_err();
            assert!(said.help.contains("/dev/xvdf"), "{bad}: {said}");
        }
    }

    #[test]
    fn a_partition_is_called_so() {
        for bad in [
            "/dev/xvdf1",
            "/dev/sdf1",
            "/dev/nvme1n1p1",
            &format!("{LINK}-part1"),
        ] {
            let said = bad.parse::<EbsDevice>().unwrap_err();
            assert_eq!(said.code, Code::Partition, "{bad}: {said}");
        }
    }

    #[test]
    fn xen_shows_a_volume_by_the_letter_that_was_asked_for() {
        for name in ["/dev/sdg", "/dev/xvdg", "xvdg"] {
            assert_eq!(EbsDevice::xen_name(name).as_deref(), Some("/dev/xvdg"));
        }
        assert_eq!(EbsDevice::xen_name("/dev/nvme1n1"), None);
    }
}
