//! EC2 and its instance metadata: typed ids, a client whose attempts are short, what EC2's errors mean, and
//! retries under a deadline. Everything that names a type of the AWS SDK is in here. Nothing in here knows OCF or
//! vars.yml. Without the feature `client` only the ids are here, and the AWS SDK is not needed.

mod ids;

pub use ids::{
    AccountId, AllocationId, AssociationId, InstanceId, InstanceIds, InterfaceId, Malformed,
    Region, VolumeId,
};

/// One `cfg` for all that needs the SDK.
macro_rules! client {
    ($($item:item)+) => {$(
        #[cfg(feature = "client")]
        $item
    )+};
}

client! {
    mod client;
    mod credentials;
    mod deadline;
    mod describe_site;
    mod elastic_ip;
    mod error;
    mod http;
    mod instance;
    mod metadata;
    mod outlook;
    mod retry;
    mod source;
    mod volume;

    pub use client::{Ec2, trust_the_bundle};
    pub use deadline::Deadline;
    pub use describe_site::{Gone, NodeFacts, SiteFacts, describe_site};
    pub use elastic_ip::{Association, ElasticIp};
    pub use error::{AwsError, ErrorKind};
    pub use instance::Power;
    pub use metadata::{Interface, Metadata};
    pub use outlook::{Outlook, PublicAddress};
    pub use retry::{EVENTUAL_CONSISTENCY_WINDOW, retry_denied, retry_transient, retry_until};
    pub use volume::{Attachment, AttachmentState, Usable, Volume};
}
