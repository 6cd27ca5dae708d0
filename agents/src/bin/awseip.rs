//! The agent awseip.

fn main() {}
