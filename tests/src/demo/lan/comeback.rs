//! A node that was lost and comes back: its copy of the data catches up, and it takes nothing over.

use std::time::SystemTime;

use super::{SLOW, storage};
use crate::demo::timeline::{self, Moment};
use crate::demo::writer::{self, Writer};
use crate::demo::{Access, cluster};
use crate::lab::Lab;
use crate::progress::Progress;
use crate::site::Host;
use crate::world::Error;

/// What a node's return did.
#[derive(Debug)]
pub struct Comeback {
    /// The node that came back.
    pub node: String,
    /// The node that was active.
    pub active: String,
    /// The node that is active now.
    pub active_now: String,
    /// Rows acknowledged meanwhile.
    pub acknowledged: usize,
    /// Acknowledged rows that the database does not have.
    pub missing: Vec<i64>,
    /// DRBD's constraint that keeps a copy from use, if it is there although every copy is up to date.
    pub constraint: Option<String>,
    /// What happened when.
    pub timeline: Vec<Moment>,
    /// When the node got back what it had lost.
    pub began: SystemTime,
}

/// Ends what was done to a node, gives it its power back if it has none, and waits until its copy is like the active
/// one's; rows are written meanwhile.
///
/// # Errors
/// The node does not come back, or its copy does not catch up.
pub fn come_back(
    lab: &Lab,
    node: &Host,
    active: &Host,
    progress: &dyn Progress,
) -> Result<Comeback, Error> {
    progress.step(&format!("{} comes back", node.hostname));
    let access = Access::through_the_vip(lab)?;
    let writer = Writer::start(&access)?;
    let began = SystemTime::now();
    lab.heal()?;
    let nodes = lab.status()?.nodes;
    let has_power = nodes.iter().any(|one| one.id == node.id && one.on);
    if !has_power {
        lab.power_on(node)?;
    }
    let what = match has_power {
        true => "the network is whole".to_owned(),
        false => format!("power of {} is on", node.hostname),
    };
    let mut timeline = vec![Moment::new(began, what)];
    cluster::wait_until_online(lab, node, active, SLOW)?;
    timeline.push(Moment::now(format!("{} is online", node.hostname)));
    storage::wait_until(
        lab,
        active,
        "all copies are up to date",
        storage::State::is_whole,
    )?;
    timeline.push(Moment::now("all copies are connected and up to date"));
    let constraint = storage::wait_until_all_may_be_promoted(lab, active)?;
    let active_now = cluster::wait_until_active(lab, active, SLOW, |_| true)?;
    let rows = writer.finish();
    Ok(Comeback {
        node: node.hostname.to_owned(),
        active: active.hostname.to_owned(),
        active_now,
        acknowledged: rows.len(),
        missing: writer::missing(&access, &rows)?,
        constraint,
        timeline,
        began,
    })
}

impl Comeback {
    /// What is wrong with it; nothing when it is as it has to be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.active_now != self.active {
            faults.push(format!(
                "{} came back, and the PBX moved from {} to {}",
                self.node, self.active, self.active_now
            ));
        }
        if self.acknowledged == 0 {
            faults.push(format!("no row was written while {} came back", self.node));
        }
        if !self.missing.is_empty() {
            faults.push(format!(
                "{} rows that were acknowledged meanwhile are gone: {:?}",
                self.missing.len(),
                self.missing
            ));
        }
        if let Some(constraint) = &self.constraint {
            faults.push(format!(
                "every copy is up to date, and the constraint {constraint} still keeps one from use"
            ));
        }
        faults
    }

    /// For people.
    pub fn report(&self) -> String {
        let faults = self.faults();
        let failed: String = faults
            .iter()
            .map(|fault| format!("  FAILED: {fault}\n"))
            .collect();
        format!(
            "The node comes back (seconds since it has what it needs)\n{}\n\
             Verdict: {}\n\
             \x20 rows acknowledged meanwhile        {}\n\
             \x20 acknowledged rows now missing      {}\n\
             \x20 active node before, now            {}, {}\n{failed}",
            timeline::render(self.timeline.clone(), self.began),
            if faults.is_empty() {
                "passed"
            } else {
                "FAILED"
            },
            self.acknowledged,
            self.missing.len(),
            self.active,
            self.active_now,
        )
    }
}
