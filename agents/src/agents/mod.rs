//! The agents. Each has a folder or file of its own and a binary of its own name.

mod address;
pub mod awsebs;
pub mod awseip;
pub mod awsipsrcaddr;
pub mod awsvip;
pub mod pbx;
