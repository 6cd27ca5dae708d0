//! The cluster as a picture for a runbook: what it consists of is placed in `layout.rs` (what
//! starts after what in `order.rs` and `inside.rs`), and written as SVG in `svg.rs`.

mod inside;
mod layout;
mod order;
mod picture;
mod svg;
mod text;
mod words;

use super::Error;
use crate::cluster::Cluster;
use crate::site::Site;

/// The picture, as one SVG document that needs nothing else: no script, no style sheet, no
/// font but one of the reader's. The same site gives the same bytes.
///
/// It shows the nodes, what runs on the active one and starts after what, the replicated data
/// where there is any, and what fences a lost node. Which node is active is Pacemaker's
/// decision; the picture takes the first.
///
/// # Errors
/// None in practice: it writes into memory.
pub fn graph(site: &Site, cluster: &Cluster) -> Result<String, Error> {
    Ok(svg::svg(&layout::picture(site, cluster))?)
}

#[cfg(test)]
mod tests;
