//! The EC2 client: its region, its time limits, and how one call is made. A call is tried once; retries are in
//! `retry.rs`, under the caller's deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::credentials::CredentialSources;
use super::http;
use crate::{AwsError, Deadline, ErrorKind, Metadata, Region, retry_transient};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The certificate authorities that Debian and Ubuntu trust, in one file (update-ca-certificates(8)).
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Sets two environment variables that Pacemaker leaves unset. `SSL_CERT_FILE`: without it the TLS library reads
/// the bundle and then the same certificates again from 150 files, at each call of an agent. `HOME`: without it
/// the AWS SDK does not find root's configuration.
pub fn prepare_environment() {
    let set = |name: &str, value: &Path| {
        // SAFETY: agents and cib-gen call this first, and start threads only after that.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(name, value);
        }
    };
    let has_certificates = is_set("SSL_CERT_FILE") || is_set("SSL_CERT_DIR");
    if !has_certificates && Path::new(CA_BUNDLE).is_file() {
        set("SSL_CERT_FILE", Path::new(CA_BUNDLE));
    }
    if !is_set("HOME") {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
        let home = user.ok().flatten().map(|user| user.dir);
        set("HOME", &home.unwrap_or_else(|| "/root".into()));
    }
}

/// Whether an environment variable is set and not empty.
pub(crate) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

#[derive(Debug, Clone)]
pub struct Ec2 {
    pub(crate) sdk: aws_sdk_ec2::Client,
    pub region: String,
    pub(crate) credentials: CredentialSources,
    /// EC2's parameter `DryRun` of the calls that change something.
    pub(crate) dry_run: Option<bool>,
}

impl Ec2 {
    /// A client as `connect` makes it; the region is looked up again until `deadline`. `Unknown` if the region is
    /// still not known then.
    pub async fn connect_by(
        deadline: Deadline,
        region: Option<&Region>,
        profile: Option<&str>,
    ) -> Result<Self, AwsError> {
        retry_transient(deadline, async || Self::connect(region, profile).await).await
    }

    /// The same client with EC2's `DryRun`: a call that would change something changes nothing, and its
    /// answer is the error `WouldSucceed` or the error that the real call would have.
    pub fn dry_run(&self) -> Self {
        Self {
            dry_run: Some(true),
            ..self.clone()
        }
    }

    /// A client. The region is `region`, else that of the environment or the AWS configuration, else the
    /// instance's own. The credentials are those of `profile`, else of the first source that has some
    /// (`credentials.rs`). `Unknown` when no region is configured and the instance metadata does not answer.
    pub(crate) async fn connect(
        region: Option<&Region>,
        profile: Option<&str>,
    ) -> Result<Self, AwsError> {
        let region = match region {
            Some(region) => region.to_string(),
            None => find_region(profile).await?,
        };
        let credentials = CredentialSources::new(profile, &region);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(aws_config::Region::new(region.clone()))
            .credentials_provider(credentials.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(ATTEMPT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(ATTEMPT_TIMEOUT + CONNECT_TIMEOUT)
                    .build(),
            );
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let mut config = loader.load().await;
        if let Some(client) = http::client(CONNECT_TIMEOUT, &endpoint(&config, &region)) {
            config = config.into_builder().http_client(client).build();
        }
        Ok(Self {
            sdk: aws_sdk_ec2::Client::new(&config),
            region,
            credentials,
            dry_run: None,
        })
    }

    /// Makes one call. `operation` is what an error says was being done, such as "attach vol-1 to i-1".
    pub(crate) async fn call<T, E, R>(
        &self,
        call: impl Future<Output = Result<T, SdkError<E, R>>>,
        operation: &str,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        // The SDK would fetch them too, but wraps the reason of a failure in five other errors.
        if let Err(reason) = self.credentials.get().await {
            return Err(AwsError::new(ErrorKind::Unknown, operation, reason));
        }
        call.await
            .map_err(|error| AwsError::from_sdk(operation, &error, &self.credentials.in_use()))
    }
}

/// The endpoint that is configured, else the region's own
/// (<https://docs.aws.amazon.com/general/latest/gr/ec2-service.html>).
fn endpoint(config: &SdkConfig, region: &str) -> String {
    let of_ec2 = std::env::var("AWS_ENDPOINT_URL_EC2").ok();
    let configured = of_ec2.or_else(|| config.endpoint_url().map(str::to_owned));
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    configured.unwrap_or_else(|| format!("https://ec2.{region}.amazonaws.com{china}"))
}

/// The region that the environment, the profile or the instance metadata names.
async fn find_region(profile: Option<&str>) -> Result<String, AwsError> {
    let mut shared = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        shared = shared.profile_name(profile);
    }
    // A variable that is empty names no region; the SDK's own provider would take it for one.
    let mut variables = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter();
    let is_named = |region: &String| !region.is_empty();
    if let Some(region) = variables.find_map(|name| std::env::var(name).ok().filter(is_named)) {
        return Ok(region);
    }
    let region = shared.build().region().await;
    if let Some(region) = region.map(|region| region.to_string()).filter(is_named) {
        return Ok(region);
    }
    let metadata = Metadata::connect().and_then(|metadata| metadata.region());
    metadata.map_err(|error| {
        let files = shared_files();
        let operation =
            format!("find the region, which neither `region`, the environment nor {files} names");
        AwsError::new(error.kind, operation, error.to_string())
    })
}

/// The names of the files of the shared configuration, for messages.
pub(crate) fn shared_files() -> String {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let name = |variable, file| {
        let default = || home.join(".aws").join(file);
        let path = std::env::var_os(variable).map_or_else(default, PathBuf::from);
        path.display().to_string()
    };
    let config = name("AWS_CONFIG_FILE", "config");
    let credentials = name("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    format!("{config} and {credentials}")
}
