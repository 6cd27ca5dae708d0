//! What is mounted where (proc(5), mountinfo), unmounting, and who keeps a mount busy.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

/// A line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Number of the device, `major:minor`.
    pub device: String,
    /// Where it is mounted.
    pub point: PathBuf,
    /// What is mounted, as given to mount(2).
    pub source: PathBuf,
}

/// The mounts of this process's namespace, in the order in which they were made.
///
/// # Errors
/// When /proc can't be read.
pub fn mounts() -> io::Result<Vec<Mount>> {
    let text = fs::read("/proc/self/mountinfo")?;
    Ok(text.split(|b| *b == b'\n').filter_map(parse).collect())
}

/// `36 35 98:0 /root /point options [optional fields] - type source super-options`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
    let point = unescaped(fields.nth(1)?);
    let source = fields.skip_while(|field| *field != b"-").nth(2)?;
    Some(Mount {
        device,
        point,
        source: unescaped(source),
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
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

/// The mount that `path` shows: the last one made on exactly that path.
pub fn mounted_on<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().rfind(|mount| mount.point == path)
}

/// Unmounts `point`, if nothing uses it.
///
/// # Errors
/// EBUSY when something does.
pub fn unmount(point: &Path) -> io::Result<()> {
    umount2(point, MntFlags::UMOUNT_NOFOLLOW).map_err(io::Error::from)
}

/// Some of the processes that have a file or their directory under `point`: `postgres (812)`.
pub fn users_of(point: &Path) -> Vec<String> {
    const ENOUGH: usize = 5;
    let mut users = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if users.len() == ENOUGH || !name.as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let process = entry.path();
        let under =
            |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(point));
        let files = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        if under(process.join("cwd"))
            || under(process.join("root"))
            || files.map(|f| f.path()).any(under)
        {
            let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
            users.push(format!("{} ({})", command.trim(), name.display()));
        }
    }
    users
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
        assert_eq!(plain.point, Path::new("/var/lib/portsip"));
        assert_eq!(plain.source, Path::new("/dev/nvme1n1"));
        let shared = parse(b"36 35 259:1 / /a rw shared:1 master:2 - xfs /dev/nvme1n1 rw").unwrap();
        assert_eq!(shared.source, Path::new("/dev/nvme1n1"));
    }

    #[test]
    fn escaped_characters_are_read() {
        let mount = parse(b"36 35 7:0 / /mnt/a\\040b\\134c rw - ext4 /dev/loop0 rw").unwrap();
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

    #[test]
    fn this_process_is_found_by_its_directory() {
        let here = std::env::current_dir().unwrap();
        let me = format!("({})", std::process::id());
        // Others may work here too, and only a few are named.
        assert!(!users_of(&here).is_empty(), "{me}");
    }
}
