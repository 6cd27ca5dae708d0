//! Retries with exponential backoff and jitter, until a deadline
//! (<https://docs.aws.amazon.com/prescriptive-guidance/latest/cloud-design-patterns/retry-backoff.html>).

use std::time::Duration;

use crate::{AwsError, Deadline, ErrorKind};

/// The delay before the first retry. It doubles with each further one.
const BASE_DELAY: Duration = Duration::from_millis(200);
/// The same after a throttled call: EC2 refills the bucket of requests slowly, and other callers draw from it too.
const THROTTLED_BASE_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(8);

/// Retries errors of the kind `Unknown` until `deadline`, and then returns the last of them. Every other answer is
/// final.
pub async fn retry_transient<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let mut delay = BASE_DELAY;
    let mut last = None;
    loop {
        let error = match tokio::time::timeout(deadline.remaining(), call()).await {
            Ok(Err(error)) if error.is_unknown() => error,
            Ok(answer) => return answer,
            Err(_) => {
                let cause = "no answer before the deadline";
                let none = || AwsError::new(ErrorKind::Unknown, "ask EC2", cause);
                return Err(last.unwrap_or_else(none));
            }
        };
        if error.is_throttled() {
            delay = delay.max(THROTTLED_BASE_DELAY);
        }
        tracing::info!("{error}; retrying");
        // With jitter, three nodes do not retry at the same moment.
        let jittered = delay.mul_f64(0.5 + 0.5 * fastrand::f64());
        if !deadline.sleep(jittered).await {
            return Err(error);
        }
        delay = (delay * 2).min(MAX_DELAY);
        last = Some(error);
    }
}

/// How long a denied call is retried: a permission that was just given takes a while to be known everywhere.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html> ("Changes that I make are not always
/// immediately visible") gives no figure.
const DENIED_RETRY_LIMIT: Duration = Duration::from_secs(60);

/// Makes a call again while IAM denies it: the permission may just have been given. `OperationNotPermitted` is not
/// retried, because a new permission does not change it. Each call is retried anew, for 60 seconds at most, and for
/// half of the time that is left at most: so an action can still say why it failed after several denied calls.
/// Errors of other kinds are the caller's to retry.
pub async fn retry_denied<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let denied_until = deadline.at_most(DENIED_RETRY_LIMIT.min(deadline.remaining() / 2));
    loop {
        match call().await {
            Err(error) if error.is_denial() && !denied_until.is_over() => {
                tracing::warn!("{error}; retrying, as the permission may just have been given");
                denied_until.sleep(POLL_INTERVAL).await;
            }
            answer => return answer,
        }
    }
}

/// How long EC2's descriptions may be behind the facts.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html> gives no figure.
pub const EVENTUAL_CONSISTENCY_WINDOW: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Asks again until the answer is as expected, or until the eventual consistency window is over. Returns the
/// last answer. Fails as [`retry_transient`].
pub async fn retry_until<T>(
    deadline: Deadline,
    expected: impl Fn(&T) -> bool,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let window = deadline.at_most(EVENTUAL_CONSISTENCY_WINDOW);
    loop {
        let answer = retry_transient(deadline, &call).await?;
        if expected(&answer) || !window.sleep(POLL_INTERVAL).await {
            return Ok(answer);
        }
    }
}
