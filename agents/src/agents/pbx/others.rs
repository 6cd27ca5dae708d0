//! Containers of others that have the data mounted. While one of them runs, the volume cannot be detached from this
//! node: a stop of the volume fails, and the node is fenced. So a start and a monitor name them before.

use super::Pbx;
use super::data::{Access, Data};
use crate::docker::{Project, processes};

/// How many are named.
const SHOWN: usize = 3;

/// The ids of the containers that have some of the data mounted and are not of the PBX.
pub(super) fn others(data: &Data, is_pbx: impl Fn(&str) -> bool) -> Vec<(String, Access)> {
    let users = data.users(&processes::of_containers());
    users.into_iter().filter(|(id, _)| !is_pbx(id)).collect()
}

impl Pbx {
    /// What is wrong with the containers of others that have the data mounted, if there are any.
    pub(super) async fn held_by_others(
        &self,
        data: &Data,
        project: &Project,
        is_pbx: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let others = others(data, is_pbx);
        let mut names = Vec::new();
        for (id, _) in others.iter().take(SHOWN) {
            names.push(self.name_of(project, id).await);
        }
        let access = others.iter().map(|(_, access)| *access).max()?;
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
