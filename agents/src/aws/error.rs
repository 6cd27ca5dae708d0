//! What an error of EC2 means to an agent. The only place that knows EC2's error codes.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::ocf::Failure;

/// The few things that an answer of EC2 can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing was learned about the resource: throttled, a server error, no answer in
    /// time, no valid credentials. Asking again may help.
    Unknown,
    /// What was asked for does not exist.
    NotFound,
    /// The volume is attached, or the address associated, elsewhere.
    InUse,
    /// Not possible in the state that it is in now.
    WrongState,
    /// EC2 refuses a value; also "that device name is taken" and "that address is not (yet)
    /// on that interface".
    InvalidValue,
    /// The volume and the instance are in different zones.
    WrongZone,
    /// The instance can hold no more volumes or addresses.
    NoRoom,
    /// The credentials are valid and do not allow it.
    Forbidden,
}

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
        let meaning = match (&code, error) {
            (Some(code), _) => meaning(code),
            (None, _) => Meaning::Unknown,
        };
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
        let reason = self.to_string();
        match self.meaning {
            Meaning::NotFound | Meaning::InvalidValue => Failure::configured(reason),
            Meaning::Forbidden | Meaning::WrongZone | Meaning::NoRoom => Failure::installed(reason),
            Meaning::Unknown | Meaning::InUse | Meaning::WrongState => Failure::generic(reason),
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

/// What a code means. <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
fn meaning(code: &str) -> Meaning {
    match code {
        "UnauthorizedOperation" | "OperationNotPermitted" => Meaning::Forbidden,
        "VolumeInUse" | "Resource.AlreadyAssociated" => Meaning::InUse,
        "IncorrectState" | "IncorrectInstanceState" => Meaning::WrongState,
        "InvalidVolume.ZoneMismatch" => Meaning::WrongZone,
        "AttachmentLimitExceeded" | "PrivateIpAddressLimitExceeded" => Meaning::NoRoom,
        "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "InvalidParameter"
        | "MissingParameter"
        | "InvalidDevice.InUse" => Meaning::InvalidValue,
        _ if code.ends_with(".NotFound") || code.ends_with(".Malformed") => Meaning::NotFound,
        // Throttled, 5xx, expired or unknown credentials, and whatever EC2 may say one day:
        // none of it says anything about the resource.
        _ => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_about_the_resource_is_unknown() {
        for code in [
            "RequestLimitExceeded",
            "InternalError",
            "Unavailable",
            "ServiceUnavailable",
            "RequestExpired",
            "ExpiredToken",
            "AuthFailure",
            "NoSuchCodeYet",
        ] {
            assert_eq!(meaning(code), Meaning::Unknown, "{code}");
        }
    }

    #[test]
    fn codes_that_agents_act_on() {
        assert_eq!(meaning("InvalidVolume.NotFound"), Meaning::NotFound);
        assert_eq!(meaning("InvalidAssociationID.NotFound"), Meaning::NotFound);
        assert_eq!(meaning("VolumeInUse"), Meaning::InUse);
        assert_eq!(meaning("UnauthorizedOperation"), Meaning::Forbidden);
    }
}
