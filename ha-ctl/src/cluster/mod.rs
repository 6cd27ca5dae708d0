//! What is known of a running cluster, as its own tools say it, and what follows from that for an operator. Pure:
//! what is asked is in `crate::commands`.

pub mod configuration;
pub mod facts;
pub mod notices;
pub mod state;

pub use configuration::Configuration;
pub use facts::Facts;
pub use notices::{Level, Notice};
pub use state::State;
