//! The directory with the PBX's data: whether the volume is mounted there, of what version the data are, and which
//! containers use them. That is seen in the mounts of the containers' processes, whatever Docker says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::docker::processes::{Processes, live_threads};
use crate::ocf::Failure;

/// Where the version of the data is, below the directory. `initdt` writes it.
const VERSION: &str = "pbx/VERSION";

/// A line of a mountinfo (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    device: String,
    /// Which directory of the file system is mounted.
    root: PathBuf,
    point: PathBuf,
}

/// The directory with the data, where the volume is mounted.
#[derive(Debug)]
pub(super) struct Data {
    path: PathBuf,
    mount: Mount,
    /// All mounts of this node.
    node: Vec<Mount>,
}

impl Data {
    /// The data in this directory.
    ///
    /// # Errors
    /// The volume is not mounted there.
    pub(super) fn at(path: &Path) -> Result<Self, Failure> {
        let node = mounts(Path::new("/proc/self"))
            .map_err(|error| Failure::generic(format!("read the list of mounts: {error}")))?;
        // What links lead to is what is mounted. A path that is not there is caught below.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mounted_on = |point: &Path| node.iter().rfind(|mount| mount.point == point);
        let root = mounted_on(Path::new("/"));
        match mounted_on(&real) {
            Some(mount) if root.is_none_or(|root| root.device != mount.device) => Ok(Self {
                path: path.to_owned(),
                mount: mount.clone(),
                node,
            }),
            Some(_) => Err(Failure::generic(format!(
                "what is mounted on {} is of the root disk: the volume has to be mounted there before the PBX starts",
                path.display()
            ))),
            None => Err(Failure::generic(format!(
                "nothing is mounted on {}: the volume has to be mounted there before the PBX starts",
                path.display()
            ))),
        }
    }

    /// The version of the data, if somebody wrote it.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn version(&self) -> Result<Option<String>, Failure> {
        let path = self.path.join(VERSION);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().next().map(|line| line.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    "there is no {}, so the images are not compared with the version of the data",
                    path.display()
                );
                Ok(None)
            }
            Err(error) => Err(Failure::generic(format!(
                "read the version of the data, {}: {error}",
                path.display()
            ))),
        }
    }

    /// The ids of the containers that have some of the data mounted.
    pub(super) fn users(&self, processes: &Processes) -> BTreeSet<String> {
        let mut known = BTreeMap::new();
        let mut uses = |process: i32| {
            let directory = PathBuf::from(format!("/proc/{process}"));
            // The namespaces of a thread that lives: the first may have ended.
            let thread = live_threads(&directory).next()?;
            let namespace = fs::read_link(thread.join("ns/mnt")).ok()?;
            let uses = known
                .entry(namespace)
                .or_insert_with(|| mounts(&thread).is_ok_and(|theirs| self.is_used_by(&theirs)));
            Some(*uses)
        };
        let used_by = |(_, of): &(&String, &Vec<i32>)| of.iter().any(|it| uses(*it) == Some(true));
        let users = processes.iter().filter(used_by);
        users.map(|(id, _)| id.clone()).collect()
    }

    fn is_used_by(&self, theirs: &[Mount]) -> bool {
        theirs
            .iter()
            .filter(|mount| mount.device == self.mount.device)
            .filter(|mount| mount.root.starts_with(&self.mount.root))
            .any(|mount| !self.comes_with_a_tree(mount, theirs))
    }

    /// Whether a container has a mount only because it was given a larger tree of the node, as monitoring programs are
    /// given `/`: it is within another mount, in the place that it has on the node.
    fn comes_with_a_tree(&self, mount: &Mount, theirs: &[Mount]) -> bool {
        let on_node = self
            .node
            .iter()
            .filter(|it| it.device == mount.device && it.root == mount.root);
        let mut places = on_node.flat_map(|it| theirs.iter().map(move |tree| (it, tree)));
        places.any(|(on_node, tree)| {
            tree.point != mount.point
                && mount
                    .point
                    .strip_prefix(&tree.point)
                    .is_ok_and(|below| self.shows(tree, below, &on_node.point))
        })
    }

    /// Whether what is `below` in a container's mount of a tree of the node is `path` on the node.
    fn shows(&self, tree: &Mount, below: &Path, path: &Path) -> bool {
        let same_device = self.node.iter().filter(|it| it.device == tree.device);
        let mut tops = same_device.filter_map(|it| {
            let rest = tree.root.strip_prefix(&it.root).ok()?;
            Some(it.point.join(rest))
        });
        tops.any(|top| top.join(below) == path && top != path)
    }
}

/// The mounts that a process or a thread sees.
fn mounts(process: &Path) -> io::Result<Vec<Mount>> {
    let text = fs::read_to_string(process.join("mountinfo"))?;
    Ok(text.lines().filter_map(parse).collect())
}

/// `36 35 98:0 /root /point options ...`
fn parse(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ').skip(2);
    Some(Mount {
        device: fields.next()?.to_owned(),
        root: unescaped(fields.next()?),
        point: unescaped(fields.next()?),
    })
}

/// The kernel writes blanks in paths as three octal digits.
fn unescaped(field: &str) -> PathBuf {
    let blanks = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let text = blanks.iter().fold(field.to_owned(), |text, (code, blank)| {
        text.replace(code, blank)
    });
    PathBuf::from(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Device, root, point.
    fn list(lines: &[(&str, &str, &str)]) -> Vec<Mount> {
        let lines = lines.iter().map(|(device, root, point)| {
            parse(&format!("36 35 {device} {root} {point} rw - xfs /dev/x rw")).unwrap()
        });
        lines.collect()
    }

    /// A node with a volume, as Docker's local volumes mount it once more.
    fn data() -> Data {
        let node = list(&[
            ("8:1", "/", "/"),
            ("259:1", "/", "/var/lib/portsip"),
            ("259:1", "/pbx", "/var/lib/docker/volumes/portsip_pbx/_data"),
        ]);
        Data {
            path: "/var/lib/portsip".into(),
            mount: node[1].clone(),
            node,
        }
    }

    fn uses(theirs: &[(&str, &str, &str)]) -> bool {
        let mut all = vec![("0:50", "/", "/")];
        all.extend(theirs);
        data().is_used_by(&list(&all))
    }

    #[test]
    fn a_container_with_a_part_of_the_data_uses_them() {
        assert!(uses(&[("259:1", "/pbx", "/var/lib/portsip/pbx")]));
        assert!(uses(&[("259:1", "/", "/var/lib/portsip")]));
        assert!(uses(&[("259:1", "/pbx/log", "/logs")]));
        // Beside a tree of the node.
        assert!(uses(&[("8:1", "/", "/rootfs"), ("259:1", "/pbx", "/data")]));
    }

    #[test]
    fn a_container_with_a_tree_of_the_node_does_not() {
        assert!(!uses(&[
            ("8:1", "/", "/rootfs"),
            ("259:1", "/", "/rootfs/var/lib/portsip"),
            (
                "259:1",
                "/pbx",
                "/rootfs/var/lib/docker/volumes/portsip_pbx/_data"
            ),
        ]));
        assert!(!uses(&[
            ("8:1", "/var", "/host/var"),
            ("259:1", "/", "/host/var/lib/portsip"),
        ]));
        assert!(!uses(&[
            ("8:1", "/var/lib/docker", "/var/lib/docker"),
            ("259:1", "/pbx", "/var/lib/docker/volumes/portsip_pbx/_data"),
        ]));
    }

    #[test]
    fn a_container_with_other_file_systems_does_not() {
        assert!(!uses(&[
            ("8:1", "/etc/hosts", "/etc/hosts"),
            ("259:2", "/", "/srv")
        ]));
    }

    #[test]
    fn a_directory_that_is_mounted_as_the_volume_is_no_more_than_that_directory() {
        let node = list(&[
            ("8:1", "/", "/"),
            ("8:2", "/cache/volume", "/var/lib/portsip"),
        ]);
        let data = Data {
            path: "/var/lib/portsip".into(),
            mount: node[1].clone(),
            node,
        };
        let mine = list(&[("8:2", "/cache/volume/pbx", "/data")]);
        let other = list(&[("8:2", "/cache/docker/hosts", "/etc/hosts")]);
        assert!(data.is_used_by(&mine) && !data.is_used_by(&other));
    }

    #[test]
    fn blanks_in_paths_are_read() {
        let mount = parse("36 35 7:0 /a\\040b /mnt/c\\134d rw - ext4 /dev/loop0 rw").unwrap();
        assert_eq!(mount.root, Path::new("/a b"));
        assert_eq!(mount.point, Path::new("/mnt/c\\d"));
    }
}
