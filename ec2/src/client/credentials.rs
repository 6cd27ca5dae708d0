//! Where credentials come from: the environment, the shared configuration, the instance role, in the order of the
//! AWS CLI. A source that has none, or that is broken, is skipped. If EC2 denies a call, no other source is tried;
//! the error names the credentials that were used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::error::root_cause;
use super::sdk_client::{is_set, shared_files};
use crate::Metadata;

/// How long one source may take: a profile may ask STS, or run a program.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Credentials that expire sooner are fetched again.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// The name of the one source that nobody configures by half on purpose.
const ENVIRONMENT: &str = "the environment";
const INSTANCE_ROLE: &str = "the instance role";

/// The sources of one client, and the credentials in use with the name of their source.
#[derive(Debug, Clone)]
pub(crate) struct CredentialSources {
    /// Each with its name, for messages.
    sources: Arc<Vec<(String, SharedCredentialsProvider)>>,
    found: Arc<Mutex<Option<(Credentials, String)>>>,
}

impl CredentialSources {
    /// All sources; with a profile, that profile alone.
    pub(crate) fn new(profile: Option<&str>, region: &str) -> Self {
        // For a profile that assumes a role: the region of STS, and `credential_source = Ec2InstanceMetadata`.
        let region = Region::new(region.to_owned());
        let mut provider = ProfileFileCredentialsProvider::builder()
            .configure(&ProviderConfig::default().with_region(Some(region)))
            .with_custom_provider("Ec2InstanceMetadata", RoleProvider);
        let mut name = shared_files();
        if let Some(profile) = profile {
            provider = provider.profile_name(profile);
            name = format!("the profile {profile} of {name}");
        }
        let mut sources = vec![(name, SharedCredentialsProvider::new(provider.build()))];
        if profile.is_none() {
            let environment = EnvironmentVariableCredentialsProvider::new();
            let environment = SharedCredentialsProvider::new(environment);
            sources.insert(0, (ENVIRONMENT.to_owned(), environment));
            let role = SharedCredentialsProvider::new(RoleProvider);
            sources.push((INSTANCE_ROLE.to_owned(), role));
        }
        Self {
            sources: Arc::new(sources),
            found: Arc::default(),
        }
    }

    /// The credentials of the first source that has some; else what is wrong with each source, broken ones first.
    pub(crate) async fn get(&self) -> Result<Credentials, String> {
        let enough = SystemTime::now() + EXPIRY_MARGIN;
        let is_valid = |found: &Credentials| found.expiry().is_none_or(|expiry| expiry > enough);
        if let Some((credentials, _)) = self.found().filter(|(found, _)| is_valid(found)) {
            return Ok(credentials);
        }
        let mut broken = Vec::new();
        let mut empty = Vec::new();
        for (name, provider) in self.sources.iter() {
            match ask(name, provider).await {
                Ok(credentials) => {
                    if !broken.is_empty() {
                        tracing::warn!("using the credentials of {name}; {}", broken.join("; "));
                    }
                    let found = Some((credentials.clone(), name.clone()));
                    *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
                    return Ok(credentials);
                }
                Err(None) => empty.push(name.as_str()),
                Err(Some(why)) => broken.push(format!("{name}: {why}")),
            }
        }
        if !empty.is_empty() {
            broken.push(format!("none in {}", empty.join(", ")));
        }
        Err(format!("no AWS credentials: {}", broken.join("; ")))
    }

    /// The credentials in use, for messages: the end of the access key (which is no secret) and the source.
    pub(crate) fn in_use(&self) -> String {
        let Some((credentials, source)) = self.found() else {
            return "no credentials".to_owned();
        };
        let key = credentials.access_key_id();
        let end = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
        format!("the access key ...{end} of {source}")
    }

    /// Whether the agents on this node would use the credentials in use: Pacemaker runs them as root, and gives
    /// them none in the environment.
    pub(crate) fn are_of_agents(&self) -> bool {
        let is_root = nix::unistd::geteuid().is_root();
        self.found().is_some_and(|(_, source)| {
            source == INSTANCE_ROLE || is_root && source == shared_files()
        })
    }

    fn found(&self) -> Option<(Credentials, String)> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }
}

/// The credentials of a source; else what is wrong, or `None` if the source is not configured, which is usual.
async fn ask(
    name: &str,
    provider: &SharedCredentialsProvider,
) -> Result<Credentials, Option<String>> {
    let answer = tokio::time::timeout(TIME_LIMIT, provider.provide_credentials()).await;
    let late = |_| Some(format!("no answer within {} s", TIME_LIMIT.as_secs()));
    answer.map_err(late)?.map_err(|error| {
        let cause = root_cause(&error);
        // A profile that somebody has named is expected to exist.
        let is_missing = cause.contains("was not defined")
            && (name.starts_with("the profile") || is_set("AWS_PROFILE"));
        match error {
            CredentialsError::CredentialsNotLoaded(_) if !is_missing => {
                missing_variable().filter(|_| name == ENVIRONMENT)
            }
            // The SDK is built without SSO, and its message is for programmers.
            _ if cause.contains("cargo feature") => Some(
                "it signs in through SSO, which an agent cannot do: give it keys, credential_process or a role"
                    .to_owned(),
            ),
            _ => Some(cause),
        }
    })
}

/// What is missing in the environment if only one of the two variables is set.
fn missing_variable() -> Option<String> {
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    match (is_set(id), is_set(secret)) {
        (true, false) => Some(format!("{id} without {secret}")),
        (false, true) => Some(format!("{secret} without {id}")),
        _ => None,
    }
}

/// The instance role, for the SDK.
#[derive(Debug)]
struct RoleProvider;

impl RoleProvider {
    fn credentials() -> Result<Credentials, CredentialsError> {
        let disabled = std::env::var("AWS_EC2_METADATA_DISABLED");
        if disabled.is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            let cause = "AWS_EC2_METADATA_DISABLED is set";
            return Err(CredentialsError::provider_error(cause));
        }
        let role = Metadata::connect().and_then(|metadata| metadata.role_credentials());
        let role = role.map_err(|error| CredentialsError::provider_error(error.to_string()))?;
        role.ok_or_else(|| CredentialsError::not_loaded("the instance has no role"))
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Self::credentials())
    }
}

impl ProvideCredentials for CredentialSources {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.get().await.map_err(CredentialsError::provider_error)
        })
    }
}
