//! What the cluster does when something fails, by Pacemaker's own scheduler: it is started, its
//! nodes fail and come back, quorum is lost, each resource fails on each node.

mod judge;
mod parts;
mod report;
mod state;
mod stories;

use std::thread;

pub use report::{Case, Report};

use crate::cluster::Cluster;
use crate::scheduler::Scheduler;
use crate::xml;
use stories::Chapter;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The scheduler could not be asked.
    #[error("{0}")]
    Scheduler(E),
    /// What it left is no CIB.
    #[error("the CIB that crm_simulate wrote can not be used: {0}")]
    Cib(#[from] xml::Error),
    /// One of the threads that ask it has ended.
    #[error("the simulation ended before its end")]
    Ended,
}

/// Goes through every case. Those of a node are asked about side by side with those of another.
///
/// # Errors
/// The scheduler could not be asked.
pub fn simulate<S: Scheduler>(cluster: &Cluster, scheduler: &S) -> Result<Report, Error<S::Error>> {
    let parts = parts::parts(cluster);
    let nodes: Vec<&str> = (cluster.corosync.nodes.iter())
        .map(|member| member.name.as_str())
        .collect();
    let fresh = state::fresh(cluster);
    let chapter = |active| Chapter::new(cluster, scheduler, &parts, &nodes, active, &fresh);
    let mut cases = chapter(0).start()?;
    let of_nodes = thread::scope(|scope| {
        let threads: Vec<_> = (0..nodes.len())
            .map(|active| scope.spawn(move || chapter(active).all()))
            .collect();
        let ends = threads.into_iter().map(|t| t.join());
        ends.map(|end| end.unwrap_or(Err(Error::Ended)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    cases.extend(of_nodes.into_iter().flatten());
    let ids: Vec<&str> = parts.iter().map(|part| part.id.as_str()).collect();
    Ok(Report {
        not_judged: not_judged(cluster, &parts),
        ..Report::new(cases, &ids)
    })
}

/// The scheduler runs no agent and resets no node: every fencing is a success to it.
fn not_judged(cluster: &Cluster, parts: &[parts::Part]) -> Vec<String> {
    let devices: Vec<&str> = (parts.iter())
        .filter(|part| part.kind == parts::Kind::Device)
        .map(|part| part.id.as_str())
        .collect();
    let what = match &cluster.corosync.watchdog {
        Some(watchdog) => format!("whether {} resets a node", watchdog.device),
        None if devices.is_empty() => return Vec::new(),
        None => format!(
            "whether {} switches the right machine, or any",
            devices.join(", ")
        ),
    };
    vec![format!(
        "{what}. Here every fencing succeeds. Try it once on each node, as a standby and before the \
         PBX is in use: sudo pcs stonith fence NODE"
    )]
}
