//! What a failover did, what of it is wrong, and the report for people.

use std::time::{Duration, SystemTime};

use super::timeline::{self, Moment};

/// What a failover did.
#[derive(Debug)]
pub struct Outcome {
    /// The node that was active, and was struck.
    pub lost: String,
    /// The node that is active now.
    pub active: String,
    /// Rows acknowledged before the fault.
    pub acknowledged: usize,
    /// Acknowledged rows that the database no longer has.
    pub missing: Vec<i64>,
    /// The longest time between two SIP answers since the fault.
    pub without_sip: Duration,
    /// The same for committed rows.
    pub without_rows: Duration,
    /// From the first start operation to the end of the last one.
    pub starting: Duration,
    /// Resources that were started other than once, or elsewhere than on `active`.
    pub irregular: Vec<String>,
    /// Rows written on a node from which another had taken over.
    pub alternations: Vec<String>,
    /// The nodes that were fenced.
    pub fenced: Vec<String>,
    /// What the lab's watch over the volume has found wrong, since the lab came up.
    pub volume: Vec<String>,
    /// What happened when.
    pub timeline: Vec<Moment>,
    /// When the fault began.
    pub cut: SystemTime,
}

impl Outcome {
    /// What is wrong with it; nothing when it is as it has to be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.irregular.clone();
        faults.extend(self.volume.iter().cloned());
        faults.extend(self.alternations.iter().cloned());
        if self.acknowledged == 0 {
            faults.push("no row was acknowledged before the cut: nothing was tested".to_owned());
        }
        if !self.missing.is_empty() {
            faults.push(format!(
                "{} rows that were acknowledged are gone: {:?}",
                self.missing.len(),
                self.missing
            ));
        }
        if self.active == self.lost {
            faults.push(format!("{} was struck and is still active", self.lost));
        }
        faults
    }

    /// For people: the timeline and the verdict.
    pub fn report(&self) -> String {
        let faults = self.faults();
        format!(
            "Timeline (seconds since the fault)\n{}\n\
             Verdict: {}\n\
             \x20 rows acknowledged before the fault {}\n\
             \x20 acknowledged rows now missing      {}\n\
             \x20 active node before, now            {}, {}\n\
             \x20 seconds without SIP answer         {:.1}\n\
             \x20 seconds without committed row      {:.1}\n\
             \x20 first start to all resources up    {:.1} s\n{}",
            timeline::render(self.timeline.clone(), self.cut),
            if faults.is_empty() {
                "passed"
            } else {
                "FAILED"
            },
            self.acknowledged,
            self.missing.len(),
            self.lost,
            self.active,
            self.without_sip.as_secs_f64(),
            self.without_rows.as_secs_f64(),
            self.starting.as_secs_f64(),
            faults
                .iter()
                .map(|fault| format!("  FAILED: {fault}\n"))
                .collect::<String>(),
        )
    }
}
