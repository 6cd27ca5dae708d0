//! What one call of an agent costs, and the median of several calls.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// What `measure` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Measured {
    wall_us: u64,
    cpu_us: u64,
    peak_kib: u64,
    /// Exit status of the command.
    pub(super) status: i32,
}

/// One call, or the median of several, each figure by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cost {
    /// Until the command ended.
    pub(super) wall: Duration,
    /// User and system time of all its processes.
    pub(super) cpu: Duration,
    /// Resident memory of its largest process, in KiB.
    pub(super) peak_kib: u64,
    /// Calls of EC2's API by the node.
    pub(super) ec2: u64,
    /// Requests to the node's instance metadata.
    pub(super) metadata: u64,
}

impl Cost {
    pub(super) fn of(measured: Measured, ec2: u64, metadata: u64) -> Self {
        Self {
            wall: Duration::from_micros(measured.wall_us),
            cpu: Duration::from_micros(measured.cpu_us),
            peak_kib: measured.peak_kib,
            ec2,
            metadata,
        }
    }

    /// The median of each figure; nothing costs nothing.
    pub(super) fn median(costs: &[Self]) -> Self {
        Self {
            wall: middle(costs, |cost| cost.wall),
            cpu: middle(costs, |cost| cost.cpu),
            peak_kib: middle(costs, |cost| cost.peak_kib),
            ec2: middle(costs, |cost| cost.ec2),
            metadata: middle(costs, |cost| cost.metadata),
        }
    }
}

/// The upper of the two in the middle, where there are two: a figure that was measured.
fn middle<T: Ord + Default>(costs: &[Cost], figure: impl Fn(&Cost) -> T) -> T {
    let mut figures: Vec<T> = costs.iter().map(figure).collect();
    figures.sort_unstable();
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle).unwrap_or_default()
}

/// Milliseconds with as many digits as mean something.
pub(super) struct Millis(pub(super) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1000.0;
        let digits = if millis < 100.0 { 1 } else { 0 };
        write!(f, "{millis:.digits$}")
    }
}

/// MiB with one digit.
pub(super) struct Mebibytes(pub(super) u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0 as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_each_figure_and_one_that_was_measured() {
        let cost = |wall, ec2| Cost {
            wall: Duration::from_millis(wall),
            ec2,
            ..Cost::default()
        };
        let median = Cost::median(&[cost(9, 0), cost(1, 2), cost(5, 1)]);
        assert_eq!((median.wall, median.ec2), (Duration::from_millis(5), 1));
        let of_two = Cost::median(&[cost(3, 0), cost(7, 0)]);
        assert_eq!(of_two.wall, Duration::from_millis(7));
        assert_eq!(Cost::median(&[]), Cost::default());
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let shown = |micros| Millis(Duration::from_micros(micros)).to_string();
        assert_eq!(shown(1_234), "1.2");
        assert_eq!(shown(612_345), "612");
        assert_eq!(Mebibytes(11_725).to_string(), "11.5");
    }
}
