//! `lab`: the command for people.
fn main() {
    match lab::image::node_rootfs() {
        Ok(path) => println!("{}", path.display()),
        Err(e) => eprintln!("lab: {e}"),
    }
}
