//! The main job of both systems, end to end: a cluster made as the documentation says, a fault on the active node,
//! a timeline of what followed and a verdict.

pub mod addresses;
pub mod aws;
pub mod by_hand;
pub mod cluster;
pub mod failover;
pub mod gap;
pub mod journals;
pub mod lan;
pub mod operator;
pub mod outcome;
pub mod readme;
pub mod sip;
pub mod status;
pub mod timeline;
pub mod writer;

pub use failover::{Fault, fail_over};
pub use outcome::Outcome;

use std::net::Ipv4Addr;

use crate::lab::Lab;
use crate::pbx;
use crate::world::Error;

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
    /// A client beside the nodes, in the VPC or in the LAN, that uses the virtual address. The password is the nodes':
    /// the first one that answers says it.
    ///
    /// # Errors
    /// No node says it.
    pub fn through_the_vip(lab: &Lab) -> Result<Self, Error> {
        let site = lab.site();
        let read = format!("cat {}", pbx::DATABASE_PASSWORD_FILE);
        let mut why = String::new();
        for node in site.hosts() {
            match cluster::run(lab, node, &read, &read, cluster::SECONDS) {
                Ok(password) => {
                    return Ok(Self {
                        database: site.vip(),
                        password: password.trim_end().to_owned(),
                        namespace: site.namespace(),
                    });
                }
                Err(error) => why += &format!("\n{error}"),
            }
        }
        Err(format!("no node says the database's password:{why}").into())
    }
}
