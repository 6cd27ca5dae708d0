//! The page from top to bottom: title, warnings, nodes, resources of the active node, other resources,
//! fencing, legend.

use super::drawing::*;
use super::text::{ALARM, HEADING, PLAIN, SMALL, TITLE};
use super::tree_layout::{self, GAP};
use super::{block_text, start_order};
use crate::cluster::{Cluster, ConstraintKind, Resource};
use crate::render::heading;
use crate::site::{Place, Site};

const MARGIN: i32 = 28;
/// Left end of the blocks. The arrow from the active node runs between the margin and this.
const LEFT: i32 = 56;
const SECTION: i32 = 26;
const NARROWEST: i32 = 860;
/// The widest block in the tree of resources.
const WIDEST: i32 = 300;
/// The widest block outside the tree.
const WIDEST_OUTSIDE: i32 = 440;

/// The page so far, and where its next section begins.
struct Page<'a> {
    cluster: &'a Cluster,
    y: i32,
    width: i32,
    drawing: Drawing,
}

pub(super) fn drawing(site: &Site, cluster: &Cluster) -> Drawing {
    let bound = start_order::bound(cluster);
    let pairs = start_order::pairs(cluster, &bound);
    let resource = |r: &&Resource| Block::fitting(RESOURCE, &block_text::resource(r), WIDEST);
    let mut tree: Vec<Block> = bound.iter().map(resource).collect();
    let tree_width = tree_layout::place(&mut tree, &pairs);
    let width = NARROWEST.max(tree_width + 2 * PADDING) + GAP;
    // A row of two to four nodes fills it to the pixel.
    let width = (width + 11) / 12 * 12 - GAP;
    let mut page = Page {
        cluster,
        y: MARGIN,
        width,
        drawing: Drawing::default(),
    };
    page.title(site);
    for warning in &cluster.warnings {
        page.block(WARNING, &vec![(ALARM, warning.clone())], SECTION);
    }
    let active = page.nodes(site);
    for resource in &cluster.resources {
        if let Resource::Promotable(clone) = resource {
            page.block(CLONE, &block_text::clone(clone, cluster), SECTION);
        }
    }
    let frame = page.together(tree, &pairs, tree_width);
    let (x, from, to) = (LEFT - 22, active.middle(), frame.y + 2 * PADDING);
    page.arrow(RUNS, vec![(LEFT, from), (x, from), (x, to), (LEFT, to)]);
    page.other_resources(&bound);
    page.fencing();
    let legend = "Pacemaker chooses the active node; this picture shows the first node as active. A \
        blue arrow leads to the resource that starts next. Resources stop in the opposite order.";
    page.block(BARE, &vec![(SMALL, legend.to_owned())], MARGIN);
    Drawing {
        width: LEFT + width + MARGIN,
        height: page.y,
        title: format!("{}: the cluster of a PortSIP PBX", cluster.corosync.name),
        ..page.drawing
    }
}

impl Page<'_> {
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

    /// A block over the whole width.
    fn block(&mut self, frame: Frame, text: &Paragraphs, space: i32) {
        self.row(vec![Block::new(frame, text, self.width)], space);
    }

    fn arrow(&mut self, stroke: Stroke, points: Vec<(i32, i32)>) {
        self.drawing.arrows.push((stroke, points));
    }

    fn title(&mut self, site: &Site) {
        let place = match &site.place {
            Place::Aws(aws) => {
                (aws.region.as_ref()).map_or("EC2".to_owned(), |r| format!("EC2, {r}"))
            }
            Place::Lan(_) => "a LAN".to_owned(),
        };
        let (image, count) = (&site.pbx.image, site.nodes.len());
        let about = format!(
            "PortSIP PBX {image} on {count} nodes, {place}. {}.",
            heading()
        );
        let name = self.cluster.corosync.name.to_owned();
        self.block(BARE, &vec![(TITLE, name), (PLAIN, about)], SECTION);
    }

    /// The nodes, all of one size, in rows of at most four. Returns where the active node stands.
    fn nodes(&mut self, site: &Site) -> Area {
        let texts = block_text::nodes(site, self.cluster);
        let rows = texts.len().div_ceil(4).max(1);
        let in_a_row = i32::try_from(texts.len().div_ceil(rows)).unwrap_or(1);
        let width = (self.width + GAP) / in_a_row.max(1) - GAP;
        let node = |text| Block::new(STANDBY_NODE, text, width);
        let mut nodes: Vec<Block> = texts.iter().map(node).collect();
        let height = nodes.iter().map(|node| node.area.h).max();
        for node in &mut nodes {
            node.area.h = height.unwrap_or_default();
        }
        let active = self.drawing.blocks.len();
        self.row(nodes, SECTION);
        self.drawing.blocks[active].frame = ACTIVE_NODE;
        self.drawing.blocks[active].area
    }

    /// A frame with the tree of resources that run on the active node. Returns where it stands.
    fn together(&mut self, tree: Vec<Block>, pairs: &[tree_layout::Pair], tree_width: i32) -> Area {
        let mut text = vec![(HEADING, "Together on the active node".to_owned())];
        let mut constraints = self.cluster.constraints.iter();
        let together = constraints.find(|c| c.kind == ConstraintKind::Together);
        text.extend(together.map(|c| (SMALL, format!("{}: {}", c.id, c.why))));
        let mut frame = Block::new(TOGETHER, &text, self.width);
        let top = self.y + frame.area.h + PADDING / 2;
        let bottom = tree.iter().map(|block| block.area.bottom()).max();
        frame.area.h += bottom.unwrap_or_default() + 2 * PADDING;
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
            self.arrow(THEN_STARTS, points);
        }
        frame
    }

    fn section(&mut self, title: &str, blocks: Vec<Block>) {
        self.block(BARE, &vec![(HEADING, title.to_owned())], PADDING / 2);
        self.row(blocks, SECTION);
    }

    /// Resources that no mandatory constraint names.
    fn other_resources(&mut self, bound: &[&Resource]) {
        let other = |r: &&Resource| !bound.contains(r) && !block_text::is_fencing(r.primitive());
        let mut blocks = Vec::new();
        for resource in self.cluster.resources.iter().filter(other) {
            let mut text = block_text::resource(resource);
            let constraints = self.cluster.constraints.iter();
            for near in constraints.filter(|c| start_order::names(c, resource.id())) {
                let last = near.sets.last().and_then(|set| set.resources.last());
                if let (ConstraintKind::Near { score }, Some(with)) = (near.kind, last) {
                    text.push((PLAIN, format!("prefers the node of {with} (score {score})")));
                }
            }
            blocks.push(Block::fitting(RESOURCE, &text, WIDEST_OUTSIDE));
        }
        if !blocks.is_empty() {
            self.section("Other resources: no resource waits for them", blocks);
        }
    }

    fn fencing(&mut self) {
        let text = block_text::fencing(self.cluster);
        let block = |text| Block::fitting(FENCING, text, WIDEST_OUTSIDE);
        let mut blocks: Vec<Block> = text.iter().map(block).collect();
        if blocks.is_empty() {
            let risk = "nothing turns a lost node off before another node takes over";
            let text = vec![(HEADING, "none".to_owned()), (ALARM, risk.to_owned())];
            blocks.push(Block::fitting(WARNING, &text, WIDEST_OUTSIDE));
        }
        self.section("Fencing", blocks);
    }
}
