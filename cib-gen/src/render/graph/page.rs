//! The page from top to bottom: title, warnings, nodes, resources of the active node, other resources,
//! fencing, legend.

use super::drawing::Style::{Heading, Plain, Small, Title};
use super::drawing::{Area, Arrow, ArrowKind, Block, BlockKind, Drawing, PADDING, Paragraphs};
use super::tree_layout::{self, GAP};
use super::{block_text, start_order};
use crate::cluster::{Cluster, ConstraintKind, Resource};
use crate::render::heading;
use crate::site::{Place, Site};

/// Space around the page.
const MARGIN: i32 = 28;
/// Left end of the blocks. The arrow from the active node runs between the margin and this.
const LEFT: i32 = 56;
/// Space between sections.
const SECTION: i32 = 26;
/// The narrowest page.
const NARROWEST: i32 = 860;
/// The widest block of a node or of a resource in the tree.
const WIDEST: i32 = 300;
/// The widest block outside the tree.
const WIDEST_OUTSIDE: i32 = 440;

/// The page so far, and where its next section begins.
struct Page {
    y: i32,
    width: i32,
    drawing: Drawing,
}

/// The picture of a cluster.
pub(super) fn drawing(site: &Site, cluster: &Cluster) -> Drawing {
    let bound = start_order::bound(cluster);
    let pairs = start_order::pairs(cluster, &bound);
    let resource =
        |r: &&Resource| Block::fitting(BlockKind::Resource, &block_text::resource(r), WIDEST);
    let mut tree: Vec<Block> = bound.iter().map(resource).collect();
    let tree_width = tree_layout::place(&mut tree, &pairs);

    let width = NARROWEST.max(tree_width + 2 * PADDING);
    let nodes = nodes(site, cluster, width);
    let title = format!("{}: the cluster of a PortSIP PBX", cluster.corosync.name);
    let (blocks, arrows, height) = (Vec::new(), Vec::new(), 0);
    let mut page = Page {
        y: MARGIN,
        width,
        drawing: Drawing {
            width: LEFT + width + MARGIN,
            height,
            title,
            blocks,
            arrows,
        },
    };
    page.title(site, cluster);
    for warning in &cluster.warnings {
        let text = vec![(Plain, warning.clone())];
        page.row(vec![Block::new(BlockKind::Warning, &text, width)], SECTION);
    }
    let active = page.drawing.blocks.len();
    page.row(nodes, SECTION);
    let active = page.drawing.blocks[active].area;
    for resource in &cluster.resources {
        if let Resource::Promotable(clone) = resource {
            let text = block_text::clone(clone, cluster);
            page.row(vec![Block::new(BlockKind::Clone, &text, width)], SECTION);
        }
    }
    page.together(cluster, active, tree, &pairs, tree_width);
    page.other_resources(cluster, &bound);
    page.fencing(cluster);
    page.legend();
    page.drawing.height = page.y + MARGIN;
    page.drawing
}

/// A block for each node, all of one size, that fill rows of this width.
fn nodes(site: &Site, cluster: &Cluster, width: i32) -> Vec<Block> {
    let nodes = block_text::nodes(site, cluster);
    let node = |(n, text): (usize, &Paragraphs), widest| match n {
        0 => Block::fitting(BlockKind::ActiveNode, text, widest),
        _ => Block::fitting(BlockKind::StandbyNode, text, widest),
    };
    let mut blocks: Vec<Block> = nodes.iter().enumerate().map(|n| node(n, WIDEST)).collect();
    let max = |side: fn(&Area) -> i32| blocks.iter().map(|b| side(&b.area)).max().unwrap_or(1);
    let (w, h) = (max(|area| area.w), max(|area| area.h));
    let in_a_row = usize::try_from((width + GAP) / (w + GAP)).unwrap_or(1);
    let rows = blocks.len().div_ceil(in_a_row.max(1));
    let in_a_row = i32::try_from(blocks.len().div_ceil(rows.max(1))).unwrap_or(1);
    for block in &mut blocks {
        block.area.w = (width + GAP) / in_a_row.max(1) - GAP;
        block.area.h = h;
    }
    blocks
}

impl Page {
    /// Places a block, and returns where it stands.
    fn place(&mut self, mut block: Block, x: i32, y: i32) -> Area {
        (block.area.x, block.area.y) = (x, y);
        let area = block.area;
        self.drawing.blocks.push(block);
        area
    }

    /// Places blocks from left to right, in as many rows as they need, with space below.
    fn row(&mut self, blocks: Vec<Block>, space: i32) {
        let (mut x, mut bottom) = (LEFT, self.y);
        for block in blocks {
            if x > LEFT && x + block.area.w > LEFT + self.width {
                (x, self.y) = (LEFT, bottom + GAP);
            }
            let area = self.place(block, x, self.y);
            x = area.right() + GAP;
            bottom = bottom.max(area.bottom());
        }
        self.y = bottom + space;
    }

    /// Text over the whole width.
    fn text(&mut self, text: &Paragraphs, space: i32) {
        self.row(vec![Block::new(BlockKind::Bare, text, self.width)], space);
    }

    fn arrow(&mut self, kind: ArrowKind, points: Vec<(i32, i32)>) {
        self.drawing.arrows.push(Arrow { kind, points });
    }

    fn title(&mut self, site: &Site, cluster: &Cluster) {
        let place = match &site.place {
            Place::Aws(aws) => match &aws.region {
                Some(region) => format!("EC2, {region}"),
                None => "EC2".to_owned(),
            },
            Place::Lan(_) => "a LAN".to_owned(),
        };
        let (image, count) = (&site.pbx.image, site.nodes.len());
        let about = format!(
            "PortSIP PBX {image} on {count} nodes, {place}. {}.",
            heading()
        );
        let name = cluster.corosync.name.to_owned();
        self.text(&vec![(Title, name), (Plain, about)], SECTION);
    }

    /// A frame with the tree of resources that run on the active node, and the arrow from that node.
    fn together(
        &mut self,
        cluster: &Cluster,
        active: Area,
        tree: Vec<Block>,
        pairs: &[tree_layout::Pair],
        tree_width: i32,
    ) {
        let mut text = vec![(Heading, "Together on the active node".to_owned())];
        let mut constraints = cluster.constraints.iter();
        let together = constraints.find(|c| c.kind == ConstraintKind::Together);
        text.extend(together.map(|c| (Small, format!("{}: {}", c.id, c.why))));
        let mut frame = Block::new(BlockKind::Together, &text, self.width);
        let top = self.y + frame.area.h;
        let bottom = tree.iter().map(|block| block.area.bottom()).max();
        frame.area.h += bottom.unwrap_or_default() + PADDING;
        let frame = self.place(frame, LEFT, self.y);
        self.y = frame.bottom() + SECTION;

        let left = LEFT + (self.width - tree_width) / 2;
        let mut areas = Vec::new();
        for block in tree {
            let Area { x, y, .. } = block.area;
            areas.push(self.place(block, left + x, top + y));
        }
        for &(from, to) in pairs {
            let (from, to) = (areas[from], areas[to]);
            let points = vec![(from.right(), from.middle()), (to.x, to.middle())];
            self.arrow(ArrowKind::ThenStarts, points);
        }
        let (x, from, to) = (LEFT - 22, active.middle(), frame.y + 2 * PADDING);
        let points = vec![(LEFT, from), (x, from), (x, to), (LEFT, to)];
        self.arrow(ArrowKind::Runs, points);
    }

    /// A heading, and blocks below it.
    fn section(&mut self, title: &str, blocks: Vec<Block>) {
        self.text(&vec![(Heading, title.to_owned())], PADDING / 2);
        self.row(blocks, SECTION);
    }

    /// Resources that no mandatory constraint names.
    fn other_resources(&mut self, cluster: &Cluster, bound: &[&Resource]) {
        let mut blocks = Vec::new();
        for resource in &cluster.resources {
            if bound.contains(&resource) || block_text::is_fencing(resource.primitive()) {
                continue;
            }
            let mut text = block_text::resource(resource);
            let constraints = cluster.constraints.iter();
            for near in constraints.filter(|c| start_order::names(c, resource.id())) {
                let last = near.sets.last().and_then(|set| set.resources.last());
                if let (ConstraintKind::Near { score }, Some(with)) = (near.kind, last) {
                    text.push((Plain, format!("prefers the node of {with} (score {score})")));
                }
            }
            blocks.push(Block::fitting(BlockKind::Resource, &text, WIDEST_OUTSIDE));
        }
        if !blocks.is_empty() {
            self.section("Other resources: no resource waits for them", blocks);
        }
    }

    fn fencing(&mut self, cluster: &Cluster) {
        let devices = cluster.primitives().filter(|p| block_text::is_fencing(p));
        let devices = devices.map(|device| block_text::fencing_device(device, cluster));
        let watchdog = cluster.corosync.watchdog.iter();
        let watchdog = watchdog.map(|watchdog| block_text::watchdog(watchdog, cluster));
        let block = |text| Block::fitting(BlockKind::Fencing, &text, WIDEST_OUTSIDE);
        let mut blocks: Vec<Block> = devices.chain(watchdog).map(block).collect();
        if blocks.is_empty() {
            let risk = "nothing turns a lost node off before another node takes over";
            let text = vec![(Heading, "none".to_owned()), (Plain, risk.to_owned())];
            blocks.push(Block::fitting(BlockKind::Warning, &text, WIDEST_OUTSIDE));
        }
        self.section("Fencing", blocks);
    }

    fn legend(&mut self) {
        let text = "Pacemaker chooses the active node; this picture shows the first node as active. \
            A blue arrow leads to the resource that starts next. Resources stop in the opposite order.";
        self.text(&vec![(Small, text.to_owned())], 0);
    }
}
