//! From the vendor's `vars.yml` to the configuration of the cluster.
//!
//! The way is `vars.yml` -> [`Vars`] (as written, with positions) -> [`Site`] (resolved)
//! -> [`Cluster`] (resources, constraints, properties) -> a rendering. This library is pure:
//! it reads no file, opens no connection and asks no clock; the command does that.

// It is public for the command and the tests alone. What a name says already has no comment.
#![allow(missing_docs)]

pub mod apply;
pub mod cli;
pub mod cluster;
pub mod ec2_facts;
pub mod ids;
pub mod mistake;
pub mod nodes;
pub mod render;
pub mod scheduler;
pub mod simulate;
pub mod site;
pub mod vars;
pub mod xml;

pub use cluster::Cluster;
pub use mistake::Mistakes;
pub use site::Site;
pub use vars::Vars;
