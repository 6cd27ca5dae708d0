//! How long an action may take. Pacemaker kills an agent that is late, and then nobody learns why. So an action
//! ends shortly before Pacemaker's timeout, with a reason of its own.

use std::time::{Duration, Instant};

use ec2::Deadline;

/// What is kept back from Pacemaker's timeout: a tenth, at least for a process to end on a busy machine, at most 3 s.
fn reserve(timeout: Duration) -> Duration {
    (timeout / 10)
        .clamp(Duration::from_millis(150), Duration::from_secs(3))
        .min(timeout / 2)
}

pub(crate) fn of_action(start: Instant, timeout: Duration) -> Deadline {
    Deadline::after(start, timeout - reserve(timeout))
}

/// The deadline of the supervisor of that action, for when the action hangs: between the two.
pub(super) fn of_supervisor(start: Instant, timeout: Duration) -> Deadline {
    Deadline::after(start, timeout - reserve(timeout) / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_ends_before_its_supervisor_and_both_before_pacemaker() {
        for milliseconds in [200, 1_000, 20_000, 300_000] {
            let timeout = Duration::from_millis(milliseconds);
            let start = Instant::now();
            let action = of_action(start, timeout).end();
            let supervisor = of_supervisor(start, timeout).end();
            assert!(
                action < supervisor && supervisor < start + timeout,
                "{timeout:?}"
            );
            assert!(
                action >= start + timeout / 2,
                "{timeout:?} leaves no time to work"
            );
        }
    }
}
