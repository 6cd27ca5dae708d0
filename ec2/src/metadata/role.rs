//! The temporary credentials of the instance's role. We fetch them ourselves, because the SDK's own client
//! of the metadata goes through a proxy when the environment names one, and cannot be told from which address to ask.

use aws_sdk_ec2::config::Credentials;
use aws_smithy_types::date_time::{DateTime, Format};
use serde::Deserialize;

use super::Metadata;
use crate::error::AwsError;
use crate::error::ErrorKind;

const ROLES: &str = "iam/security-credentials/";

/// What the metadata has of a role.
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
    /// The credentials of the instance's role; `None` if it has no role.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer, or says that there are none.
    pub(crate) fn role_credentials(&self) -> Result<Option<Credentials>, AwsError> {
        let roles = self.find(ROLES)?.unwrap_or_default();
        let Some(role) = roles.lines().next().map(str::trim) else {
            return Ok(None);
        };
        let text = self.get(&format!("{ROLES}{role}"))?;
        read(&text).map(Some).map_err(|said| {
            let doing = format!("read the credentials of the role {role}");
            AwsError::new(ErrorKind::Unknown, doing, said)
        })
    }
}

/// The credentials, or why there are none; in no case what the document says of the secret.
fn read(text: &str) -> Result<Credentials, String> {
    let document: Document = serde_json::from_str(text)
        .map_err(|_| "the instance metadata has no credentials that can be read".to_owned())?;
    let Document {
        code,
        message,
        access_key_id: Some(id),
        secret_access_key: Some(secret),
        token,
        expiration,
    } = document
    else {
        let message = document.message.unwrap_or_default();
        let said = format!("the role gives no credentials: {} {message}", document.code);
        return Err(said.trim_end().to_owned());
    };
    if code != "Success" {
        let message = message.unwrap_or_default();
        return Err(format!("the role gives no credentials: {code} {message}"));
    }
    let expires = expiration
        .and_then(|text| DateTime::from_str(&text, Format::DateTime).ok())
        .and_then(|moment| moment.try_into().ok());
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
    fn a_role_that_can_not_be_assumed_says_why() {
        let text = r#"{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role portsip."}"#;
        let said = read(text).unwrap_err();
        assert!(
            said.contains("AssumeRoleUnauthorizedAccess EC2 cannot assume"),
            "{said}"
        );
    }

    #[test]
    fn what_can_not_be_read_is_not_repeated() {
        let said = read(r#"{"SecretAccessKey": "wJalrXUtnFEMI"#).unwrap_err();
        assert!(!said.contains("wJalr"), "{said}");
    }
}
