//! The agent awsebs.

fn main() {}
