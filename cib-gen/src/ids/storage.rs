//! What the data of a LAN site is stored on: a disk, and how much of it.

use std::fmt;
use std::str::FromStr;

use super::{DevicePath, Malformed, accept, digits};
use crate::mistake::Code;

checked_text!(
    /// A whole disk of the nodes that becomes the storage of the PBX's data.
    DiskPath,
    |text| {
        let example = "write the path of the whole disk, such as /dev/sdb";
        let device: DevicePath = text.parse()?;
        let name = device.0.rsplit('/').next().unwrap_or_default();
        if let Some(disk) = partition_of(name) {
            let directory = &text[..text.len() - name.len()];
            let help = format!("write {directory}{disk}, if nothing else is on that disk");
            return Err(Malformed::coded(Code::Partition, format!("`{text}` is a partition"), help));
        }
        let is_disk = !text.starts_with("/dev/drbd");
        accept(is_disk, text, "is a device that DRBD makes, not a disk that DRBD stores on", example)
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
    let are_letters = |l: &str| !l.is_empty() && l.chars().all(|c| c.is_ascii_lowercase());
    let mut with_letters = ["sd", "vd", "hd", "xvd"].iter();
    if with_letters.any(|prefix| disk.strip_prefix(prefix).is_some_and(are_letters)) {
        return Some(disk);
    }
    // nvme0n1p1, mmcblk0p1: a disk whose name ends with a digit has a p before the number.
    let mut with_digits = ["nvme", "mmcblk", "nbd", "loop", "md"].iter();
    let disk = disk.strip_suffix('p')?;
    let is_disk = disk.ends_with(|c: char| c.is_ascii_digit());
    (is_disk && with_digits.any(|kind| disk.starts_with(kind))).then_some(disk)
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
        let (unit, shift) = match text[number.len()..].to_ascii_lowercase().as_str() {
            "m" | "mb" | "mib" => ('M', 20),
            "g" | "gb" | "gib" => ('G', 30),
            "t" | "tb" | "tib" => ('T', 40),
            "" => return Err(wrong(format!("`{text}` has no unit"))),
            unit => return Err(wrong(format!("`{unit}` is not a unit of a size"))),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        // 1024 times a million TiB still fits.
        if !digits(whole) || !digits(part) || whole.len() > 6 || part.len() > 3 {
            return Err(wrong(format!("`{text}` is not a size")));
        }
        let thousandths: u128 = format!("{whole}{part:0<3}").parse().unwrap_or_default();
        let bytes = u64::try_from((thousandths << shift) / 1000);
        let bytes = bytes.map_err(|_| wrong(format!("`{text}` is not a size")))?;
        if bytes < 1 << 30 {
            let found = format!("`{text}` is less than a GiB: the PBX's data does not fit");
            return Err(wrong(found));
        }
        let text = format!("{number}{unit}");
        Ok(Size { text, bytes })
    }
}
