//! What EC2 answers when it refuses: code, HTTP status, message. The codes are those of the
//! EC2 API Reference, "Error codes for the Amazon EC2 API"; the XML form is written in `xml`.

use std::fmt;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// EC2's error code, such as `VolumeInUse`.
    pub code: String,
    /// What EC2 says to people.
    pub message: String,
}

impl ApiError {
    /// With any status: throttling is 503, an internal error 500.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The caller's mistake, or a state that forbids the call: HTTP 400.
    pub fn client(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::client(
            "MissingParameter",
            format!("The request must contain the parameter {parameter}"),
        )
    }

    pub(super) fn invalid_value(message: impl Into<String>) -> Self {
        Self::client("InvalidParameterValue", message)
    }

    /// Credentials that EC2 does not know, or a signature that does not fit: HTTP 401.
    pub(super) fn auth_failure() -> Self {
        Self::new(
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )
    }

    /// What IAM does not allow: HTTP 403.
    pub(super) fn unauthorized() -> Self {
        Self::new(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
        )
    }

    /// What a call with DryRun is answered when it would have been allowed: HTTP 412.
    pub(super) fn dry_run() -> Self {
        Self::new(
            412,
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl std::error::Error for ApiError {}
