//! `lab`: the command for people.
fn main() {}
