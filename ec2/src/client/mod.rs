//! All that asks EC2 or the instance metadata, and needs the AWS SDK.

mod credentials;
mod deadline;
mod describe_site;
mod elastic_ip;
mod enlarge;
mod error;
mod http;
mod instance;
mod metadata;
mod retry;
mod sdk_client;
mod server_questions;
mod site_checks;
mod site_questions;
mod snapshot;
mod source;
mod volume;

pub use deadline::Deadline;
pub use describe_site::{Gone, SiteFacts, SiteIds, describe_site};
pub use elastic_ip::{Association, ElasticIp};
pub use enlarge::enlarge;
pub use error::{AwsError, ErrorKind};
pub use instance::InstanceState;
pub use metadata::{Interface, Metadata};
pub use retry::{EVENTUAL_CONSISTENCY_WINDOW, retry_denied, retry_transient, retry_until};
pub use sdk_client::{Ec2, prepare_environment};
pub use server_questions::{ServerName, question_servers};
pub use site_checks::{SiteChecks, StopDenial};
pub use site_questions::question_site;
pub use snapshot::{Keep, Restore, keep, may_keep, restore};
pub use volume::{Attachable, Attachment, AttachmentState, Volume};
