//! Extended servers: machines beside the cluster that run one service of the PBX each. What is asked for, what is found,
//! what is refused, and what is done. Nothing here asks a person; `verbs::extend` does.

mod aws;
mod cluster;
mod control;
mod docker;
mod facts;
mod image;
mod kind;
mod lines;
mod phases;
mod project;
mod refuse;
mod register;
mod request;
mod server;

pub use aws::{answers as ec2_answers, ask_ec2, ec2_warnings, resolved};
pub use cluster::{Cluster, Said, look as look_at_cluster};
pub use control::{Action, may_remove, remove};
pub use facts::{Facts, State, look, look_live};
pub use kind::{KINDS, Kind};
pub use phases::Installation;
pub use refuse::{Finding, findings};
pub use register::{Entry, FILE, Register, Selection};
pub use request::{At, FIELDS, Field, Request, of_file, of_options};
pub use server::{Name, Server, Wanted};
pub(crate) use server::{address, refused};
