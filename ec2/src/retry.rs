//! Asking again while the answer says nothing, with growing pauses, until a deadline.

use std::time::{Duration, SystemTime};

use crate::error::AwsError;
use crate::error::ErrorKind;
use crate::deadline::Deadline;

const FIRST: Duration = Duration::from_millis(200);
/// Throttled calls are taken from a bucket that fills slowly, and others draw from it too.
const FIRST_THROTTLED: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(8);

/// The first answer that says something, or the last that said nothing.
///
/// # Errors
/// The call's, other than `Unknown` as long as there is time.
pub async fn retry_transient<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let mut pause = FIRST;
    let mut last = None;
    loop {
        let answer = tokio::time::timeout(deadline.remaining(), call()).await;
        let error = match answer {
            Ok(Err(error)) if error.is_unknown() => error,
            Ok(answer) => return answer,
            Err(_) => {
                return Err(last.unwrap_or_else(|| {
                    AwsError::new(
                        ErrorKind::Unknown,
                        "ask EC2",
                        "no answer in the time that was left",
                    )
                }));
            }
        };
        if error.is_throttled() {
            pause = pause.max(FIRST_THROTTLED);
        }
        tracing::info!("{error}; asking again");
        if !deadline.sleep(jittered(pause)).await {
            return Err(error);
        }
        pause = (pause * 2).min(LONGEST);
        last = Some(error);
    }
}

/// How long a denial is asked again: what was allowed a moment ago may not be known everywhere yet.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html> ("Changes that I make are not always
/// immediately visible") gives no figure.
const DENIED: Duration = Duration::from_secs(60);
const DENIED_POLL: Duration = Duration::from_secs(1);

/// Makes a call again while IAM denies it, for half of the time that is left at most: the permission may just have
/// been given. Errors of other kinds are the caller's to retry.
///
/// # Errors
/// The call's.
pub async fn retry_denied<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let patience = deadline.at_most(DENIED.min(deadline.remaining() / 2));
    loop {
        match call().await {
            Err(error) if error.is_denial() && !patience.is_over() => {
                tracing::warn!("{error}; retrying, as the permission may just have been given");
                patience.sleep(DENIED_POLL).await;
            }
            answer => return answer,
        }
    }
}

/// How long EC2's descriptions may be behind the facts.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html> gives no figure.
pub const EVENTUAL_CONSISTENCY_WINDOW: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The first answer that is as expected, or the one that EC2 still gives when its
/// descriptions can no longer be behind.
///
/// # Errors
/// As [`retry_transient`].
pub async fn retry_until<T>(
    deadline: Deadline,
    expected: impl Fn(&T) -> bool,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let patience = deadline.at_most(EVENTUAL_CONSISTENCY_WINDOW);
    loop {
        let answer = retry_transient(deadline, &call).await?;
        if expected(&answer) || !patience.sleep(POLL_INTERVAL).await {
            return Ok(answer);
        }
    }
}

/// Between half of `pause` and all of it, so that three nodes don't ask in step.
fn jittered(pause: Duration) -> Duration {
    let nanoseconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    pause.mul_f64(0.5 + 0.5 * f64::from(nanoseconds % 1000) / 1000.0)
}
