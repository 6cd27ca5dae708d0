//! The resource agents of PortSIP HA: the OCF contract, what EC2 and the kernel are asked,
//! and the agents themselves. Each binary in `bin/` runs one agent.

pub mod agents;
pub mod aws;
pub mod device;
pub mod docker;
pub mod holders;
pub mod meaning;
pub mod mounts;
pub mod netlink;
pub mod ocf;
pub mod pacemaker;
