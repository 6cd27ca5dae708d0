//! What a user does by hand on both systems, and how a cluster is asked how it is. The steps of each system are in
//! `aws` and `lan`. Nothing here is known only to the lab but how to reach a node and the vendor's images.

use std::process::Output;
use std::time::{Duration, Instant};

use super::status::Status;
use crate::lab::Lab;
use crate::site::{Host, Site};
use crate::world::Error;

/// The password of the user hacluster on the lab's nodes.
pub const HACLUSTER: &str = "lab-hacluster";
/// The password of the database's superuser on the lab's nodes.
pub const DATABASE_PASSWORD: &str = "lab-database";
/// Where vars.yml lies on every node.
pub const VARS: &str = "/etc/portsip/vars.yml";

/// Waits until every resource is started on one node for which `accept` holds, and the fencing
/// device somewhere. On a LAN, the watchdogs fence.
///
/// # Errors
/// After `limit`: what is started where, and which operations failed.
pub fn wait_until_active(
    lab: &Lab,
    ask: &Host,
    limit: Duration,
    accept: impl Fn(&str) -> bool,
) -> Result<String, Error> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = status(lab, ask);
        if let Ok(status) = &seen
            && (lab.site() == Site::Lan || status.can_fence())
            && let Some(node) = status.active().filter(|node| accept(node))
        {
            return Ok(node.to_owned());
        }
        if Instant::now() > deadline {
            let state = match seen {
                Ok(status) => format!("{status:#?}"),
                Err(error) => error.to_string(),
            };
            return Err(format!(
                "the resources were not started on one node within {} s; the cluster as {} sees it: {state}",
                limit.as_secs(),
                ask.hostname
            )
            .into());
        }
        std::thread::sleep(pause(lab.site()));
    }
}

/// Waits until the cluster, as `ask` sees it, has a node online.
///
/// # Errors
/// After `limit`: the cluster as it is then.
pub fn wait_until_online(lab: &Lab, node: &Host, ask: &Host, limit: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = status(lab, ask);
        let is_online =
            |status: &Status| status.online.iter().any(|online| online == node.hostname);
        if seen.as_ref().is_ok_and(is_online) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "{} is not online after {} s; {} sees {seen:#?}",
                node.hostname,
                limit.as_secs(),
                ask.hostname
            )
            .into());
        }
        std::thread::sleep(pause(lab.site()));
    }
}

/// Between two looks at a cluster. A look starts processes, and costs a kernel node as much as an agent's monitor.
pub fn pause(site: Site) -> Duration {
    match site {
        Site::Ec2 => Duration::from_millis(200),
        Site::Lan => Duration::from_secs(2),
    }
}

/// The cluster as `node` sees it.
///
/// # Errors
/// The node does not answer, or Pacemaker does not run there.
pub fn status(lab: &Lab, node: &Host) -> Result<Status, Error> {
    Status::parse(&run(
        lab,
        node,
        "crm_mon",
        "crm_mon --output-as=xml -1",
        SECONDS,
    )?)
}

/// Runs a script on a node and returns what it printed.
///
/// # Errors
/// With the step, the node, and what the script printed.
pub fn run(
    lab: &Lab,
    node: &Host,
    step: &str,
    script: &str,
    limit: Duration,
) -> Result<String, Error> {
    printed(step, node, lab.ssh(node, script, limit))
}

/// Runs a script as a node's user, who writes `sudo` where root is needed, and returns what it printed.
///
/// # Errors
/// As [`run`].
pub fn run_as_user(
    lab: &Lab,
    node: &Host,
    step: &str,
    script: &str,
    limit: Duration,
) -> Result<String, Error> {
    printed(step, node, lab.ssh_as_user(node, script, limit))
}

fn printed(step: &str, node: &Host, output: Result<Output, Error>) -> Result<String, Error> {
    let output = output.map_err(|error| format!("{step} on {}: {error}", node.hostname))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{step} on {} failed ({}):\n{}{}",
        node.hostname,
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// For a command that has to do something.
pub const MINUTES: Duration = Duration::from_secs(300);
/// For a command that only has to look.
pub const SECONDS: Duration = Duration::from_secs(20);

/// Does the same on several nodes at once.
///
/// # Errors
/// Those of the first node that has any.
pub fn on_all(
    nodes: &[&'static Host],
    work: impl Fn(&'static Host) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(move || work(node)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a thread of the installation panicked".into()))
        })
    })
}
