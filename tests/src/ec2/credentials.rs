//! Access keys: those of the site's users, and those that the metadata service issues for the
//! instance role. Also what a request proves with them (Signature Version 4).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use axum::http::request::Parts;

use super::error::ApiError;
use super::ids::InstanceId;

/// How long the role's credentials live: EC2 gives about six hours.
const ROLE_CREDENTIALS_LIFETIME: Duration = Duration::from_secs(6 * 3600);
/// New ones are issued before the old ones expire: "at least five minutes" (EC2 User Guide,
/// "Retrieve security credentials from instance metadata").
const RENEWED_BEFORE_END: Duration = Duration::from_secs(15 * 60);
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What the metadata service hands out.
#[derive(Debug, Clone)]
pub(crate) struct RoleCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) issued: SystemTime,
    pub(crate) expires: SystemTime,
}

#[derive(Debug)]
struct Key {
    secret: String,
    token: Option<String>,
    expires: Option<SystemTime>,
    /// The instance whose role it is, or the key id itself.
    owner: String,
}

/// All keys that EC2 knows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: BTreeMap<String, Key>,
    of_role: BTreeMap<InstanceId, RoleCredentials>,
}

impl Keys {
    pub(super) fn add(&mut self, id: &str, secret: &str) {
        let key = Key {
            secret: secret.to_owned(),
            token: None,
            expires: None,
            owner: id.to_owned(),
        };
        self.known.insert(id.to_owned(), key);
    }

    /// The role's credentials for an instance, renewed in time.
    pub(super) fn of_role(&mut self, instance: &InstanceId) -> RoleCredentials {
        let now = SystemTime::now();
        if let Some(current) = self.of_role.get(instance)
            && current.expires > now + RENEWED_BEFORE_END
        {
            return current.clone();
        }
        let new = RoleCredentials {
            access_key_id: format!("ASIA{}", random(16).to_ascii_uppercase()),
            secret: random(40),
            token: random(200),
            issued: now,
            expires: now + ROLE_CREDENTIALS_LIFETIME,
        };
        let key = Key {
            secret: new.secret.clone(),
            token: Some(new.token.clone()),
            expires: Some(new.expires),
            owner: instance.to_string(),
        };
        self.known.insert(new.access_key_id.clone(), key);
        self.of_role.insert(instance.clone(), new.clone());
        new
    }

    /// Who made the request (General Reference, "Signature Version 4").
    ///
    /// # Errors
    /// `AuthFailure`, or `RequestExpired` for credentials that have ended.
    pub(super) fn caller(&self, request: &Parts, body: &[u8]) -> Result<String, ApiError> {
        let header = |name: &str| request.headers.get(name)?.to_str().ok();
        let claim = header("authorization")
            .and_then(Claim::parse)
            .ok_or_else(ApiError::auth_failure)?;
        let key = self
            .known
            .get(claim.key_id)
            .ok_or_else(ApiError::auth_failure)?;
        if key.token.as_deref() != header("x-amz-security-token") {
            return Err(ApiError::auth_failure());
        }
        if key.expires.is_some_and(|end| end <= SystemTime::now()) {
            return Err(ApiError::client("RequestExpired", "Request has expired."));
        }
        let date = header("x-amz-date").ok_or_else(ApiError::auth_failure)?;
        let signed = claim
            .canonical_request(request, body)
            .ok_or_else(ApiError::auth_failure)?;
        if claim.signature_is_of(&key.secret, date, &signed) {
            Ok(key.owner.clone())
        } else {
            Err(ApiError::auth_failure())
        }
    }
}

/// The Authorization header, taken apart.
struct Claim<'a> {
    key_id: &'a str,
    /// `DATE/REGION/SERVICE/aws4_request`.
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let parts = header.strip_prefix(ALGORITHM)?;
        let part = |name: &str| {
            parts
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (key_id, scope) = part("Credential")?.split_once('/')?;
        Some(Self {
            key_id,
            scope,
            signed_headers: part("SignedHeaders")?,
            signature: part("Signature")?,
        })
    }

    fn canonical_request(&self, request: &Parts, body: &[u8]) -> Option<String> {
        let mut headers = String::new();
        for name in self.signed_headers.split(';') {
            let values: Vec<&str> = request
                .headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().ok())
                .collect::<Option<_>>()?;
            let value = values.join(",");
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            headers += &format!("{name}:{}\n", words.join(" "));
        }
        let mut query: Vec<&str> = request.uri.query().unwrap_or_default().split('&').collect();
        query.sort_unstable();
        Some(format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method,
            request.uri.path(),
            query.join("&"),
            self.signed_headers,
            hex(digest(&SHA256, body).as_ref())
        ))
    }

    fn signature_is_of(&self, secret: &str, date: &str, canonical_request: &str) -> bool {
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{}\n{}",
            self.scope,
            hex(digest(&SHA256, canonical_request.as_bytes()).as_ref())
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in self.scope.split('/') {
            key = mac(&key, part.as_bytes());
        }
        hex(&mac(&key, to_sign.as_bytes())) == self.signature
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, data).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Characters that nobody can guess, of those that ids and tokens are made of.
pub(crate) fn random(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = vec![0; length];
    // Without randomness the kernel itself is broken; then every token is the same, and nothing worse.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the kernel gives no random bytes; tokens of the lab can be guessed");
    }
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}
