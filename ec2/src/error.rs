//! An error of EC2 or of the instance metadata: its kind, and what a person reads. EC2's error codes get their
//! kind here and nowhere else.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;


/// What class of error it is. What EC2 does not list here says nothing about the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing was learned about what was asked for: throttled, a server error, no answer in
    /// time, no valid credentials. Asking again may help.
    Unknown,
    /// What was asked for does not exist.
    NotFound,
    /// The volume is attached, or the address associated, elsewhere.
    InUse,
    /// Not possible in the state that it is in now.
    WrongState,
    /// A value is refused; by EC2 also for "that device name is taken" and "that address is not (yet)
    /// on that interface".
    InvalidValue,
    /// The volume and the instance are in different zones.
    WrongZone,
    /// The instance can hold no more volumes or addresses.
    NoRoom,
    /// Who asks is known and not allowed to.
    Forbidden,
    /// It would have been allowed and possible: the answer to a dry run.
    WouldSucceed,
}

impl ErrorKind {
    /// The kind of an error code of EC2. <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
    pub fn from_code(code: &str) -> Self {
        match code {
            "DryRunOperation" => Self::WouldSucceed,
            "UnauthorizedOperation"
            | "AccessDenied"
            | "AccessDeniedException"
            | "OperationNotPermitted" => Self::Forbidden,
            "VolumeInUse" | "Resource.AlreadyAssociated" | "InvalidIPAddress.InUse" => Self::InUse,
            "IncorrectState" | "IncorrectInstanceState" => Self::WrongState,
            "InvalidVolume.ZoneMismatch" => Self::WrongZone,
            "AttachmentLimitExceeded"
            | "PrivateIpAddressLimitExceeded"
            | "InsufficientFreeAddressesInSubnet" => Self::NoRoom,
            "InvalidParameterValue"
            | "InvalidParameterCombination"
            | "InvalidParameter"
            | "MissingParameter"
            | "InvalidDevice.InUse" => Self::InvalidValue,
            _ if code.ends_with(".NotFound") || code.ends_with(".Malformed") => Self::NotFound,
            // Throttled, 5xx, expired or unknown credentials, and whatever EC2 may say one day:
            // none of it says anything about the resource.
            _ => Self::Unknown,
        }
    }

    /// Of an HTTP status of the instance metadata; none if there was no answer.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
    pub fn from_metadata_status(status: Option<u16>) -> Self {
        match status {
            Some(404) => Self::NotFound,
            // 401 is a token that has ended, 403 a service that was turned off: neither tells of the address.
            _ => Self::Unknown,
        }
    }
}

/// An error of EC2, with what was being done. The cause comes first: Pacemaker keeps about 127 characters.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{said} (trying to {doing})")]
pub struct AwsError {
    /// Its kind.
    pub kind: ErrorKind,
    /// EC2's code, where it gave one.
    pub code: Option<String>,
    doing: String,
    said: String,
}

impl AwsError {
    /// An error of our own making.
    pub fn new(kind: ErrorKind, doing: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            doing: doing.into(),
            said: said.into(),
        }
    }

    /// What the SDK returned for an operation; `doing` is "attach vol-1 to i-1", `key` whose credentials were used.
    pub(crate) fn from_sdk<E, R>(doing: &str, error: &SdkError<E, R>, key: &str) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().map(str::to_owned);
        let kind = code.as_deref().map_or(ErrorKind::Unknown, ErrorKind::from_code);
        let said = match (&code, error) {
            (Some(code), _) => refusal(code, error.message().unwrap_or_default(), key),
            (None, SdkError::TimeoutError(_)) => "EC2 did not answer in time".to_owned(),
            (None, SdkError::DispatchFailure(failure)) if failure.is_timeout() => {
                "EC2 did not answer in time".to_owned()
            }
            (None, SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_)) => {
                format!("EC2 can not be reached: {}", root(error))
            }
            (None, _) => format!("no usable answer from EC2: {}", root(error)),
        };
        Self {
            kind,
            code,
            doing: doing.to_owned(),
            said,
        }
    }

    /// Whether the rehearsal of a call said that it would have been done.
    ///
    /// # Errors
    /// What stands against it.
    pub fn permits(rehearsal: Result<(), Self>) -> Result<(), Self> {
        match rehearsal {
            Err(error) if error.kind == ErrorKind::WouldSucceed => Ok(()),
            answer => answer,
        }
    }

    /// Whether it says nothing about the resource.
    pub fn is_unknown(&self) -> bool {
        self.kind == ErrorKind::Unknown
    }

    /// Whether IAM does not allow the call.
    pub fn is_denial(&self) -> bool {
        self.code.as_deref().is_some_and(is_denial)
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

fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException"
    )
}

/// What is wrong with the credentials themselves.
fn is_about_credentials(code: &str) -> bool {
    matches!(
        code,
        "AuthFailure"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
    )
}

/// What EC2 said, and whose credentials it was said to, where it is about these.
fn refusal(code: &str, message: &str, key: &str) -> String {
    // Hundreds of characters that only sts:DecodeAuthorizationMessage can read.
    let message = message
        .split(" Encoded authorization failure message")
        .next()
        .unwrap_or_default()
        .trim();
    let whom = if is_denial(code) {
        format!(" to {}", user_in(message).unwrap_or(key))
    } else if is_about_credentials(code) {
        format!(" to {key}")
    } else {
        String::new()
    };
    match message {
        "" => format!("EC2 says {code}{whom}"),
        message => format!("EC2 says {code}{whom}: {message}"),
    }
}

/// The ARN in "... User: arn:aws:sts::1:assumed-role/r/i-1 is not authorized to perform: ...".
fn user_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User: ")?;
    rest.split_whitespace()
        .next()
        .filter(|arn| arn.starts_with("arn:"))
}

/// The first cause, in its own words. What is around it in the SDK's errors says only where it passed through.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_user_first_and_leaves_out_what_nobody_can_read() {
        let message = "You are not authorized to perform this operation. User: \
             arn:aws:sts::123456789012:assumed-role/portsip/i-0 is not authorized to perform: \
             ec2:AttachVolume. Encoded authorization failure message: AbCdEf0123456789";
        let said = refusal("UnauthorizedOperation", message, "a key");
        assert!(
            said.starts_with(
                "EC2 says UnauthorizedOperation to arn:aws:sts::123456789012:assumed-role/portsip/i-0: "
            ),
            "{said}"
        );
        assert!(!said.contains("AbCdEf"), "{said}");
    }

    #[test]
    fn without_a_user_the_key_is_named_and_only_where_it_matters() {
        let key = "the key ...WXYZ of the environment";
        for code in ["AccessDenied", "AuthFailure", "ExpiredToken"] {
            let said = refusal(code, "", key);
            assert_eq!(said, format!("EC2 says {code} to {key}"));
        }
        let said = refusal("IncorrectState", "Volume is busy.", key);
        assert_eq!(said, "EC2 says IncorrectState: Volume is busy.");
    }

    #[test]
    fn the_cause_comes_before_what_was_being_done() {
        let error = AwsError::new(ErrorKind::Unknown, "look up vol-1", "EC2 did not answer");
        assert_eq!(
            error.to_string(),
            "EC2 did not answer (trying to look up vol-1)"
        );
    }
}
