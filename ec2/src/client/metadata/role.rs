//! The temporary credentials of the instance role. The SDK's own metadata client is not used: it goes through a
//! proxy if the environment names one, and its source address cannot be chosen.

use aws_sdk_ec2::config::Credentials;
use aws_smithy_types::date_time::{DateTime, Format};
use serde::Deserialize;

use super::Metadata;
use crate::{AwsError, ErrorKind};

const ROLES: &str = "iam/security-credentials/";

/// The metadata's document of a role.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: String,
    message: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

impl Metadata {
    /// The credentials of the instance role; `None` if the instance has no role.
    pub(crate) fn role_credentials(&self) -> Result<Option<Credentials>, AwsError> {
        let roles = self.find(ROLES)?.unwrap_or_default();
        let Some(role) = roles.lines().next().map(str::trim) else {
            return Ok(None);
        };
        let text = self.get(&format!("{ROLES}{role}"))?;
        read(&text).map(Some).map_err(|cause| {
            let operation = format!("read the credentials of the role {role}");
            AwsError::new(ErrorKind::Unknown, operation, cause)
        })
    }
}

/// The credentials, or why there are none. An error never repeats the document, which has the secret in it.
fn read(text: &str) -> Result<Credentials, String> {
    let document: Document = serde_json::from_str(text)
        .map_err(|_| "the instance metadata has no credentials that can be read".to_owned())?;
    let (Some(id), Some(secret), "Success") = (
        document.access_key_id,
        document.secret_access_key,
        document.code.as_str(),
    ) else {
        let message = document.message.unwrap_or_default();
        let cause = format!("the role gives no credentials: {} {message}", document.code);
        return Err(cause.trim_end().to_owned());
    };
    let expires = (document.expiration)
        .and_then(|text| DateTime::from_str(&text, Format::DateTime).ok())
        .and_then(|moment| moment.try_into().ok());
    let token = document.token;
    Ok(Credentials::new(
        id,
        secret,
        token,
        expires,
        "instance role",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_metadata_gives_is_read_with_its_end() {
        let text = r#"{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIA1", "SecretAccessKey": "s",
            "Token": "t", "Expiration": "2026-11-25T18:00:00Z"}"#;
        let credentials = read(text).unwrap();
        assert_eq!(credentials.access_key_id(), "ASIA1");
        assert_eq!(credentials.session_token(), Some("t"));
        assert!(credentials.expiry().is_some());
    }

    #[test]
    fn a_role_that_cannot_be_assumed_says_why() {
        let text = r#"{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role portsip."}"#;
        let said = read(text).unwrap_err();
        assert!(
            said.contains("AssumeRoleUnauthorizedAccess EC2 cannot assume"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let said = read(r#"{"SecretAccessKey": "wJalrXUtnFEMI"#).unwrap_err();
        assert!(!said.contains("wJalr"), "{said}");
    }
}
