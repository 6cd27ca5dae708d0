//! Which containers of the PBX have processes on this node, found without Docker: by what a start has noted, by
//! what Docker keeps on disk, and by who uses the data.

use std::collections::BTreeSet;

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
    /// Those of which nothing is known but that they use the data. They may be of the PBX.
    pub(super) unknown: Vec<Known>,
    /// Those of others that use the data.
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
        let users = users
            .into_iter()
            .filter(|(_, access)| *access != Access::Holds)
            .map(|(id, _)| id)
            .collect();
        let noted = |id: &String| started.containers.iter().find(|it| it.id == *id);
        let not_noted = processes.keys().filter(|id| noted(id).is_none());
        let kept = Kept::about(not_noted, &self.parameters.project);
        told_apart(processes.keys().cloned(), &users, started, kept)
    }
}

fn told_apart(
    ids: impl Iterator<Item = String>,
    users: &BTreeSet<String>,
    started: &Started,
    kept: Kept,
) -> Present {
    let mut present = Present {
        pbx: kept.ours,
        one_offs: kept.one_offs,
        ..Present::default()
    };
    let mut others = kept.others;
    for id in ids {
        let is_it = |known: &Known| known.id == id;
        if let Some(noted) = started.containers.iter().find(|it| is_it(it)) {
            present.pbx.push(noted.clone());
        } else if users.contains(&id)
            && !present.pbx.iter().any(is_it)
            && !present.one_offs.iter().any(is_it)
        {
            match others.iter().position(is_it) {
                Some(at) => present.others.push(others.swap_remove(at)),
                None => present.unknown.push(Known::by_id(&id)),
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
        let users = ['a', 'c', 'e', 'f'].map(id).into_iter().collect();
        let present = told_apart(ids.into_iter(), &users, &started, kept);
        assert_eq!(names(&present.pbx), "portsip.nats");
        assert_eq!(names(&present.one_offs), "portsip.initdt");
        assert_eq!(names(&present.others), "backup");
        assert_eq!(names(&present.unknown), "container ffffffffffff");
        let stopped = names(&present.all());
        assert_eq!(
            stopped,
            "portsip.nats, portsip.initdt, container ffffffffffff"
        );
    }
}
