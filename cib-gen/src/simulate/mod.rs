//! What the cluster does when something fails, by Pacemaker's own scheduler: it is started, its nodes fail,
//! are rebooted and come back, quorum is lost, each resource fails on each node, two things fail at once.

mod judge;
mod report;
mod scenarios;
pub(crate) mod state;
mod tested;

use std::thread;

pub use report::{Case, Report};

use crate::cluster::Cluster;
use crate::scheduler::Scheduler;
use crate::xml::Element;
use scenarios::Scenarios;

/// Runs every scenario, on the cluster alone or on a CIB into which it is merged. The scenarios of one active
/// node run beside those of another.
pub fn simulate<S: Scheduler>(
    cluster: &Cluster,
    merged: Option<&Element>,
    scheduler: &S,
) -> Result<Report, S::Error> {
    let tested = tested::tested(cluster);
    let nodes: Vec<&str> = (cluster.corosync.nodes.iter())
        .map(|member| member.name.as_str())
        .collect();
    let (voters, hosts): (Vec<&str>, Vec<&str>) =
        (nodes.iter().copied()).partition(|node| cluster.is_voter(node));
    let fresh = state::fresh(cluster, merged).to_string();
    let scenarios = |active| Scenarios {
        scheduler,
        tested: &tested,
        nodes: &nodes,
        hosts: &hosts,
        voters: &voters,
        active,
        fresh: &fresh,
        cases: Vec::new(),
    };
    let mut cases = scenarios(0).start()?;
    let of_nodes = thread::scope(|scope| {
        let threads: Vec<_> = (0..hosts.len())
            .map(|active| scope.spawn(move || scenarios(active).all()))
            .collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    cases.extend(of_nodes.into_iter().flatten());
    let ids: Vec<&str> = tested.iter().map(|resource| resource.id.as_str()).collect();
    Ok(Report {
        not_judged: not_judged(cluster, &tested),
        ..Report::new(cases, &ids)
    })
}

/// The scheduler runs no agent and resets no node: every fencing is a success to it.
fn not_judged(cluster: &Cluster, tested: &[tested::Tested]) -> Vec<String> {
    let devices = tested
        .iter()
        .filter(|resource| resource.kind == tested::Kind::Device);
    let devices: Vec<&str> = devices.map(|device| device.id.as_str()).collect();
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
