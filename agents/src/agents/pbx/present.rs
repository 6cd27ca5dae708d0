//! Which containers of the PBX have processes on this node, found without Docker: by the record of the start, by
//! what Docker keeps on disk, and by who uses the data.

use std::collections::BTreeMap;

use super::Pbx;
use super::data::{Access, Data};
use super::start_record::StartRecord;
use crate::docker::{ContainerRecord, OnDisk, processes};

/// The containers that have processes.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) pbx: Vec<ContainerRecord>,
    /// Those of `docker compose run`: they use the data, but are no part of the PBX.
    pub(super) one_offs: Vec<ContainerRecord>,
    /// Those that can write the data and of which nothing else is known, when there is no record of a start. They may
    /// be of the PBX.
    pub(super) unknown: Vec<ContainerRecord>,
    /// All others that use the data. They are never ended.
    pub(super) others: Vec<ContainerRecord>,
}

impl Present {
    /// All that a stop has to end.
    pub(super) fn all_to_end(self) -> Vec<ContainerRecord> {
        [self.pbx, self.one_offs, self.unknown].concat()
    }

    /// All that use the data.
    pub(super) fn users(self) -> Vec<ContainerRecord> {
        [self.pbx, self.one_offs, self.unknown, self.others].concat()
    }
}

pub(super) fn names(of: &[ContainerRecord]) -> String {
    let names: Vec<&str> = of.iter().map(|it| it.name.as_str()).collect();
    names.join(", ")
}

impl Pbx {
    pub(super) fn present(&self, record: &StartRecord) -> Present {
        let processes = processes::of_containers();
        let data = Data::at(&self.parameters.data_path);
        let mut users = data.map(|data| data.users(&processes)).unwrap_or_default();
        users.retain(|_, access| *access != Access::Holds);
        // Listed after the users: a container that ends in between is not taken for the PBX.
        let of_docker = processes::of_docker();
        let users = users.into_iter().map(|(id, access)| {
            let may_be_pbx = access == Access::Writes && of_docker.contains_key(&id);
            (id, may_be_pbx)
        });
        let users = users.collect();
        let is_recorded = |id: &&String| record.containers.iter().any(|it| it.id == **id);
        let not_recorded = processes.keys().filter(|id| !is_recorded(id));
        let on_disk = OnDisk::about(not_recorded, &self.parameters.project);
        sorted(processes.keys(), &users, record, on_disk)
    }
}

/// `users` are the containers that use the data; for each, whether it may be of the PBX.
fn sorted<'a>(
    ids: impl Iterator<Item = &'a String>,
    users: &BTreeMap<String, bool>,
    record: &StartRecord,
    on_disk: OnDisk,
) -> Present {
    let mut present = Present {
        pbx: on_disk.project,
        one_offs: on_disk.one_offs,
        ..Present::default()
    };
    let mut others = on_disk.others;
    let has_record = !record.containers.is_empty();
    for id in ids {
        let is_it = |container: &ContainerRecord| container.id == *id;
        if let Some(recorded) = record.containers.iter().find(|it| is_it(it)) {
            present.pbx.push(recorded.clone());
        } else if let Some(may_be_pbx) = users.get(id)
            && !present.pbx.iter().chain(&present.one_offs).any(is_it)
        {
            let (known, by_id) = (others.iter().position(is_it), ContainerRecord::by_id(id));
            match known {
                Some(at) => present.others.push(others.swap_remove(at)),
                None if *may_be_pbx && !has_record => present.unknown.push(by_id),
                None => present.others.push(by_id),
            }
        }
    }
    present
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(c: char) -> String {
        c.to_string().repeat(64)
    }

    fn container(c: char, name: &str) -> ContainerRecord {
        ContainerRecord {
            name: name.to_owned(),
            ..ContainerRecord::by_id(&id(c))
        }
    }

    #[test]
    fn containers_of_others_do_not_count_unless_they_use_the_data() {
        let record = StartRecord {
            containers: vec![container('a', "portsip.nats"), container('b', "portsip.ai")],
            ..StartRecord::default()
        };
        let on_disk = OnDisk {
            one_offs: vec![container('c', "portsip.initdt")],
            others: vec![container('d', "web"), container('e', "backup")],
            ..OnDisk::default()
        };
        let ids = ['a', 'c', 'd', 'e', 'f', '0'].map(id);
        let users = BTreeMap::from(['a', 'c', 'e', 'f'].map(|it| (id(it), true)));
        let present = sorted(ids.iter(), &users, &record, on_disk);
        assert_eq!(names(&present.pbx), "portsip.nats");
        assert_eq!(names(&present.one_offs), "portsip.initdt");
        assert_eq!(names(&present.others), "backup, container ffffffffffff");
        assert_eq!(names(&present.all_to_end()), "portsip.nats, portsip.initdt");
    }

    #[test]
    fn without_a_record_one_of_docker_that_can_write_the_data_may_be_of_the_pbx() {
        let ids = ['a', 'b', 'c'].map(id);
        let users = BTreeMap::from([(id('a'), true), (id('b'), false)]);
        let present = sorted(
            ids.iter(),
            &users,
            &StartRecord::default(),
            OnDisk::default(),
        );
        assert_eq!(names(&present.unknown), "container aaaaaaaaaaaa");
        assert_eq!(names(&present.others), "container bbbbbbbbbbbb");
        assert_eq!(names(&present.all_to_end()), "container aaaaaaaaaaaa");
    }
}
