//! How often a healthy cluster asks EC2, and its nodes their metadata: counted for a while, told
//! for an hour.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use crate::ec2::Happening;
use crate::lab::Lab;
use crate::progress::Progress;
use crate::world::Error;

/// After its last resource has started a cluster looks at everything once more.
const QUIET: Duration = Duration::from_secs(5);
const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hourly {
    /// For how long.
    pub(super) counted: Duration,
    /// Calls of EC2 by who made them and what they were.
    pub(super) calls: BTreeMap<(Caller, String), u64>,
    /// Requests to the instance metadata of all nodes.
    pub(super) metadata: u64,
}

/// Who calls EC2 in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// Our agents.
    Agents,
    /// The fencing device.
    FenceAws,
    /// Anything else, by the name that it gives.
    Other(String),
}

impl Caller {
    /// By the program's own name: the agents use the SDK for Rust, fence_aws that for Python.
    fn of(client: &str) -> Self {
        match client {
            "aws-sdk-rust" => Self::Agents,
            "Boto3" => Self::FenceAws,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Hourly {
    /// What `counted` would be in an hour.
    pub(super) fn in_an_hour(&self, counted: u64) -> u64 {
        let factor = 3600.0 / self.counted.as_secs_f64();
        (counted as f64 * factor).round() as u64
    }

    /// The calls of one caller.
    pub(super) fn of(&self, caller: &Caller) -> u64 {
        self.calls
            .iter()
            .filter(|((who, _), _)| who == caller)
            .map(|(_, count)| count)
            .sum()
    }
}

/// Counts on the cluster that runs in `lab`.
///
/// # Errors
/// The lab's process has died, or the cluster does not come to rest.
pub(super) fn count(lab: &Lab, length: Duration, progress: &dyn Progress) -> Result<Hourly, Error> {
    progress.step("waiting for the cluster to come to rest");
    rest(lab)?;
    progress.step(&format!("counting for {} s", length.as_secs()));
    let (from, began) = (SystemTime::now(), Instant::now());
    let metadata = metadata(lab)?;
    std::thread::sleep(length);
    let counted = began.elapsed();
    let metadata = self::metadata(lab)? - metadata;
    let mut calls = BTreeMap::new();
    for event in lab.events()?.into_iter().filter(|event| event.at >= from) {
        if let Happening::Call { action, client, .. } = event.what {
            *calls.entry((Caller::of(&client), action)).or_default() += 1;
        }
    }
    Ok(Hourly {
        counted,
        calls,
        metadata,
    })
}

fn rest(lab: &Lab) -> Result<(), Error> {
    let deadline = Instant::now() + QUIET_WITHIN;
    loop {
        let last = lab
            .events()?
            .iter()
            .filter(|event| matches!(event.what, Happening::Call { .. }))
            .map(|event| event.at)
            .max();
        let since = last.and_then(|at| at.elapsed().ok());
        if since.is_none_or(|since| since > QUIET) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the cluster calls EC2 all the time".into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn metadata(lab: &Lab) -> Result<u64, Error> {
    let nodes = lab.status()?.nodes;
    Ok(nodes.iter().map(|node| node.metadata_requests).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_by_caller_and_for_an_hour() {
        let call = |client: &str, action: &str, count: u64| {
            ((Caller::of(client), action.to_owned()), count)
        };
        let hourly = Hourly {
            counted: Duration::from_secs(300),
            calls: BTreeMap::from([
                call("Boto3", "DescribeInstances", 2),
                call("Boto3", "DescribeRegions", 1),
                call("aws-sdk-rust", "DescribeVolumes", 4),
            ]),
            metadata: 0,
        };
        assert_eq!(hourly.in_an_hour(hourly.of(&Caller::FenceAws)), 36);
        assert_eq!(hourly.of(&Caller::Agents), 4);
        assert_eq!(hourly.of(&Caller::Other("aws-cli".to_owned())), 0);
    }
}
