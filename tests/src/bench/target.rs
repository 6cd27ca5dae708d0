//! What is asked of our agents, and whether they keep to it.

use std::fmt;
use std::time::Duration;

use super::cost::Cost;
use super::pair::{Kind, Operation};

/// Resident memory of an agent, in KiB.
const PEAK_KIB: u64 = 12 * 1024;

/// Something that is asked of one operation of our agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// EC2 is not called.
    NoEc2Call,
    /// At most this part of the counterpart's CPU time.
    Cpu(u32),
    /// At most this part of the counterpart's wall time.
    Wall(u32),
    /// At most 12 MiB in its largest process.
    Peak,
}

impl Target {
    /// What is asked of an operation whose counterpart is of this kind.
    pub(super) fn of(operation: Operation, kind: Kind) -> Vec<Self> {
        let special = match (operation, kind) {
            (Operation::Monitor, Kind::AwsCli) => vec![Self::NoEc2Call, Self::Cpu(100)],
            (Operation::Monitor, Kind::Shell) => vec![Self::NoEc2Call, Self::Cpu(5)],
            (Operation::Monitor, Kind::Alone) => vec![Self::NoEc2Call],
            (Operation::Monitor10, Kind::AwsCli | Kind::Shell) => vec![Self::Cpu(50)],
            (Operation::Start | Operation::Stop, Kind::AwsCli) => vec![Self::Wall(10)],
            _ => Vec::new(),
        };
        special.into_iter().chain([Self::Peak]).collect()
    }

    /// Whether our agent keeps to it. Without a counterpart nothing is a part of it.
    pub(super) fn is_met(self, portsip: &Cost, upstream: Option<&Cost>) -> bool {
        let part = |portsip: Duration, whole: fn(&Cost) -> Duration, n: u32| {
            upstream.is_some_and(|upstream| portsip * n <= whole(upstream))
        };
        match self {
            Self::NoEc2Call => portsip.ec2 == 0,
            Self::Cpu(n) => part(portsip.cpu, |cost| cost.cpu, n),
            Self::Wall(n) => part(portsip.wall, |cost| cost.wall, n),
            Self::Peak => portsip.peak_kib <= PEAK_KIB,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEc2Call => write!(f, "no EC2 call"),
            Self::Cpu(n) => write!(f, "CPU 1/{n}"),
            Self::Wall(n) => write!(f, "wall 1/{n}"),
            Self::Peak => write!(f, "12 MiB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu: u64, peak_kib: u64, ec2: u64) -> Cost {
        Cost {
            cpu: Duration::from_millis(cpu),
            peak_kib,
            ec2,
            ..Cost::default()
        }
    }

    #[test]
    fn a_target_is_met_up_to_its_bound_and_not_beyond() {
        let upstream = cost(500, 70_000, 1);
        let met = |target: Target, portsip: Cost| target.is_met(&portsip, Some(&upstream));
        assert!(met(Target::Cpu(100), cost(5, 0, 0)));
        assert!(!met(Target::Cpu(100), cost(6, 0, 0)));
        assert!(met(Target::Peak, cost(0, 12 * 1024, 0)));
        assert!(!met(Target::Peak, cost(0, 12 * 1024 + 1, 0)));
        assert!(!met(Target::NoEc2Call, cost(0, 0, 1)));
        assert!(!Target::Cpu(5).is_met(&cost(1, 0, 0), None));
    }

    #[test]
    fn a_default_monitor_may_never_call_ec2() {
        for kind in [Kind::AwsCli, Kind::Shell, Kind::Alone] {
            assert!(Target::of(Operation::Monitor, kind).contains(&Target::NoEc2Call));
        }
    }
}
