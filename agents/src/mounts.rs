//! What is mounted where (proc(5), mountinfo), and unmounting.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use crate::device;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `major:minor`.
    pub(crate) device: String,
    /// What of it is mounted: `/`, or a directory of it; `mnt:[4026532]` for a mount namespace that is kept.
    pub(crate) root: PathBuf,
    pub(crate) point: PathBuf,
    pub(crate) writable: bool,
    /// Whether it takes part in what is mounted and unmounted elsewhere (`shared` or `master`).
    pub(crate) follows: bool,
    pub(crate) kind: String,
    /// What is mounted, as given to mount(2).
    pub(crate) source: PathBuf,
    /// The options of the file system, separated by commas.
    pub(crate) options: String,
}

/// The mounts of this process's namespace, in the order in which they were made.
pub(crate) fn mounts() -> io::Result<Vec<Mount>> {
    mounts_of(Path::new("/proc/self"))
}

/// The mounts of the namespace of a process, by its directory in /proc. An error may mean that the process has ended.
pub(crate) fn mounts_of(process: &Path) -> io::Result<Vec<Mount>> {
    let text = fs::read(process.join("mountinfo"))?;
    Ok(text.split(|b| *b == b'\n').filter_map(parse).collect())
}

impl Mount {
    /// Whether it is a file system on one of these devices. btrfs has numbers of its own: there, the source tells.
    pub(crate) fn is_on(&self, numbers: &[String]) -> bool {
        let has_own_number = self.device.starts_with("0:") && self.source.starts_with("/dev/");
        numbers.contains(&self.device) || has_own_number && is_one_of(&self.source, numbers)
    }
}

/// Whether a file is one of these block devices.
pub(crate) fn is_one_of(file: &Path, numbers: &[String]) -> bool {
    let number = fs::metadata(file)
        .ok()
        .and_then(|file| device::number_of(&file));
    number.is_some_and(|number| numbers.contains(&number))
}

/// `36 35 98:0 /root /point options [optional fields] - type source super-options`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let has = |options: &[u8], word: &[u8]| options.split(|b| *b == b',').any(|it| it == word);
    let device = text(fields.nth(2)?);
    let root = unescaped(fields.next()?);
    let point = unescaped(fields.next()?);
    let writable = !has(fields.next()?, b"ro");
    let mut follows = false;
    while let field = fields.next()?
        && field != b"-"
    {
        follows |= field.starts_with(b"shared:") || field.starts_with(b"master:");
    }
    Some(Mount {
        device,
        root,
        point,
        writable,
        follows,
        kind: text(fields.next()?),
        source: unescaped(fields.next()?),
        options: fields.next().map(text).unwrap_or_default(),
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
pub(crate) fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
pub(crate) fn parsed(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| parse(line.as_bytes()))
        .collect()
}

/// The mount that `path` shows: the last one made on exactly that path.
pub(crate) fn mounted_on<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().rfind(|mount| mount.point == path)
}

/// Unmounts `point`. EBUSY when something uses it.
pub(crate) fn unmount(point: &Path) -> io::Result<()> {
    umount2(point, MntFlags::UMOUNT_NOFOLLOW).map_err(io::Error::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_and_without_optional_fields() {
        let plain = parse(b"36 35 259:1 / /var/lib/portsip rw,noatime - xfs /dev/nvme1n1 rw,attr2")
            .unwrap();
        assert_eq!(plain.device, "259:1");
        assert_eq!(plain.root, Path::new("/"));
        assert_eq!(plain.point, Path::new("/var/lib/portsip"));
        assert_eq!(plain.source, Path::new("/dev/nvme1n1"));
        assert_eq!(
            (plain.kind.as_str(), plain.options.as_str()),
            ("xfs", "rw,attr2")
        );
        assert!(plain.writable && !plain.follows);
        let shared = parse(b"36 35 259:1 / /a rw shared:1 master:2 - xfs /dev/nvme1n1 rw").unwrap();
        assert_eq!(shared.source, Path::new("/dev/nvme1n1"));
    }

    #[test]
    fn a_mount_that_is_read_only_and_one_that_follows_another_are_told() {
        let line = b"36 35 259:1 / /a ro,noatime master:2 - xfs /dev/nvme1n1 rw,errors=remount-ro";
        let mount = parse(line).unwrap();
        assert!(!mount.writable && mount.follows);
        let line = b"36 35 259:1 / /a rw,noro unbindable - xfs /dev/nvme1n1 ro";
        let mount = parse(line).unwrap();
        assert!(mount.writable && !mount.follows);
    }

    #[test]
    fn a_path_that_is_no_text_is_read() {
        let mount = parse(b"36 35 7:0 /\xff /mnt/\xe4 rw - ext4 /dev/loop0 rw").unwrap();
        assert_eq!(mount.root.as_os_str().as_encoded_bytes(), b"/\xff");
        assert_eq!(mount.point.as_os_str().as_encoded_bytes(), b"/mnt/\xe4");
    }

    #[test]
    fn escaped_characters_are_read() {
        let mount =
            parse(b"36 35 7:0 /a\\040b /mnt/a\\040b\\134c rw - ext4 /dev/loop0 rw").unwrap();
        assert_eq!(mount.root, Path::new("/a b"));
        assert_eq!(mount.point, Path::new("/mnt/a b\\c"));
    }

    #[test]
    fn broken_lines_are_no_mounts() {
        for line in [&b""[..], b"36 35", b"36 35 7:0 / /mnt rw shared:1"] {
            assert_eq!(parse(line), None);
        }
    }

    #[test]
    fn the_last_mount_on_a_path_is_the_one_seen() {
        let lines: [&[u8]; 3] = [
            b"1 0 8:1 / / rw - ext4 /dev/sda1 rw",
            b"2 1 7:0 / /data rw - xfs /dev/loop0 rw",
            b"3 2 7:1 / /data rw - xfs /dev/loop1 rw",
        ];
        let mounts: Vec<Mount> = lines.iter().filter_map(|line| parse(line)).collect();
        assert_eq!(
            mounted_on(&mounts, Path::new("/data")).unwrap().device,
            "7:1"
        );
        assert_eq!(mounted_on(&mounts, Path::new("/dat")), None);
    }
}
