//! EC2 as the agents see it: typed ids, a client with short time limits, and what EC2's
//! errors mean. Everything that names an SDK type is in here.

mod address;
mod client;
mod error;
mod ids;
mod instance;
mod metadata;
mod retry;
mod volume;

pub use address::{Association, ElasticIp};
pub use client::{Ec2, trust_the_bundle};
pub use error::AwsError;
pub use ids::{AllocationId, AssociationId, InstanceId, InterfaceId, Malformed, Region, VolumeId};
pub use instance::{NodeFacts, Power, describe_nodes};
pub use metadata::{Interface, Metadata};
pub use retry::{LAG, until_expected, until_known};
pub use volume::{Attachment, AttachmentState, Usable, Volume};
