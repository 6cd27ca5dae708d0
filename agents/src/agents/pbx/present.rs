//! Which containers of the PBX have processes on this node, found without Docker: by what a start has noted, by
//! what Docker keeps on disk, and by who uses the data.

use std::collections::BTreeMap;

use super::Pbx;
use super::data::{Access, Data};
use super::note::Started;
use crate::docker::{Kept, Known, processes};

/// Containers that have processes.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// The PBX.
    pub(super) pbx: Vec<Known>,
    /// Those of `docker compose run`: they use the data, and are no part of what runs.
    pub(super) one_offs: Vec<Known>,
    /// Those of which nothing is known but that they can write the data, when no start has noted what the PBX is.
    /// They may be of the PBX.
    pub(super) unknown: Vec<Known>,
    /// All others that use the data. They are never ended.
    pub(super) others: Vec<Known>,
}

impl Present {
    /// All that a stop has to end.
    pub(super) fn all(self) -> Vec<Known> {
        [self.pbx, self.one_offs, self.unknown].concat()
    }

    /// All by which the data are in use.
    pub(super) fn users(self) -> Vec<Known> {
        [self.pbx, self.one_offs, self.unknown, self.others].concat()
    }
}

/// Their names in a sentence.
pub(super) fn names(of: &[Known]) -> String {
    let names: Vec<&str> = of.iter().map(|it| it.name.as_str()).collect();
    names.join(", ")
}

impl Pbx {
    pub(super) fn present(&self, started: &Started) -> Present {
        let processes = processes::of_containers();
        let users = Data::at(&self.parameters.data_path)
            .map(|data| data.users(&processes))
            .unwrap_or_default();
        // Which may be ours is asked after that: one that ends in between is no user any more.
        let of_docker = processes::of_docker();
        let users = users
            .into_iter()
            .filter(|(_, access)| *access != Access::Holds)
            .map(|(id, access)| {
                let may_be_ours = access == Access::Writes && of_docker.contains_key(&id);
                (id, may_be_ours)
            })
            .collect();
        let noted = |id: &String| started.containers.iter().find(|it| it.id == *id);
        let not_noted = processes.keys().filter(|id| noted(id).is_none());
        let kept = Kept::about(not_noted, &self.parameters.project);
        told_apart(processes.keys().cloned(), &users, started, kept)
    }
}

/// `users` use the data; of each, whether it is such that it may be of the PBX.
fn told_apart(
    ids: impl Iterator<Item = String>,
    users: &BTreeMap<String, bool>,
    started: &Started,
    kept: Kept,
) -> Present {
    let mut present = Present {
        pbx: kept.ours,
        one_offs: kept.one_offs,
        ..Present::default()
    };
    let mut others = kept.others;
    let is_noted = !started.containers.is_empty();
    for id in ids {
        let is_it = |known: &Known| known.id == id;
        if let Some(noted) = started.containers.iter().find(|it| is_it(it)) {
            present.pbx.push(noted.clone());
        } else if let Some(may_be_ours) = users.get(&id)
            && !present.pbx.iter().any(is_it)
            && !present.one_offs.iter().any(is_it)
        {
            match others.iter().position(is_it) {
                Some(at) => present.others.push(others.swap_remove(at)),
                None if *may_be_ours && !is_noted => present.unknown.push(Known::by_id(&id)),
                None => present.others.push(Known::by_id(&id)),
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

    fn known(c: char, name: &str) -> Known {
        Known {
            name: name.to_owned(),
            ..Known::by_id(&id(c))
        }
    }

    #[test]
    fn containers_of_others_do_not_count_unless_they_use_the_data() {
        let started = Started {
            containers: vec![known('a', "portsip.nats"), known('b', "portsip.ai")],
            ..Started::default()
        };
        let kept = Kept {
            one_offs: vec![known('c', "portsip.initdt")],
            others: vec![known('d', "web"), known('e', "backup")],
            ..Kept::default()
        };
        let ids = ['a', 'c', 'd', 'e', 'f', '0'].map(id);
        let users = BTreeMap::from(['a', 'c', 'e', 'f'].map(|it| (id(it), true)));
        let present = told_apart(ids.into_iter(), &users, &started, kept);
        assert_eq!(names(&present.pbx), "portsip.nats");
        assert_eq!(names(&present.one_offs), "portsip.initdt");
        assert_eq!(names(&present.others), "backup, container ffffffffffff");
        assert_eq!(names(&present.all()), "portsip.nats, portsip.initdt");
    }

    #[test]
    fn without_a_note_one_of_docker_that_can_write_the_data_may_be_of_the_pbx() {
        let ids = ['a', 'b', 'c'].map(id);
        let users = BTreeMap::from([(id('a'), true), (id('b'), false)]);
        let present = told_apart(
            ids.into_iter(),
            &users,
            &Started::default(),
            Kept::default(),
        );
        assert_eq!(names(&present.unknown), "container aaaaaaaaaaaa");
        assert_eq!(names(&present.others), "container bbbbbbbbbbbb");
        assert_eq!(names(&present.all()), "container aaaaaaaaaaaa");
    }
}
