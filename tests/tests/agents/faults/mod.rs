//! The fault table: what each action of each agent answers under each fault. The tests here
//! call the real binaries, and what they saw is the table in docs/faults.md.

mod answers;
mod containers;
mod docker;
mod ec2;
mod leftovers;
mod made_for;
mod metadata;
mod network;
mod pbx;
mod repair;
mod scenario;
mod table;
mod users;
mod volume;
