//! The main job, end to end: a cluster made as the README says, a fault on the active node, a
//! timeline of what followed and a verdict.

pub mod addresses;
pub mod cluster;
pub mod failover;
pub mod outcome;
pub mod sip;
pub mod status;
pub mod timeline;
pub mod writer;

pub use failover::{Fault, fail_over};
pub use outcome::Outcome;

use std::net::Ipv4Addr;

use crate::{netns, site};

/// How a client reaches the database.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its address.
    pub database: Ipv4Addr,
    /// The superuser's password.
    pub password: String,
    /// The network namespace in which the client lives.
    pub namespace: String,
}

impl Access {
    /// A client inside the VPC that uses the virtual address.
    pub fn through_the_vip() -> Self {
        Self {
            database: site::VIP,
            password: cluster::DATABASE_PASSWORD.to_owned(),
            namespace: netns::vpc(),
        }
    }
}
