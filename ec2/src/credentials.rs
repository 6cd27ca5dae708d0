//! Where credentials come from: the environment, the shared configuration, the instance's role, in the
//! order of the AWS CLI. A source that has none, or that is broken, is no reason not to ask the next.
//! That EC2 denies something to them is one: which credentials were meant is then for people to say.

// The names that aws-config deprecates are aliases of types in aws-runtime, which would be
// one dependency more for nothing.
#![allow(deprecated)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::profile::profile_file::ProfileFiles;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

use crate::error::root;
use crate::metadata::Metadata;

/// How long one source may take: a profile may ask STS, or run a program.
const LIMIT: Duration = Duration::from_secs(5);
/// Credentials that end sooner are fetched again.
const MARGIN: Duration = Duration::from_secs(60);

/// The sources for one client, and what they gave.
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
        /// Its name, for people.
        name: String,
    },
    Role,
}

#[derive(Debug, Clone)]
struct Found {
    credentials: Credentials,
    source: String,
}

/// Why a source gave nothing.
enum Nothing {
    /// It has none, as is usual.
    None,
    /// It should have some, and something is wrong.
    Broken(String),
}

impl CredentialSources {
    /// Those of a profile alone, if there is one. `names` is what the files are called.
    pub(crate) fn of(
        profile: Option<&str>,
        region: &str,
        files: &ProfileFiles,
        names: &str,
    ) -> Self {
        // STS is asked in that region, for a profile that assumes a role.
        let region = Some(Region::new(region.to_owned()));
        let mut shared = ProfileFileCredentialsProvider::builder()
            .configure(&ProviderConfig::default().with_region(region))
            .profile_files(files.clone())
            // For `credential_source = Ec2InstanceMetadata`.
            .with_custom_provider("Ec2InstanceMetadata", RoleProvider);
        let name = match profile {
            Some(profile) => {
                shared = shared.profile_name(profile);
                format!("the profile {profile} of {names}")
            }
            None => names.to_owned(),
        };
        let provider = Box::new(shared.build());
        let shared = Source::Shared { provider, name };
        let sources = match profile {
            Some(_) => vec![shared],
            None => vec![Source::Environment, shared, Source::Role],
        };
        Self {
            sources: Arc::new(sources),
            found: Arc::default(),
        }
    }

    /// Credentials of the first source that has some.
    ///
    /// # Errors
    /// What each source said; what is broken comes first.
    pub(crate) async fn get(&self) -> Result<Credentials, String> {
        if let Some(found) = self.found().filter(|found| lasts(&found.credentials)) {
            return Ok(found.credentials);
        }
        let mut broken = Vec::new();
        let mut empty = Vec::new();
        for source in self.sources.iter() {
            let name = source.name();
            match source.get().await {
                Ok(credentials) => {
                    if !broken.is_empty() {
                        tracing::warn!("credentials are those of {name}; {}", broken.join("; "));
                    }
                    let source = name.to_owned();
                    let found = Found {
                        credentials: credentials.clone(),
                        source,
                    };
                    *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                    return Ok(credentials);
                }
                Err(Nothing::None) => empty.push(name),
                Err(Nothing::Broken(why)) => broken.push(format!("{name}: {why}")),
            }
        }
        if !empty.is_empty() {
            broken.push(format!("none in {}", empty.join(", ")));
        }
        Err(format!("no AWS credentials: {}", broken.join("; ")))
    }

    /// Whose credentials were used, for people: a key is no secret, but its end is enough.
    pub(crate) fn whose(&self) -> String {
        match self.found() {
            Some(found) => {
                let key = found.credentials.access_key_id();
                let end = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
                format!("the access key ...{end} of {}", found.source)
            }
            None => "no credentials".to_owned(),
        }
    }

    fn found(&self) -> Option<Found> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }
}

fn lasts(credentials: &Credentials) -> bool {
    credentials
        .expiry()
        .is_none_or(|end| end > SystemTime::now() + MARGIN)
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Environment => "the environment",
            Self::Shared { name, .. } => name,
            Self::Role => "the instance role",
        }
    }

    async fn get(&self) -> Result<Credentials, Nothing> {
        let answer = match self {
            Self::Role => return role().map_err(Nothing::Broken)?.ok_or(Nothing::None),
            Self::Environment => {
                let environment = EnvironmentVariableCredentialsProvider::new();
                environment.provide_credentials().await
            }
            Self::Shared { provider, .. } => {
                let asked = tokio::time::timeout(LIMIT, provider.provide_credentials());
                asked.await.map_err(|_| {
                    Nothing::Broken(format!("no answer within {} s", LIMIT.as_secs()))
                })?
            }
        };
        answer.map_err(|error| match (self, &error) {
            (Self::Environment, CredentialsError::CredentialsNotLoaded(_)) => {
                half_a_key().map_or(Nothing::None, |said| Nothing::Broken(said.to_owned()))
            }
            (_, CredentialsError::CredentialsNotLoaded(_)) => match root(&error) {
                // That a profile which somebody has named is not there is no usual thing.
                said if said.contains("was not defined") && names_a_profile(self) => {
                    Nothing::Broken(said)
                }
                _ => Nothing::None,
            },
            _ => Nothing::Broken(plain(root(&error))),
        })
    }
}

/// One of the two variables alone.
fn half_a_key() -> Option<&'static str> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        (true, false) => Some("AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY"),
        (false, true) => Some("AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID"),
        _ => None,
    }
}

fn names_a_profile(source: &Source) -> bool {
    let by_name = matches!(source, Source::Shared { name, .. } if name.starts_with("the profile "));
    by_name || std::env::var_os("AWS_PROFILE").is_some_and(|name| !name.is_empty())
}

/// What the SDK says of what it was built without, in words for those who use it.
fn plain(said: String) -> String {
    if said.contains("cargo feature") {
        "it signs in through SSO, which an agent can not do: give it keys, credential_process or a role"
            .to_owned()
    } else {
        said
    }
}

fn role() -> Result<Option<Credentials>, String> {
    let off = std::env::var("AWS_EC2_METADATA_DISABLED");
    if off.is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err("AWS_EC2_METADATA_DISABLED is set".to_owned());
    }
    Metadata::connect()
        .and_then(|metadata| metadata.role_credentials())
        .map_err(|error| error.to_string())
}

/// The role, for the SDK.
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
            Err(said) => Err(CredentialsError::provider_error(said)),
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
