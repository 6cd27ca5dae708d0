//! The main job of both systems, end to end: a cluster made as the documentation says, a fault on the active node,
//! a timeline of what followed and a verdict.

pub mod addresses;
pub mod aws;
pub mod cluster;
pub mod failover;
pub mod gap;
pub mod journals;
pub mod lan;
pub mod outcome;
pub mod sip;
pub mod status;
pub mod timeline;
pub mod writer;

pub use failover::{Fault, fail_over};
pub use outcome::Outcome;

use std::net::Ipv4Addr;

use crate::site::Site;

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
    /// A client beside the nodes, in the VPC or in the LAN, that uses the virtual address.
    pub fn through_the_vip(site: Site) -> Self {
        Self {
            database: site.vip(),
            password: cluster::DATABASE_PASSWORD.to_owned(),
            namespace: site.namespace(),
        }
    }
}
