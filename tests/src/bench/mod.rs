//! What our agents cost beside those that they replace: the same operations of both, one after the
//! other, on a node of the lab against its model of EC2, each process tree measured from its start
//! to its end. And how often a healthy cluster calls EC2.

mod cost;
mod hourly;
mod node;
mod pair;
mod readme;
pub mod renderings;
mod report;
mod target;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::demo::{aws, by_hand};
use crate::lab::{Lab, Options};
use crate::pbx;
use crate::progress::Progress;
use crate::site::{self, INSTANCES};
use crate::world::Error;

use cost::Cost;
use node::Node;
use pair::{Agent, Operation, Pair};
use report::{Floor, Line, Waited};

pub use readme::write_into;
pub use report::Report;

/// What is measured, and how much.
#[derive(Debug, Clone, clap::Args)]
pub struct Extent {
    /// The package to install on the nodes (`make deb`)
    #[arg(long, value_name = "FILE")]
    pub deb: PathBuf,
    /// How often a start and a stop of each agent are measured
    #[arg(long, value_name = "N", default_value = "5")]
    pub runs: NonZeroUsize,
    /// For how long the EC2 calls of a healthy cluster are counted; 0: not at all. fence_aws looks
    /// every five minutes
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub count: u64,
    /// Write the table into this file too, between `<!-- bench -->` and `<!-- /bench -->`
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
}

/// Monitors of each level in one run, between its start and its stop.
const MONITORS: usize = 2;

/// Measures, on a lab of its own. EC2's transitions take moments there: what is measured is the
/// agents' time and not EC2's, for which our agents wait and upstream's do not.
///
/// # Errors
/// A lab is up, a node does not do what it is told, or an operation fails.
pub fn run(extent: &Extent, progress: &dyn Progress) -> Result<Report, Error> {
    let Extent {
        deb, runs, count, ..
    } = extent;
    let runs = runs.get();
    let fast = true;
    let mut report = in_a_lab(fast, progress, |lab| operations(lab, deb, runs, progress))?;
    if *count > 0 {
        // Another lab: what was done by hand to the first is not what a cluster starts from.
        in_a_lab(!fast, progress, |lab| {
            progress.step("the addresses, with EC2's transitions as long as on EC2");
            let node = Node::prepare(lab, &INSTANCES[0], deb)?;
            report.waited = waited(&node, runs)?;
            aws::install(lab, deb, progress)?;
            report.hourly = Some(hourly::count(lab, Duration::from_secs(*count), progress)?);
            Ok(())
        })?;
    }
    Ok(report)
}

fn in_a_lab<T>(
    fast: bool,
    progress: &dyn Progress,
    work: impl FnOnce(&Lab) -> Result<T, Error>,
) -> Result<T, Error> {
    let options = Options {
        fast,
        ..Options::default()
    };
    let lab = Lab::up(&options, progress)?;
    let done = work(&lab);
    progress.finish();
    match (done, Lab::down()) {
        (Ok(done), Ok(())) => Ok(done),
        (Ok(_), Err(error)) | (Err(error), _) => Err(error),
    }
}

fn operations(
    lab: &Lab,
    deb: &Path,
    runs: usize,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    progress.step("installing the package on one node");
    let instance = &INSTANCES[0];
    let node = Node::prepare(lab, instance, deb)?;
    progress.step("the volume: XFS and the PBX's first data, once");
    by_hand::initialise_volume(lab)?;

    progress.step("the floor");
    let floor = floor(&node, runs)?;

    let mut lines = Vec::new();
    progress.step("awsvip, PortSIP HA's and upstream's in turn");
    let private_address = pair::private_address();
    lines.extend(compare(&node, &private_address, runs)?);
    node.operation(&private_address.portsip, Operation::Start)?;

    progress.step("awseip");
    let elastic_ip = pair::elastic_ip();
    lines.extend(compare(&node, &elastic_ip, runs)?);

    progress.step("awsipsrcaddr and IPsrcaddr");
    // With the subnet's prefix, or upstream's takes it for a second primary address and cannot stop.
    let (vip, subnet) = (site::VIP, site::SUBNET_CIDR);
    let prefix = subnet.split_once('/').map_or("32", |(_, prefix)| prefix);
    node.run(
        "the address on the interface",
        &format!("ip address add {vip}/{prefix} dev $(ip -o route get {} | sed 's/.* dev \\([^ ]*\\) .*/\\1/')", site::ROUTER),
    )?;
    lines.extend(compare(&node, &pair::source_address(), runs)?);

    progress.step("awsebs");
    let volume = pair::volume();
    lines.extend(compare(&node, &volume, runs)?);

    progress.step("pbx and docker-compose");
    node.operation(&volume.portsip, Operation::Start)?;
    node.run(
        "mounting the volume",
        &format!(
            "mount /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{} {}",
            site::VOLUME_ID.replace('-', ""),
            pbx::DATA_DIR
        ),
    )?;
    lines.extend(compare(&node, &pair::containers(), runs)?);

    Ok(Report {
        at: std::time::SystemTime::now(),
        runs,
        monitors: runs * MONITORS,
        floor,
        lines,
        waited: Vec::new(),
        hourly: None,
    })
}

fn floor(node: &Node<'_>, times: usize) -> Result<Vec<Floor>, Error> {
    let describe = format!(
        "aws ec2 describe-volumes --region {} --volume-ids {}",
        site::REGION,
        site::VOLUME_ID
    );
    let mut costs: [Vec<Cost>; 4] = Default::default();
    for _ in 0..times {
        costs[0].push(node.command("/bin/true")?);
        costs[1].push(node.bare_http()?);
        costs[2].push(node.bare_https()?);
        costs[3].push(node.command(&describe)?);
    }
    let names = [
        "`/bin/true`",
        "a bare HTTP request to the metadata service",
        "a bare HTTPS request to EC2",
        "`aws ec2 describe-volumes`",
    ];
    Ok(names
        .into_iter()
        .zip(costs)
        .map(|(what, costs)| Floor {
            what,
            cost: Cost::median(&costs),
        })
        .collect())
}

/// Each operation of a pair, run after run, PortSIP HA's agent and upstream's in turn.
fn compare(node: &Node<'_>, pair: &Pair, runs: usize) -> Result<Vec<Line>, Error> {
    let agents: Vec<&Agent> = [&pair.portsip].into_iter().chain(&pair.upstream).collect();
    let mut costs = vec![Vec::new(); agents.len()];
    for _ in 0..runs {
        for (agent, costs) in agents.iter().zip(&mut costs) {
            live(node, pair, agent, costs)?;
        }
    }
    let of = |side: usize, operation: Operation| median(costs.get(side)?, operation);
    Ok(Operation::ALL
        .into_iter()
        .filter_map(|operation| {
            Some(Line {
                agent: pair.portsip.name,
                upstream_agent: pair.upstream.as_ref().map(|agent| agent.name),
                operation,
                kind: pair.kind,
                portsip: of(0, operation)?,
                upstream: of(1, operation),
            })
        })
        .collect())
}

/// One life of a resource: a start, monitors, a stop.
fn live(
    node: &Node<'_>,
    pair: &Pair,
    agent: &Agent,
    costs: &mut Vec<(Operation, Cost)>,
) -> Result<(), Error> {
    if !pair.before_start.is_empty() {
        node.run("before the start", pair.before_start)?;
    }
    let mut measure = |operation: Operation| {
        costs.push((operation, node.operation(agent, operation)?));
        Ok::<(), Error>(())
    };
    measure(Operation::Start)?;
    for _ in 0..MONITORS {
        measure(Operation::Monitor)?;
        if pair.has_level_10 {
            measure(Operation::Monitor10)?;
        }
    }
    measure(Operation::Stop)
}

/// How long our agents take for the addresses when EC2 takes its time.
fn waited(node: &Node<'_>, runs: usize) -> Result<Vec<Waited>, Error> {
    let (vip, eip) = (pair::private_address().portsip, pair::elastic_ip().portsip);
    let mut lives: [Vec<(Operation, Cost)>; 2] = Default::default();
    for _ in 0..runs {
        for (operation, agent, costs) in [
            (Operation::Start, &vip, 0),
            (Operation::Start, &eip, 1),
            (Operation::Stop, &eip, 1),
            (Operation::Stop, &vip, 0),
        ] {
            lives[costs].push((operation, node.operation(agent, operation)?));
        }
    }
    Ok([vip, eip]
        .iter()
        .zip(&lives)
        .map(|(agent, costs)| Waited {
            agent: agent.name,
            start: median(costs, Operation::Start).unwrap_or_default().wall,
            stop: median(costs, Operation::Stop).unwrap_or_default().wall,
        })
        .collect())
}

/// Of one operation, if it was measured.
fn median(costs: &[(Operation, Cost)], operation: Operation) -> Option<Cost> {
    let of_operation: Vec<Cost> = costs
        .iter()
        .filter(|(measured, _)| *measured == operation)
        .map(|(_, cost)| *cost)
        .collect();
    (!of_operation.is_empty()).then(|| Cost::median(&of_operation))
}
