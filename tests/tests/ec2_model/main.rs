//! The EC2 model keeps EC2's rules. Every test talks to it over HTTP, signed as EC2's clients
//! sign, and looks at what became of the machines in a `World` that only keeps a record.

#![allow(clippy::unwrap_used)]

mod address;
mod client;
mod fault;
mod history;
mod instance;
mod metadata;
mod policy;
mod protection;
mod protocol;
mod record;
mod route;
mod security_group;
mod snapshot;
mod tag;
mod terminate;
mod volume;
mod volume_creation;
mod volume_fault;
