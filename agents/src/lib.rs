//! The resource agents of PortSIP HA: the OCF contract, what the kernel, Docker and Pacemaker are asked,
//! and the agents themselves. Each binary in `bin/` runs one agent.

pub mod agents;
pub mod device;
pub mod docker;
pub mod holders;
pub mod mounts;
pub mod netlink;
pub mod ocf;
pub mod pacemaker;
