//! What the data of a LAN site is stored on: a disk, and how much of it.

use std::fmt;
use std::str::FromStr;

use super::{DevicePath, Malformed, digits};
use crate::mistake::Code;

checked_text!(
    /// A whole disk of the nodes that becomes the storage of the PBX's data.
    DiskPath,
    |text| {
        let example = "write the path of the whole disk, such as /dev/sdb";
        let device: DevicePath = text.parse()?;
        let name = device.0.rsplit('/').next().unwrap_or_default();
        match partition_of(name) {
            Some(disk) => Err(Malformed::coded(
                Code::Partition,
                format!("`{text}` is a partition"),
                format!("write {}{disk}, if nothing else is on that disk", &text[..text.len() - name.len()]),
            )),
            None if device.0.starts_with("/dev/drbd") => Err(Malformed::new(
                format!("`{text}` is a device that DRBD makes, not a disk that DRBD stores on"),
                example,
            )),
            None => Ok(()),
        }
    }
);

/// The disk that a device name is a partition of, by the kernel's and udev's names.
pub(super) fn partition_of(name: &str) -> Option<&str> {
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

/// A size as `lvcreate --size` takes it: `36G`, `49900M`, `1.5T`. Powers of 1024.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    text: String,
    bytes: u64,
}

impl Size {
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
        let example = "write a number with G (GiB), M (MiB) or T (TiB) after it, such as 36G: a little less \
                       than the disk has";
        let wrong = |found: String| Malformed::new(found, example);
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text[number.len()..].to_ascii_lowercase().as_str() {
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            "" => return Err(wrong(format!("`{text}` has no unit"))),
            unit => return Err(wrong(format!("`{unit}` is not a unit of a size"))),
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
