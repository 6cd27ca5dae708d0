//! The resource agents of PortSIP HA: the OCF contract, what the kernel, Docker and Pacemaker are asked,
//! and the agents themselves. Each binary in `bin/` runs one agent.

pub mod agents;
mod device;
mod docker;
mod holders;
mod mounts;
#[doc(hidden)] // Public for its tests.
pub mod netlink;
mod ocf;
mod pacemaker;
