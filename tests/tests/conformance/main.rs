//! The agents in a node with the real package, as what others wrote sees them: ocf-tester, pcs,
//! crm_resource, and Pacemaker with the journal of the node.
//!
//! Needs root, and the package of `make deb` in PORTSIP_HA_DEB.

#![allow(clippy::unwrap_used)]

mod journal;
mod node;
mod tools;
