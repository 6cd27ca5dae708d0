//! The directory with the PBX's data: whether the volume is mounted there, of what version the data is, and which
//! containers use it. The mounts of the containers' processes tell, whatever Docker says.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Pbx;
use crate::docker::Project;
use crate::docker::processes::{self, Processes, live_threads};
use crate::mounts::{Mount, mounted_on, mounts, mounts_of};
use crate::ocf::Failure;

/// Where the version of the data is, below the directory. `initdt` writes it.
const VERSION: &str = "pbx/VERSION";
/// The file on the volume that is there while the data is brought to another version. `ha-ctl update` writes it and
/// removes it.
const MIGRATING: &str = "portsip-ha.migrating";
/// How many containers of others are named.
const SHOWN: usize = 3;

/// How a container can use the data, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// It has a larger tree of the node mounted, as monitoring programs have `/`, and keeps the volume mounted when the
    /// node unmounts it. It does nothing with the data, but the volume cannot be detached.
    Holds,
    /// It has the data mounted read-only.
    Reads,
    /// It can change the data.
    Writes,
}

/// The directory with the data, where the volume is mounted.
pub(super) struct Data {
    path: PathBuf,
    mount: Mount,
    /// All mounts of this node.
    node: Vec<Mount>,
}

impl Data {
    /// The data in this directory, if the volume is mounted there.
    pub(super) fn at(path: &Path) -> Result<Self, Failure> {
        let node = mounts()
            .map_err(|error| Failure::generic(format!("read the list of mounts: {error}")))?;
        // Mounts are listed without symbolic links. A path that does not exist is caught below.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let root = mounted_on(&node, Path::new("/"));
        let shown = path.display();
        let what = match mounted_on(&node, &real) {
            Some(mount) if root.is_none_or(|root| root.device != mount.device) => {
                let (path, mount) = (path.to_owned(), mount.clone());
                return Ok(Self { path, mount, node });
            }
            Some(_) => format!("what is mounted on {shown} is of the root disk"),
            None => format!("nothing is mounted on {shown}"),
        };
        Err(Failure::generic(format!(
            "{what}: the volume has to be mounted there before the PBX starts"
        )))
    }

    /// The version of the data, if the file exists.
    pub(super) fn version(&self) -> Result<Option<String>, Failure> {
        let path = self.path.join(VERSION);
        let shown = path.display();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().next().map(|line| line.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    "there is no {shown}, so the images are not compared with the version of the data"
                );
                Ok(None)
            }
            Err(error) => {
                let reason = format!("read the version of the data, {shown}: {error}");
                Err(Failure::generic(reason))
            }
        }
    }

    /// Refuses data between two versions: an update was interrupted there.
    pub(super) fn is_of_one_version(&self) -> Result<(), Failure> {
        let path = self.path.join(MIGRATING);
        match fs::read_to_string(&path) {
            Ok(text) => Err(Failure::generic(format!(
                "the data is between two versions ({}, {}): `ha-ctl update` goes on with it, `ha-ctl update --rollback` goes \
                 back",
                text.trim(),
                path.display()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::generic(format!(
                "whether the data is of one version, {}: {error}",
                path.display()
            ))),
        }
    }

    /// Whether a directory is on the volume, wherever it is mounted.
    pub(super) fn has(&self, directory: &Path) -> bool {
        let real = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let mut mounted = real.ancestors().filter_map(|it| mounted_on(&self.node, it));
        let is_volume = |it: &Mount| it.device == self.mount.device;
        mounted.next().is_some_and(is_volume)
    }

    /// The id of a container that can write the data and is not of the PBX.
    pub(super) fn writer(&self, is_pbx: impl Fn(&str) -> bool) -> Option<String> {
        let mut others = self.others(is_pbx).into_iter();
        let writer = others.find(|(_, access)| *access == Access::Writes);
        writer.map(|(id, _)| id)
    }

    /// The ids of the containers that have some of the data mounted and are not of the PBX. Those of the PBX are not
    /// looked at: they have most of the processes.
    fn others(&self, is_pbx: impl Fn(&str) -> bool) -> BTreeMap<String, Access> {
        let mut processes = processes::of_containers();
        processes.retain(|id, _| !is_pbx(id));
        self.users(&processes)
    }

    /// The ids of the containers that have some of the data mounted.
    pub(super) fn users(&self, processes: &Processes) -> BTreeMap<String, Access> {
        let mut known = BTreeMap::new();
        let mut access_of = |process: &i32| {
            let directory = PathBuf::from(format!("/proc/{process}"));
            // The namespaces of a live thread: the first thread may have ended.
            let thread = live_threads(&directory).next()?;
            let namespace = fs::read_link(thread.join("ns/mnt")).ok()?;
            if let Some(access) = known.get(&namespace) {
                return *access;
            }
            let access = self.access_by(&mounts_of(&thread).ok()?);
            known.insert(namespace, access);
            access
        };
        let mut users = BTreeMap::new();
        for (id, of_this) in processes {
            if let Some(access) = of_this.iter().filter_map(&mut access_of).max() {
                users.insert(id.clone(), access);
            }
        }
        users
    }

    /// How a container with these mounts can use the data.
    fn access_by(&self, mounts: &[Mount]) -> Option<Access> {
        let (device, root) = (&self.mount.device, &self.mount.root);
        let is_data = |it: &&Mount| it.device == *device && it.root.starts_with(root);
        let access = |mount: &Mount| match self.comes_with_a_tree(mount, mounts) {
            // A mount that follows the node's is unmounted with it.
            true => (!mount.follows).then_some(Access::Holds),
            false if mount.writable => Some(Access::Writes),
            false => Some(Access::Reads),
        };
        mounts.iter().filter(is_data).filter_map(access).max()
    }

    /// Whether a container has a mount only because it has a larger tree of the node mounted, as monitoring programs
    /// have `/`: the mount is within another mount, at the same place as on the node.
    fn comes_with_a_tree(&self, mount: &Mount, mounts: &[Mount]) -> bool {
        let is_same = |it: &&Mount| it.device == mount.device && it.root == mount.root;
        let trees = mounts.iter().filter(|tree| tree.point != mount.point);
        let mut trees =
            trees.filter_map(|it| Some((it, mount.point.strip_prefix(&it.point).ok()?)));
        trees.any(|(tree, below)| {
            let mut on_node = self.node.iter().filter(is_same);
            on_node.any(|it| self.shows(tree, below, &it.point))
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

/// Whether a directory is below another. Before the volume is mounted, only its name can tell.
pub(super) fn is_below(directory: &Path, data_path: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    directory.starts_with(data_path) || real(directory).starts_with(real(data_path))
}

impl Pbx {
    /// What is wrong with the containers of others that have the data mounted, if there are any. While one of them runs,
    /// the volume cannot be detached from this node: a stop of the volume fails, and the node is fenced. So a start and a
    /// monitor name them before.
    pub(super) async fn held_by_others(
        &self,
        data: &Data,
        project: &Project,
        is_pbx: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let others = data.others(is_pbx);
        let mut names = Vec::new();
        for id in others.keys().take(SHOWN) {
            names.push(self.name_of(project, id).await);
        }
        let access = others.into_values().max()?;
        Some(self.holders(&names, access))
    }

    /// `access` is the most that one of them has.
    pub(super) fn holders(&self, names: &[String], access: Access) -> String {
        let (who, have, it) = match names {
            [_] => ("the container", "has", "it"),
            _ => ("the containers", "have", "them"),
        };
        let remedy = match access {
            Access::Holds => format!("mount the node's directories into {it} with `rslave`"),
            Access::Reads | Access::Writes => format!("stop {it}"),
        };
        format!(
            "{who} {} of others {have} {} mounted: {remedy}, or this node is fenced when the PBX moves away",
            names.join(", "),
            self.parameters.data_path.display()
        )
    }

    /// The name of any container, or the beginning of its id if Docker does not tell.
    pub(super) async fn name_of(&self, project: &Project, id: &str) -> String {
        let limit = self.call.deadline.remaining() / 4;
        let found = self.within(limit, project.find(id)).await;
        let name = found.ok().flatten();
        name.unwrap_or_else(|| id.chars().take(12).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::mounts::parsed;

    /// Device, root, point; the options of each mount.
    fn list_with(options: &str, lines: &[(&str, &str, &str)]) -> Vec<Mount> {
        let lines = lines.iter().map(|(device, root, point)| {
            format!("36 35 {device} {root} {point} {options} - xfs /dev/x rw\n")
        });
        parsed(&lines.collect::<String>())
    }

    fn list(lines: &[(&str, &str, &str)]) -> Vec<Mount> {
        list_with("rw", lines)
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

    fn access_with(options: &str, mounts: &[(&str, &str, &str)]) -> Option<Access> {
        let mut all = list(&[("0:50", "/", "/")]);
        all.extend(list_with(options, mounts));
        data().access_by(&all)
    }

    fn access(mounts: &[(&str, &str, &str)]) -> Option<Access> {
        access_with("rw", mounts)
    }

    #[test]
    fn a_container_with_a_part_of_the_data_uses_them() {
        for mounts in [
            &[("259:1", "/pbx", "/var/lib/portsip/pbx")][..],
            &[("259:1", "/", "/var/lib/portsip")],
            &[("259:1", "/pbx/log", "/logs")],
            // Beside a tree of the node.
            &[("8:1", "/", "/rootfs"), ("259:1", "/pbx", "/data")],
        ] {
            assert_eq!(access(mounts), Some(Access::Writes), "{mounts:?}");
            let read_only = access_with("ro,noatime", mounts);
            assert_eq!(read_only, Some(Access::Reads), "{mounts:?}");
        }
    }

    #[test]
    fn one_mount_that_can_be_written_is_enough() {
        let mut mounts = list_with("ro", &[("259:1", "/pbx/log", "/logs")]);
        mounts.extend(list(&[("259:1", "/pbx/tmp", "/tmp")]));
        mounts.extend(list_with("ro", &[("259:1", "/pbx", "/data")]));
        assert_eq!(data().access_by(&mounts), Some(Access::Writes));
    }

    #[test]
    fn a_container_with_a_tree_of_the_node_only_holds_the_volume_unless_it_follows_the_node() {
        for mounts in [
            &[
                ("8:1", "/", "/rootfs"),
                ("259:1", "/", "/rootfs/var/lib/portsip"),
                (
                    "259:1",
                    "/pbx",
                    "/rootfs/var/lib/docker/volumes/portsip_pbx/_data",
                ),
            ][..],
            &[
                ("8:1", "/var", "/host/var"),
                ("259:1", "/", "/host/var/lib/portsip"),
            ],
            &[
                ("8:1", "/var/lib/docker", "/var/lib/docker"),
                ("259:1", "/pbx", "/var/lib/docker/volumes/portsip_pbx/_data"),
            ],
        ] {
            assert_eq!(access(mounts), Some(Access::Holds), "{mounts:?}");
            assert_eq!(access_with("ro master:7", mounts), None, "{mounts:?}");
        }
    }

    #[test]
    fn a_directory_is_on_the_volume_wherever_that_is_mounted() {
        for (path, is_there) in [
            ("/var/lib/portsip", true),
            ("/var/lib/portsip/pbx", true),
            ("/var/lib/docker/volumes/portsip_pbx/_data", true),
            ("/var/lib/portsip-old/pbx", false),
            ("/", false),
        ] {
            assert_eq!(data().has(Path::new(path)), is_there, "{path}");
        }
    }

    #[test]
    fn a_container_with_other_file_systems_does_not() {
        let mounts = [("8:1", "/etc/hosts", "/etc/hosts"), ("259:2", "/", "/srv")];
        assert_eq!(access(&mounts), None);
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
        assert_eq!(data.access_by(&mine), Some(Access::Writes));
        assert_eq!(data.access_by(&other), None);
    }
}
