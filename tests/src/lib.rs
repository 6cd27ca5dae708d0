//! The lab: three real machines on one, around them a model of EC2, a VPC and the Internet.

pub mod bench;
pub mod cgroup;
pub mod connection;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod ec2;
pub mod endpoints;
pub mod hypervisor;
pub mod image;
pub mod imds;
pub mod lab;
pub mod netns;
pub mod node;
pub mod paths;
pub mod pbx;
pub mod progress;
pub mod remains;
pub mod run;
pub mod site;
pub mod ssh;
pub mod volume;
pub mod vpc;
pub mod watch;
pub mod world;
