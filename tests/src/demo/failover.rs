//! A fault on the active node while clients use it, and what they, the surviving nodes and EC2,
//! where there is one, saw.

use std::time::{Duration, Instant, SystemTime};

use super::gap::Gap;
use super::journals::{describe, journals};
use super::outcome::Outcome;
use super::sip::Phone;
use super::timeline::{Logged, Moment};
use super::writer::{self, Writer};
use super::{Access, cluster};
use crate::ec2::Happening;
use crate::lab::Lab;
use crate::netns;
use crate::progress::Progress;
use crate::site::{Host, Site};
use crate::world::Error;

/// How long clients are watched before the fault, so that there is something to lose.
const BEFORE: Duration = Duration::from_secs(3);
/// Longer than any failover that works.
const LIMIT: Duration = Duration::from_secs(240);

/// What is done to the active node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its power is cut.
    PowerCut,
    /// No packet passes between it and the other nodes; EC2 and the clients still reach it.
    Partition,
    /// Its kernel stands still for so long and goes on then, as under a hypervisor that hangs.
    Hang(Duration),
    /// Its Pacemaker stands still, and Corosync goes on.
    PacemakerHangs,
    /// An operator puts it into standby.
    Standby,
    /// An operator, or an upgrade, reboots it.
    Reboot,
}

impl Fault {
    fn strike(self, lab: &Lab, node: &'static Host) -> Result<(), Error> {
        match self {
            Self::PowerCut => lab.power_off(node),
            Self::Partition => lab.partition(node),
            Self::Hang(time) => {
                lab.freeze(node)?;
                let lab = lab.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(time);
                    if let Err(error) = lab.thaw(node) {
                        tracing::error!("{} does not go on: {error}", node.hostname);
                    }
                });
                Ok(())
            }
            Self::PacemakerHangs => {
                // The node may be reset before it has answered.
                lab.ssh(node, "pkill -STOP ^pacemaker", cluster::SECONDS)?;
                Ok(())
            }
            Self::Standby => cluster::run(
                lab,
                node,
                "pcs node standby",
                &format!("pcs node standby {}", node.hostname),
                cluster::MINUTES,
            )
            .map(drop),
            Self::Reboot => {
                lab.ssh(node, "systemctl reboot", cluster::SECONDS)?;
                Ok(())
            }
        }
    }

    /// What has been done, for the timeline.
    fn done(self, node: &str) -> String {
        match self {
            Self::PowerCut => format!("power of {node} is off"),
            Self::Partition => format!("{node} is cut off from the other nodes"),
            Self::Hang(time) => format!("{node} stands still, for {} s", time.as_secs()),
            Self::PacemakerHangs => format!("Pacemaker on {node} stands still"),
            Self::Standby => format!("{node} is in standby"),
            Self::Reboot => format!("{node} is told to reboot"),
        }
    }
}

/// Strikes the active node under load and watches what follows.
///
/// # Errors
/// When service did not come back in time, with what the cluster said last.
pub fn fail_over(lab: &Lab, fault: Fault, progress: &dyn Progress) -> Result<Outcome, Error> {
    let site = lab.site();
    let lost = cluster::wait_until_active(lab, site.hosts()[2], LIMIT, |_| true)?;
    let lost = node(site, &lost)?;
    // To be asked costs a node something, and the last one has least to do.
    let witness = site
        .hosts()
        .into_iter()
        .rfind(|other| *other != lost)
        .ok_or("a cluster of one node has no failover")?;

    progress.step(&format!(
        "clients: rows through the virtual address, OPTIONS to {}",
        public_name(site)
    ));
    let access = Access::through_the_vip(lab)?;
    let writer = Writer::start(&access)?;
    let phone = Phone::start(&netns::internet(), site.telephone(), site.public_address())?;
    let started = SystemTime::now();
    let what = format!("SIP answer from {}", public_name(site));
    until(&what, SECONDS, || phone.first_after(started))?;
    std::thread::sleep(BEFORE);

    progress.step(&format!("{fault:?}: {}", lost.hostname));
    let cut = SystemTime::now();
    fault.strike(lab, lost)?;
    let off = SystemTime::now();

    progress.step("waiting for the service");
    let active = cluster::wait_until_active(lab, witness, LIMIT, |node| node != lost.hostname)?;
    let moved = SystemTime::now();
    until("SIP answer from the new node", LIMIT, || {
        phone.first_after(moved)
    })
    .map_err(|error| with_status(lab, witness, error))?;
    until("committed row on the new node", LIMIT, || {
        writer.first_after(moved)
    })
    .map_err(|error| with_status(lab, witness, error))?;

    let rows = writer.finish();
    let missing = writer::missing(&access, &rows)?;
    let sip = Gap::longest(&phone.answers(), cut);
    let commits: Vec<SystemTime> = rows.iter().map(|row| row.at).collect();
    let commits = Gap::longest(&commits, cut);
    let logged = journals(lab, lost, cut)?;

    let mut moments = vec![Moment::new(off, fault.done(lost.hostname))];
    moments.extend(
        lab.events()?
            .into_iter()
            .filter(|event| event.at >= cut && is_of_interest(&event.what))
            .map(|event| Moment::new(event.at, format!("EC2: {}", event.what))),
    );
    moments.extend(logged.iter().filter_map(describe));
    moments.push(Moment::new(
        sip.end,
        format!("first SIP answer from {}", public_name(site)),
    ));
    moments.push(Moment::new(
        commits.end,
        "first row committed through the virtual address",
    ));

    let resources = cluster::status(lab, witness)?;
    let expected: Vec<&str> = resources
        .cluster_resources()
        .map(|r| r.id.as_str())
        .collect();
    Ok(Outcome {
        lost: lost.hostname.to_owned(),
        irregular: irregular(&logged, &expected, &active),
        alternations: writer::alternations(&rows),
        fenced: fenced(&logged),
        acknowledged: rows.iter().filter(|row| row.at < cut).count(),
        missing,
        volume: lab.status()?.violations(),
        without_sip: sip.length(),
        without_rows: commits.length(),
        starting: starting(&logged, &expected),
        timeline: moments,
        active,
        cut,
    })
}

const SECONDS: Duration = Duration::from_secs(30);

fn public_name(site: Site) -> &'static str {
    match site {
        Site::Ec2 => "the Elastic IP",
        Site::Lan => "the public address",
    }
}

fn node(site: Site, hostname: &str) -> Result<&'static Host, Error> {
    site.host(hostname)
        .ok_or_else(|| format!("{hostname} is not a node of the lab").into())
}

/// Polls until there is an answer.
fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("no {what} within {} s", limit.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn with_status(lab: &Lab, witness: &Host, error: Error) -> Error {
    match cluster::run(
        lab,
        witness,
        "pcs status",
        "pcs status --full",
        cluster::MINUTES,
    ) {
        Ok(status) => format!("{error}; the cluster says:\n{status}").into(),
        Err(second) => format!("{error}; and {second}").into(),
    }
}

/// EC2's own changes, and the one call that fences; not every describe.
fn is_of_interest(what: &Happening) -> bool {
    match what {
        Happening::Call { action, .. } => action == "StopInstances",
        _ => true,
    }
}

fn fenced(logged: &[(SystemTime, Logged)]) -> Vec<String> {
    logged
        .iter()
        .filter_map(|(_, what)| match what {
            Logged::Fenced { node } => Some(node.clone()),
            _ => None,
        })
        .collect()
}

/// Every resource has to be started exactly once, on the node that is active now.
fn irregular(logged: &[(SystemTime, Logged)], expected: &[&str], active: &str) -> Vec<String> {
    let mut irregular = Vec::new();
    for id in expected {
        let starts: Vec<(&str, &str)> = logged
            .iter()
            .filter_map(|(_, what)| match what {
                Logged::Started {
                    resource,
                    node,
                    result,
                } if resource == id => Some((node.as_str(), result.as_str())),
                _ => None,
            })
            .collect();
        if starts != [(active, "ok")] {
            irregular.push(format!(
                "{id} should have been started once, on {active}; its starts: {starts:?}"
            ));
        }
    }
    irregular
}

fn starting(logged: &[(SystemTime, Logged)], expected: &[&str]) -> Duration {
    let first = logged.iter().find_map(|(at, what)| {
        matches!(what, Logged::Starting { resource, .. } if expected.contains(&resource.as_str()))
            .then_some(*at)
    });
    let last = logged.iter().rev().find_map(|(at, what)| {
        matches!(what, Logged::Started { resource, .. } if expected.contains(&resource.as_str()))
            .then_some(*at)
    });
    match (first, last) {
        (Some(first), Some(last)) => last.duration_since(first).unwrap_or_default(),
        _ => Duration::ZERO,
    }
}
