//! What is known of a running cluster, as its own tools say it, and what follows from that for an operator. Pure:
//! what is asked is in `crate::commands`.

pub mod configuration;
pub mod facts;
mod lost;
pub mod notices;
pub mod quantities;
pub mod state;
mod takeover;
mod versions;

pub use configuration::{Begin, Configuration};
pub use facts::Facts;
pub use lost::{LostSince, lost_since};
pub use notices::{Level, Notice};
pub use state::State;
pub use versions::difference;
