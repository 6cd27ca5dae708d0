//! The lab: three real machines on one, around them a model of EC2, a VPC and the Internet.

pub mod cgroup;
pub mod ec2;
pub mod image;
pub mod imds;
pub mod node;
pub mod paths;
pub mod pbx;
pub mod progress;
pub mod run;
pub mod site;
pub mod world;
