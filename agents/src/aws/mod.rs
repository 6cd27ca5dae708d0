//! EC2 as the agents see it: typed ids, a client with short time limits, and what EC2's
//! errors mean. Everything that names an SDK type is in here.

mod address;
mod client;
mod credentials;
mod error;
mod http;
mod ids;
mod instance;
mod metadata;
mod outlook;
mod retry;
mod site;
mod source;
mod volume;

pub use address::{Association, ElasticIp};
pub use client::{Ec2, trust_the_bundle};
pub use error::AwsError;
pub use ids::{
    AllocationId, AssociationId, InstanceId, InstanceIds, InterfaceId, Malformed, Region, VolumeId,
};
pub use instance::Power;
pub use metadata::{Interface, Metadata};
pub use outlook::{Outlook, PublicAddress};
pub use retry::{LAG, until_allowed, until_expected, until_known};
pub use site::{Gone, NodeFacts, SiteFacts, describe_site};
pub use volume::{Attachment, AttachmentState, Usable, Volume};
