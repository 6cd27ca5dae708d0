//! awsebs and awseip as Pacemaker calls them, against the EC2 model: the real binaries, real block devices
//! and mounts, each node a mount namespace. Needs root.

#![allow(clippy::unwrap_used)]

mod address;
mod credentials;
mod faults;
mod histories;
mod lookup;
mod node;
mod pacemaker;
mod volume;
