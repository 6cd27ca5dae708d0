//! An error of EC2 or of the instance metadata, in words, with what it means.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::meaning::Meaning;
use crate::ocf::Failure;

/// An error of EC2, with what was being done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}: {said}")]
pub struct AwsError {
    /// What it means.
    pub meaning: Meaning,
    /// EC2's code, where it gave one.
    pub code: Option<String>,
    doing: String,
    said: String,
}

impl AwsError {
    /// An error of our own making.
    pub fn new(meaning: Meaning, doing: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            meaning,
            code: None,
            doing: doing.into(),
            said: said.into(),
        }
    }

    /// What the SDK returned for an operation; `doing` is "attach vol-1 to i-1", `looked_in`
    /// where credentials were looked for.
    pub(super) fn from_sdk<E, R>(doing: &str, error: &SdkError<E, R>, looked_in: &str) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().map(str::to_owned);
        let meaning = code.as_deref().map_or(Meaning::Unknown, Meaning::of_ec2);
        let said = match (&code, error.message()) {
            (Some(code), Some(message)) => format!("EC2 says {code}: {message}"),
            (Some(code), None) => format!("EC2 says {code}"),
            (None, _) => match error {
                SdkError::TimeoutError(_) => "EC2 did not answer in time".to_owned(),
                SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                    "EC2 did not answer in time".to_owned()
                }
                SdkError::DispatchFailure(failure) if failure.is_io() => {
                    format!("EC2 can not be reached: {}", chain(error))
                }
                // Before anything is sent the SDK looks for credentials.
                SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => format!(
                    "{}; credentials were looked for in {looked_in}",
                    chain(error)
                ),
                _ => format!("no usable answer from EC2: {}", chain(error)),
            },
        };
        Self {
            meaning,
            code,
            doing: doing.to_owned(),
            said,
        }
    }

    /// How a start ends because of it.
    pub fn failure(&self) -> Failure {
        Failure {
            exit: self.meaning.of_start(),
            reason: self.to_string(),
        }
    }

    /// Whether the rehearsal of a call said that it would have been done.
    ///
    /// # Errors
    /// What stands against it.
    pub fn permits(rehearsal: Result<(), Self>) -> Result<(), Self> {
        match rehearsal {
            Err(error) if error.meaning == Meaning::WouldSucceed => Ok(()),
            answer => answer,
        }
    }

    /// Whether it says nothing about the resource.
    pub fn is_unknown(&self) -> bool {
        self.meaning == Meaning::Unknown
    }

    /// Whether EC2 asked for fewer calls.
    pub fn is_throttled(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some(
                "RequestLimitExceeded"
                    | "Throttling"
                    | "ThrottlingException"
                    | "RequestThrottled"
                    | "TooManyRequestsException"
            )
        )
    }
}

/// An error and what is behind it, each in its own words.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(source) = behind {
        text.push_str(": ");
        text.push_str(&source.to_string());
        behind = source.source();
    }
    text
}
