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
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::client::{is_set, shared_files};
use crate::error::root_cause;
use crate::metadata::Metadata;

/// How long the shared configuration may take: it may ask STS, or run a program.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Credentials that expire sooner are fetched again.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// The sources of one client, and the credentials in use.
#[derive(Debug, Clone)]
pub(crate) struct CredentialSources {
    sources: Arc<Vec<Source>>,
    found: Arc<Mutex<Option<Found>>>,
}

#[derive(Debug)]
enum Source {
    Environment,
    Shared {
        provider: Box<ProfileFileCredentialsProvider>,
        /// For messages.
        name: String,
        /// Whether `profile` names a profile, which then has to exist.
        is_named: bool,
    },
    Role,
}

#[derive(Debug, Clone)]
struct Found {
    credentials: Credentials,
    source: String,
}

/// Why a source has no credentials.
enum Missing {
    /// It is not configured, which is usual.
    NotConfigured,
    /// It is configured and does not work.
    Broken(String),
}

impl CredentialSources {
    /// All sources; with a profile, that profile alone.
    pub(crate) fn new(profile: Option<&str>, region: &str) -> Self {
        // For a profile that assumes a role: the region of STS, and `credential_source = Ec2InstanceMetadata`.
        let region = Region::new(region.to_owned());
        let mut shared = ProfileFileCredentialsProvider::builder()
            .configure(&ProviderConfig::default().with_region(Some(region)))
            .with_custom_provider("Ec2InstanceMetadata", RoleProvider);
        let mut name = shared_files();
        if let Some(profile) = profile {
            shared = shared.profile_name(profile);
            name = format!("the profile {profile} of {name}");
        }
        let shared = Source::Shared {
            provider: Box::new(shared.build()),
            name,
            is_named: profile.is_some() || is_set("AWS_PROFILE"),
        };
        let sources = match profile {
            Some(_) => vec![shared],
            None => vec![Source::Environment, shared, Source::Role],
        };
        Self {
            sources: Arc::new(sources),
            found: Arc::default(),
        }
    }

    /// The credentials of the first source that has some.
    ///
    /// # Errors
    /// What is wrong with each source; broken ones first.
    pub(crate) async fn get(&self) -> Result<Credentials, String> {
        if let Some(found) = self.found().filter(|found| is_valid(&found.credentials)) {
            return Ok(found.credentials);
        }
        let mut broken = Vec::new();
        let mut empty = Vec::new();
        for source in self.sources.iter() {
            let name = source.name();
            match source.get().await {
                Ok(credentials) => {
                    if !broken.is_empty() {
                        tracing::warn!("using the credentials of {name}; {}", broken.join("; "));
                    }
                    let found = Found {
                        credentials: credentials.clone(),
                        source: name.to_owned(),
                    };
                    *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                    return Ok(credentials);
                }
                Err(Missing::NotConfigured) => empty.push(name),
                Err(Missing::Broken(why)) => broken.push(format!("{name}: {why}")),
            }
        }
        if !empty.is_empty() {
            broken.push(format!("none in {}", empty.join(", ")));
        }
        Err(format!("no AWS credentials: {}", broken.join("; ")))
    }

    /// The credentials in use, for messages: the end of the access key (which is no secret) and the source.
    pub(crate) fn in_use(&self) -> String {
        let Some(found) = self.found() else {
            return "no credentials".to_owned();
        };
        let key = found.credentials.access_key_id();
        let end = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
        format!("the access key ...{end} of {}", found.source)
    }

    fn found(&self) -> Option<Found> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }
}

fn is_valid(credentials: &Credentials) -> bool {
    let enough = SystemTime::now() + EXPIRY_MARGIN;
    credentials.expiry().is_none_or(|expiry| expiry > enough)
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Environment => "the environment",
            Self::Shared { name, .. } => name,
            Self::Role => "the instance role",
        }
    }

    async fn get(&self) -> Result<Credentials, Missing> {
        match self {
            Self::Environment => {
                let environment = EnvironmentVariableCredentialsProvider::new();
                (environment.provide_credentials().await).map_err(|error| match error {
                    CredentialsError::CredentialsNotLoaded(_) => missing_half(),
                    error => Missing::Broken(root_cause(&error)),
                })
            }
            Self::Shared {
                provider, is_named, ..
            } => {
                let answer = tokio::time::timeout(TIME_LIMIT, provider.provide_credentials()).await;
                let late =
                    || Missing::Broken(format!("no answer within {} s", TIME_LIMIT.as_secs()));
                answer.map_err(|_| late())?.map_err(|error| {
                    let cause = root_cause(&error);
                    match error {
                        CredentialsError::CredentialsNotLoaded(_)
                            if !(*is_named && cause.contains("was not defined")) =>
                        {
                            Missing::NotConfigured
                        }
                        // The SDK is built without SSO and asks the reader to rebuild it.
                        _ if cause.contains("cargo feature") => Missing::Broken(
                            "it signs in through SSO, which an agent cannot do: give it keys, \
                             credential_process or a role"
                                .to_owned(),
                        ),
                        _ => Missing::Broken(cause),
                    }
                })
            }
            Self::Role => role()
                .map_err(Missing::Broken)?
                .ok_or(Missing::NotConfigured),
        }
    }
}

/// Why the environment has no credentials: neither variable is set, or only one.
fn missing_half() -> Missing {
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    match (is_set(id), is_set(secret)) {
        (true, false) => Missing::Broken(format!("{id} without {secret}")),
        (false, true) => Missing::Broken(format!("{secret} without {id}")),
        _ => Missing::NotConfigured,
    }
}

/// The credentials of the instance role; `None` if the instance has no role.
fn role() -> Result<Option<Credentials>, String> {
    let disabled = std::env::var("AWS_EC2_METADATA_DISABLED");
    if disabled.is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err("AWS_EC2_METADATA_DISABLED is set".to_owned());
    }
    let metadata = Metadata::connect();
    let credentials = metadata.and_then(|metadata| metadata.role_credentials());
    credentials.map_err(|error| error.to_string())
}

/// The instance role, for the SDK.
#[derive(Debug)]
struct RoleProvider;

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(match role() {
            Ok(Some(credentials)) => Ok(credentials),
            Ok(None) => Err(CredentialsError::not_loaded("the instance has no role")),
            Err(reason) => Err(CredentialsError::provider_error(reason)),
        })
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
