//! EC2 and its instance metadata: typed ids, a client whose attempts are short, the kind of each EC2 error
//! (`error.rs`), and retries under a deadline (`retry.rs`). Types of the AWS SDK stay in here, and nothing in here
//! knows OCF or vars.yml. Without the feature `client` only the ids are built, without the AWS SDK.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod credentials;
#[cfg(feature = "client")]
mod deadline;
#[cfg(feature = "client")]
mod describe_site;
#[cfg(feature = "client")]
mod elastic_ip;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "client")]
mod http;
mod ids;
#[cfg(feature = "client")]
mod instance;
#[cfg(feature = "client")]
mod metadata;
#[cfg(feature = "client")]
mod retry;
#[cfg(feature = "client")]
mod site_checks;
#[cfg(feature = "client")]
mod source;
#[cfg(feature = "client")]
mod volume;

pub use ids::{
    AccountId, AllocationId, AssociationId, InstanceId, InstanceIds, InterfaceId, Malformed,
    Region, VolumeId,
};

#[cfg(feature = "client")]
pub use self::{
    client::{Ec2, prepare_environment},
    deadline::Deadline,
    describe_site::{Gone, NodeFacts, SiteFacts, describe_site},
    elastic_ip::{Association, ElasticIp},
    error::{AwsError, ErrorKind},
    instance::InstanceState,
    metadata::{Interface, Metadata},
    retry::{EVENTUAL_CONSISTENCY_WINDOW, retry_denied, retry_transient, retry_until},
    site_checks::{PublicAddress, SiteChecks},
    volume::{Attachable, Attachment, AttachmentState, Volume},
};
