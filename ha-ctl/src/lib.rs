//! ha-ctl: what an operator does with the cluster, from any of its nodes or from another machine.
//!
//! A verb is a file in [`verbs`]. It reaches nodes by [`reach`], runs there what [`commands`] builds, and judges
//! what comes back by [`cluster`]. Whatever changes something goes through [`run::Run::change`], which a dry run
//! only collects.

pub mod caller;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod deploy;
pub mod drbd;
pub mod exit;
pub mod extend;
pub mod grow;
pub mod hand_on;
pub mod inventory;
pub mod lock;
pub mod log;
pub mod output;
pub mod reach;
pub mod run;
pub mod steps;
pub mod update;
pub mod verbs;
