//! An error of EC2 or of the instance metadata: its kind, and what a person reads. EC2's error codes get their
//! kind in [`ErrorKind::from_code`] and nowhere else.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing is known about the resource: throttled, a server error, no answer in time, no valid
    /// credentials, or a code that is not listed. A retry may help.
    Unknown,
    NotFound,
    /// The volume is attached elsewhere, or the address is associated elsewhere.
    InUse,
    /// The resource's state does not allow it now.
    WrongState,
    /// A value is refused. Also: the device name is taken, or the address is not (yet) on that interface.
    InvalidValue,
    /// The volume and the instance are in different zones.
    WrongZone,
    /// The instance can hold no more volumes or addresses.
    NoRoom,
    /// The caller is known and has no permission.
    Forbidden,
    /// The answer to a dry run: the call is allowed and possible.
    WouldSucceed,
}

/// IAM does not allow the call.
const DENIED: &[&str] = &[
    "UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
];

/// The caller makes too many calls.
const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "TooManyRequestsException",
];

/// The credentials are wrong or have expired.
const BAD_CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
];

impl ErrorKind {
    /// The kind of an error code of EC2. <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
    pub(crate) fn from_code(code: &str) -> Self {
        match code {
            "DryRunOperation" => Self::WouldSucceed,
            "OperationNotPermitted" => Self::Forbidden,
            _ if DENIED.contains(&code) => Self::Forbidden,
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
            // THROTTLED, BAD_CREDENTIALS, server errors, and codes that EC2 may add: none of them says
            // anything about the resource.
            _ => Self::Unknown,
        }
    }
}

/// An error, and what was being done. The cause comes first: Pacemaker keeps about 127 characters.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause} (trying to {operation})")]
pub struct AwsError {
    pub kind: ErrorKind,
    /// EC2's code, if EC2 gave one.
    pub code: Option<String>,
    operation: String,
    cause: String,
}

impl AwsError {
    /// An error that EC2 did not send.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            operation: operation.into(),
            cause: cause.into(),
        }
    }

    /// An answer of EC2 without the resource that was asked for.
    pub(crate) fn not_found(operation: &str) -> Self {
        Self::new(ErrorKind::NotFound, operation, "EC2 does not know this id")
    }

    /// An error of the SDK. `credentials` names those that were used.
    pub(crate) fn from_sdk<E, R>(operation: &str, error: &SdkError<E, R>, credentials: &str) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code();
        let kind = code.map_or(ErrorKind::Unknown, ErrorKind::from_code);
        let timed_out = match error {
            SdkError::TimeoutError(_) => true,
            SdkError::DispatchFailure(failure) => failure.is_timeout(),
            _ => false,
        };
        let cause = match (code, error) {
            (Some(code), _) => refusal(code, error.message().unwrap_or_default(), credentials),
            (None, _) if timed_out => "EC2 did not answer in time".to_owned(),
            (None, SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_)) => {
                format!("EC2 cannot be reached: {}", root_cause(error))
            }
            (None, _) => format!("EC2's answer cannot be read: {}", root_cause(error)),
        };
        let code = code.map(str::to_owned);
        Self {
            code,
            ..Self::new(kind, operation, cause)
        }
    }

    /// What a dry run says of the real call: `Ok` if it would have succeeded, else the error that it would have had.
    pub fn from_dry_run(dry_run: Result<(), Self>) -> Result<(), Self> {
        match dry_run {
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
        self.has_code_of(DENIED)
    }

    /// Whether EC2 asked for fewer calls.
    pub(crate) fn is_throttled(&self) -> bool {
        self.has_code_of(THROTTLED)
    }

    fn has_code_of(&self, codes: &[&str]) -> bool {
        let code = self.code.as_deref();
        code.is_some_and(|code| codes.contains(&code))
    }
}

/// EC2's code and message. If they are about the caller, the caller is named.
fn refusal(code: &str, message: &str, credentials: &str) -> String {
    // What follows is hundreds of characters that only sts:DecodeAuthorizationMessage can decode.
    let encoded = " Encoded authorization failure message";
    let message = message.split(encoded).next().unwrap_or_default();
    let caller = if DENIED.contains(&code) {
        format!(" to {}", user_in(message).unwrap_or(credentials))
    } else if BAD_CREDENTIALS.contains(&code) {
        format!(" to {credentials}")
    } else {
        String::new()
    };
    match message.trim() {
        "" => format!("EC2 says {code}{caller}"),
        message => format!("EC2 says {code}{caller}: {message}"),
    }
}

/// The ARN in "... User: arn:aws:sts::1:assumed-role/r/i-1 is not authorized to perform: ...".
fn user_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User: ")?;
    let arn = rest.split_whitespace().next();
    arn.filter(|arn| arn.starts_with("arn:"))
}

/// The innermost error. The SDK's errors around it only say where it passed through.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
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
