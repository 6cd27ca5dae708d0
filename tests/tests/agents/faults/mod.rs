//! The fault table: what each action of each agent answers under each fault. The tests here
//! call the real binaries, and what they saw is the table in docs/faults.md.

#[allow(dead_code)] // until the sections are there
mod table;
