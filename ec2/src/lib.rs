//! EC2 and its instance metadata: typed ids, and in `client/` a client whose attempts are short, the kind of each
//! EC2 error (`error.rs`), and retries under a deadline (`retry.rs`). Types of the AWS SDK stay in here, and nothing
//! in here knows OCF or vars.yml. Without the feature `client` only the ids are built, without the AWS SDK.

// It is public for the agents and cib-gen alone. What a name says already has no comment.
#![allow(missing_docs)]

#[cfg(feature = "client")]
mod client;
mod ids;
mod node_facts;
mod site_answers;

#[cfg(feature = "client")]
pub use client::*;
pub use ids::{
    AccountId, AllocationId, AssociationId, InstanceId, InstanceIds, InterfaceId, Malformed,
    Region, SnapshotId, VolumeId,
};
pub use node_facts::{NodeFacts, PublicAddress};
pub use site_answers::{
    AddressHolder, Asked, CallAnswer, Enlarged, InboundRule, InstanceAnswer, Kept, KeptState,
    NodeAnswer, Refusal, Restored, RestoredState, ServerAnswer, ServerAnswers, SiteAnswers,
    VolumeAnswer,
};
