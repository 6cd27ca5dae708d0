//! The nodes of the cluster, which have the list of the extended servers, and the servers themselves. A node that is
//! lost is no reason to leave the servers alone.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::cli::SiteArgs;
use crate::exit::Failure;
use crate::extend::{Cluster, Entry, FILE, Facts, Register, Said, look_at_cluster};
use crate::hand_on::Sources;
use crate::inventory::Machine;
use crate::lock::{Lock, lock};
use crate::output::{Progress, say};
use crate::reach::{CONNECT, Command, Fleet, Missing, Node, none_usable};
use crate::run::Run;

/// How many servers are worked on at a time.
const AT_ONCE: usize = 10;
/// How long another node may take to answer a connection, asked from a node.
const BETWEEN_NODES: Duration = Duration::from_secs(5);

/// The cluster, as far as it can be reached.
pub(super) struct Contact {
    pub(super) fleet: Fleet,
    pub(super) nodes: Vec<Node>,
    /// The nodes that cannot be reached.
    pub(super) missing: Vec<Missing>,
    /// What the others said.
    pub(super) said: Vec<Said>,
    /// The newest list.
    pub(super) register: Register,
    /// The nodes that have another one.
    pub(super) outdated: Vec<String>,
    _lock: Option<Lock>,
}

/// A server, and its machine if that could be reached.
pub(super) type Found = (Entry, Result<(Node, Facts), Missing>);

/// Seconds since 1970.
fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

impl Contact {
    /// Connects to the nodes, takes the lock if something is to be changed, and reads the list.
    ///
    /// # Errors
    /// No node can be used, somebody else changes something, or the list cannot be read.
    pub(super) async fn new(args: &SiteArgs, change: Option<&str>) -> Result<Contact, Failure> {
        let fleet = super::super::fleet(args)?;
        let limit = match fleet.machines().iter().any(|machine| machine.is_here) {
            true => BETWEEN_NODES,
            false => CONNECT,
        };
        let _progress = Progress::begin("looking at the nodes");
        let first = Command::look("logging in", ":");
        let connecting = fleet.machines().iter();
        let connecting = connecting.map(|machine| fleet.connect(machine, limit, &first));
        let (mut nodes, mut missing): (Vec<Node>, Vec<Missing>) = Default::default();
        for connected in join_all(connecting).await {
            match connected {
                Ok((node, _)) => nodes.push(node),
                Err(why) => missing.push(why),
            }
        }
        if nodes.is_empty() {
            return Err(none_usable(&missing));
        }
        if change.is_some() && nodes.len() * 2 <= fleet.machines().len() {
            let away: Vec<String> = missing.iter().map(Missing::text).collect();
            return Err(Failure::failed(format!(
                "fewer than half of the nodes can be reached, and the others may have a newer list of the extended \
                 servers. Nothing was changed\n{}",
                away.join("\n")
            )));
        }
        let lock = match change {
            Some(what) => Some(lock(&nodes, what).await?),
            None => None,
        };
        let said = look(&nodes).await?;
        let (register, outdated) = newest(&said)?;
        Ok(Contact {
            fleet,
            nodes,
            missing,
            said,
            register,
            outdated,
            _lock: lock,
        })
    }

    /// Connects to servers, and looks at them.
    pub(super) async fn reach(
        &self,
        entries: Vec<Entry>,
        look: impl Fn(&Entry) -> Command,
    ) -> Vec<Found> {
        let reaching = entries.into_iter().map(|entry| {
            let look = look(&entry);
            async move {
                let machine = Machine {
                    name: entry.server.name.to_string(),
                    address: Some(entry.server.address.to_string()),
                    is_here: false,
                };
                let begun = seconds();
                let connected = self.fleet.connect(&machine, CONNECT, &look).await;
                let between = (begun + seconds()) / 2.0;
                let found =
                    connected.map(|(node, answer)| (node, Facts::parse(&answer.stdout, between)));
                (entry, found)
            }
        });
        all(reaching).await
    }

    /// The nodes that have the image that the PBX runs from. The one where it runs is left alone, if another has it.
    pub(super) fn sources(&self, cluster: &Cluster) -> Sources<'_> {
        let have = self.said.iter().filter(|it| it.has_image_of(cluster));
        let mut have: Vec<&Said> = have.collect();
        if have.iter().any(|it| !it.runs_the_pbx()) {
            have.retain(|it| !it.runs_the_pbx());
        }
        let node = |it: &Said| self.nodes.iter().find(|node| node.name == it.node);
        Sources::new(have.into_iter().filter_map(node).collect())
    }

    /// The list with servers added, if there is something to write: also one that an interrupted run has not written
    /// on all nodes.
    pub(super) fn adding(&self, new: &[Entry]) -> Option<Register> {
        match (new.is_empty(), self.outdated.is_empty()) {
            (false, _) => Some(self.register.adding(new)),
            (true, false) if !self.register.servers.is_empty() => Some(self.register.clone()),
            (true, _) => None,
        }
    }

    /// Writes another list on all nodes that can be reached. True if there are others, which are named.
    ///
    /// # Errors
    /// No node has it now.
    pub(super) async fn write(&self, register: &Register, run: &Run) -> Result<bool, Failure> {
        let write = &register.write();
        let writing = self.nodes.iter();
        let writing = writing.map(|node| async move { (node, run.change(node, write).await) });
        let (mut missed, mut failures) = (Vec::new(), Vec::new());
        for (node, written) in join_all(writing).await {
            if let Err(failure) = written {
                missed.push(node.name.clone());
                failures.push(failure);
            }
        }
        if failures.len() == self.nodes.len()
            && let Some(failure) = failures.pop()
        {
            return Err(failure);
        }
        for failure in failures {
            say(&format!("warning: {failure}"));
        }
        missed.extend(self.missing.iter().map(|it| it.name.clone()));
        if !missed.is_empty() && !run.is_dry() {
            say(&format!(
                "warning: {} could not be reached, and has an older list of the extended servers. The other nodes have \
                 the new one, which counts; the next change gives it to all",
                missed.join(", ")
            ));
        }
        Ok(!missed.is_empty())
    }
}

async fn look(nodes: &[Node]) -> Result<Vec<Said>, Failure> {
    let look = &look_at_cluster();
    let looking = nodes.iter().map(|node| async move {
        let begun = seconds();
        let answer = super::super::show::answer(node, look.clone()).await;
        answer.map(|answer| Said::parse(&node.name, &answer.stdout, (begun + seconds()) / 2.0))
    });
    let (mut said, mut failures) = (Vec::new(), Vec::new());
    for looked in join_all(looking).await {
        match looked {
            Ok(one) => said.push(one),
            Err(failure) => failures.push(failure),
        }
    }
    match failures.pop() {
        Some(failure) if said.is_empty() => Err(failure),
        last => {
            for failure in failures.into_iter().chain(last) {
                say(&format!("warning: {failure}"));
            }
            Ok(said)
        }
    }
}

/// The newest list, and the nodes that do not have it.
fn newest(said: &[Said]) -> Result<(Register, Vec<String>), Failure> {
    let mut known = Vec::new();
    let mut broken = Vec::new();
    for it in said {
        match it.register() {
            Ok(register) => known.push((it.node.clone(), register.unwrap_or_default())),
            Err(error) => broken.push((it.node.clone(), error)),
        }
    }
    for (node, error) in &broken {
        say(&format!(
            "warning: {FILE} on {node} cannot be read ({error})"
        ));
    }
    let newest = Register::newest(known.iter().map(|(_, register)| register.clone()));
    if newest == Register::default()
        && let Some((node, error)) = broken.first()
    {
        return Err(Failure::failed(format!(
            "the list of the extended servers cannot be read: {FILE} on {node}: {error}, and no other node has one. \
             Nothing was changed\n  help: mend the file, or remove it and run `ha-ctl extend run` with each server again"
        )));
    }
    let outdated = known
        .iter()
        .filter(|(_, register)| *register != newest)
        .map(|(node, _)| node);
    let broken = broken.iter().map(|(node, _)| node);
    let outdated: Vec<String> = outdated.chain(broken).cloned().collect();
    Ok((newest, outdated))
}

/// Does all, some at a time; what comes back is in the order of the works.
pub(super) async fn all<T>(works: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    stream::iter(works).buffered(AT_ONCE).collect().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn said(node: &str, register: Option<&Register>) -> Said {
        let text = register.map(|it| serde_json::to_string(it).unwrap());
        let text = text.map(|text| format!("register {text}\n"));
        Said::parse(node, &text.unwrap_or_default(), 0.0)
    }

    #[test]
    fn the_newest_list_counts_and_nodes_with_another_are_known() {
        let old = Register::default().with(Vec::new());
        let new = old.with(Vec::new());
        let all = [
            said("pbx01", Some(&old)),
            said("pbx02", Some(&new)),
            said("pbx03", None),
        ];
        let (newest, outdated) = newest(&all).unwrap();
        assert_eq!(newest, new);
        assert_eq!(outdated, ["pbx01", "pbx03"]);
    }

    #[test]
    fn a_broken_list_is_refused_only_where_there_is_no_other() {
        let broken = Said::parse("pbx01", "register {\n", 0.0);
        let refused = newest(std::slice::from_ref(&broken)).unwrap_err();
        assert!(refused.text.contains("on pbx01"), "{refused}");
        let good = Register::default().with(Vec::new());
        let (newest, outdated) = newest(&[broken, said("pbx02", Some(&good))]).unwrap();
        assert_eq!((newest, outdated), (good, vec!["pbx01".to_owned()]));
    }

    #[tokio::test]
    async fn what_is_done_at_once_comes_back_in_order() {
        let works = (0..25_u64).map(|n| async move {
            tokio::time::sleep(Duration::from_millis(25 - n)).await;
            n
        });
        assert_eq!(all(works).await, (0..25).collect::<Vec<_>>());
    }
}
