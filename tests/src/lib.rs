//! The lab: three real machines on one, around them a model of EC2, a VPC and the Internet.

pub mod node;
pub mod site;
pub mod world;
