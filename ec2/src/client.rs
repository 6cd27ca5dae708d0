//! A client of EC2 whose attempts are short: where the region and the credentials come from,
//! and how long an attempt may take. Retrying is the callers' business, under their deadline.

// The names that aws-config deprecates are aliases of types in aws-runtime, which would be
// one dependency more for nothing.
#![allow(deprecated)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

use crate::credentials::CredentialSources;
use crate::error::AwsError;
use crate::http;
use crate::ids::Region;
use crate::metadata::Metadata;
use crate::retry::retry_transient;
use crate::error::ErrorKind;
use crate::deadline::Deadline;

const CONNECT: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_secs(5);

/// All certificate authorities that Debian and Ubuntu trust, in one file (update-ca-certificates(8)).
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Has the TLS library read that file alone. Without a word it reads it and then every file in its
/// directory, which has the same certificates once more: 150 files that a call has to wait for.
pub fn trust_the_bundle() {
    let told = |name: &str| std::env::var_os(name).is_some();
    if told("SSL_CERT_FILE") || told("SSL_CERT_DIR") || !Path::new(AUTHORITIES).is_file() {
        return;
    }
    // SAFETY: agents call this when they are made, and start threads only after that.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("SSL_CERT_FILE", AUTHORITIES);
    }
}

/// EC2 in one region.
#[derive(Debug, Clone)]
pub struct Ec2 {
    pub(crate) sdk: aws_sdk_ec2::Client,
    /// The region that is asked.
    pub region: String,
    credentials: CredentialSources,
    /// `DryRun` of the calls that change something; none where they are meant.
    pub(crate) dry_run: Option<bool>,
}

impl Ec2 {
    /// A client as [`Ec2::connect`] gives, as soon as the region can be found out.
    ///
    /// # Errors
    /// `Unknown` when that was not so before `deadline`.
    pub async fn connect_by(
        deadline: Deadline,
        region: Option<&Region>,
        profile: Option<&str>,
    ) -> Result<Self, AwsError> {
        retry_transient(deadline, async || {
            Self::connect(region, profile).await
        })
        .await
    }

    /// The same, but calls that would change something only ask whether they are allowed:
    /// their answer is then the error `WouldSucceed`, or `Forbidden`.
    pub fn rehearsing(&self) -> Self {
        Self {
            dry_run: Some(true),
            ..self.clone()
        }
    }

    /// A client. The region is the given one, else that of the environment or the AWS
    /// configuration, else the one that the instance runs in. Credentials: a profile that is named, else
    /// the environment, else root's shared configuration, else the instance role.
    ///
    /// # Errors
    /// `Unknown` when no region is configured and the metadata service gives no answer.
    pub async fn connect(region: Option<&Region>, profile: Option<&str>) -> Result<Self, AwsError> {
        let (files, names) = profile_files();
        let region = match region {
            Some(region) => region.to_string(),
            None => find_region(&files, profile, &names).await?,
        };
        let credentials = CredentialSources::of(profile, &region, &files, &names);
        let mut loader = aws_config::from_env()
            .region(aws_config::Region::new(region.clone()))
            .profile_files(files)
            .credentials_provider(credentials.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .read_timeout(ATTEMPT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(ATTEMPT + CONNECT)
                    .build(),
            );
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let mut config = loader.load().await;
        if let Some(client) = http::client(CONNECT, &endpoint(&config, &region)) {
            config = config.into_builder().http_client(client).build();
        }
        Ok(Self {
            sdk: aws_sdk_ec2::Client::new(&config),
            region,
            credentials,
            dry_run: None,
        })
    }
}

/// Where EC2 is asked: what is configured, else the region's own endpoint
/// (<https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>).
fn endpoint(config: &SdkConfig, region: &str) -> String {
    let configured = std::env::var("AWS_ENDPOINT_URL_EC2").ok();
    let configured = configured.or_else(|| config.endpoint_url().map(str::to_owned));
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    configured.unwrap_or_else(|| format!("https://ec2.{region}.{domain}"))
}

/// The region that the environment, the profile or the metadata service names.
async fn find_region(
    files: &ProfileFiles,
    profile: Option<&str>,
    names: &str,
) -> Result<String, AwsError> {
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Ok(region.to_string());
    }
    let mut shared = ProfileFileRegionProvider::builder().profile_files(files.clone());
    if let Some(profile) = profile {
        shared = shared.profile_name(profile);
    }
    if let Some(region) = shared.build().region().await {
        return Ok(region.to_string());
    }
    Metadata::connect()
        .and_then(|metadata| metadata.region())
        .map_err(|error| {
            AwsError::new(
                error.kind,
                format!(
                    "find the region, which neither `region`, the environment nor {names} names"
                ),
                error.to_string(),
            )
        })
}

/// The shared configuration, and its name for an error. Pacemaker sets no HOME, and the
/// SDK looks nowhere else, so what it would find in root's home is named here.
fn profile_files() -> (ProfileFiles, String) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let told = |name: &str| set(name) || set("HOME");
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map_or_else(|| PathBuf::from("/root"), |user| user.dir);
    let mut files = ProfileFiles::builder();
    let mut names = Vec::new();
    let mut any = false;
    for (variable, kind, file) in [
        ("AWS_CONFIG_FILE", ProfileFileKind::Config, "config"),
        (
            "AWS_SHARED_CREDENTIALS_FILE",
            ProfileFileKind::Credentials,
            "credentials",
        ),
    ] {
        let path = home.join(".aws").join(file);
        if told(variable) {
            any = true;
            files = match kind {
                ProfileFileKind::Config => files.include_default_config_file(true),
                _ => files.include_default_credentials_file(true),
            };
            let default = std::env::var_os("HOME")
                .map_or(path, |home| PathBuf::from(home).join(".aws").join(file));
            names.push(std::env::var_os(variable).map_or(default, PathBuf::from));
        } else {
            // The SDK takes a named file that is not there for an error.
            if path.is_file() {
                any = true;
                files = files.with_file(kind, &path);
            }
            names.push(path);
        }
    }
    // A node with an instance role has neither file, and the SDK panics at an empty set. A
    // default file that is not there is nothing to it.
    if !any {
        files = files.include_default_config_file(true);
    }
    let names: Vec<String> = names
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    (files.build(), names.join(" and "))
}

impl Ec2 {
    /// Makes a call; an error says whose credentials they were, or why there are none.
    pub(crate) async fn once<T, E, R>(
        &self,
        call: impl Future<Output = Result<T, aws_smithy_runtime_api::client::result::SdkError<E, R>>>,
        doing: &str,
    ) -> Result<T, AwsError>
    where
        E: aws_smithy_types::error::metadata::ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        // The SDK would ask for them too, and pack what is wrong into five layers.
        if let Err(said) = self.credentials.get().await {
            return Err(AwsError::new(ErrorKind::Unknown, doing, said));
        }
        call.await
            .map_err(|error| AwsError::from_sdk(doing, &error, &self.credentials.whose()))
    }
}
