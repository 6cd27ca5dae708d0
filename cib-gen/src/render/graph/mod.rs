//! `--format graph`: the cluster as an SVG picture for a runbook. `page.rs` places the sections from
//! top to bottom with texts from `block_text.rs`; `start_order.rs` says which resource starts after
//! which. The rest knows nothing of clusters and serves any picture: `tree_layout.rs` places blocks in
//! columns, `drawing.rs` and `text.rs` have what it consists of, `svg.rs` writes it.

mod block_text;
mod drawing;
mod page;
mod start_order;
mod svg;
mod text;
mod tree_layout;

use crate::cluster::Cluster;
use crate::site::Site;

/// The picture as one SVG document without scripts, style sheets, or anything from elsewhere. The same
/// site gives the same bytes.
///
/// It shows the nodes, the resources and what starts after what, the replicated data, and fencing.
/// Pacemaker chooses the active node; the picture shows the first node as active.
pub fn graph(site: &Site, cluster: &Cluster) -> String {
    svg::svg(&page::drawing(site, cluster))
}

#[cfg(test)]
mod tests;
