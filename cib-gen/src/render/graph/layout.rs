//! Places everything: title, warnings, nodes, the copies on every node, what moves together,
//! what stands beside, fencing, legend. From the top to the bottom, in this order.

use super::inside::Inside;
use super::order::{Chart, Item, chart};
use super::picture::{
    Area, Arrow, Block, Kind, Look, PAD, Paragraphs, Picture, Style, Text, lines, natural,
};
use super::words;
use crate::cluster::{Cluster, ConstraintKind, Promotable, Resource};
use crate::render::{agent_name, heading};
use crate::site::{Place, Site};

/// Around the picture.
const MARGIN: i32 = 28;
/// Left of all blocks, for the line from the active node.
const GUTTER: i32 = 28;
/// Between neighbours.
pub(super) const GAP: i32 = 16;
/// Between sections.
const SECTION: i32 = 26;
/// The widest that a block is made for a long text; that is broken then.
pub(super) const WIDEST: i32 = 300;
/// The same for a block that stands alone.
const WIDEST_ALONE: i32 = 440;
/// The narrowest page: the legend's width.
const NARROWEST: i32 = 860;
/// More nodes than these stand in two rows.
const ROW: usize = 5;

/// The picture of a cluster.
pub(super) fn picture(site: &Site, cluster: &Cluster) -> Picture {
    let chart = chart(cluster);
    let inside = Inside::of(&chart, cluster);
    let nodes = words::nodes(site, cluster);
    let per_row = match nodes.len() {
        n if n <= ROW => n,
        n => n.div_ceil(2),
    };
    let widest_node = nodes.iter().map(natural).max().unwrap_or_default();
    let widest_node = (widest_node + 4 * PAD).min(WIDEST);
    let columns = i32::try_from(per_row).unwrap_or(1);
    let across = columns * (widest_node + GAP);
    let width = across.max((inside.area.w + 2 * PAD).max(NARROWEST) + GAP);
    // Nodes of whole pixels fill it.
    let width = (width + columns - 1) / columns * columns - GAP;
    let mut page = Page {
        x: MARGIN + GUTTER,
        y: MARGIN,
        width,
        picture: Picture {
            width: MARGIN + GUTTER + width + MARGIN,
            height: 0,
            title: format!("{}: the cluster of a PortSIP PBX", cluster.corosync.name),
            blocks: Vec::new(),
            arrows: Vec::new(),
            texts: Vec::new(),
        },
    };
    page.title(site, cluster);
    for warning in &cluster.warnings {
        page.block(Look::Warning, &vec![(Style::Plain, warning.clone())]);
    }
    let active = page.nodes(&nodes, per_row, cluster);
    let together = page.together(cluster, &chart, inside);
    page.runs(active, together);
    page.beside(cluster, &chart);
    page.fencing(cluster);
    page.legend(cluster);
    page.picture.height = page.y - SECTION + MARGIN;
    page.picture
}

/// The picture so far, and where it goes on.
struct Page {
    x: i32,
    y: i32,
    width: i32,
    picture: Picture,
}

impl Page {
    fn text(&mut self, paragraphs: &Paragraphs) {
        let (texts, bottom) = lines(paragraphs, self.x, self.y, self.width);
        self.picture.texts.extend(texts);
        self.y = bottom;
    }

    /// A block over the whole width, a section of its own.
    fn block(&mut self, look: Look, paragraphs: &Paragraphs) {
        let block = Block::new(look, paragraphs, self.x, self.y, self.width);
        self.y = block.area.bottom() + SECTION;
        self.picture.blocks.push(block);
    }

    fn title(&mut self, site: &Site, cluster: &Cluster) {
        let place = match &site.place {
            Place::Aws(aws) => match &aws.region {
                Some(region) => format!("EC2, {region}"),
                None => "EC2".to_owned(),
            },
            Place::Lan(_) => "a LAN".to_owned(),
        };
        let count = site.nodes.len();
        self.text(&vec![
            (Style::Title, cluster.corosync.name.to_owned()),
            (
                Style::Plain,
                format!(
                    "PortSIP PBX {} on {count} nodes, {place}. {}.",
                    site.pbx.image,
                    heading()
                ),
            ),
        ]);
        self.y += SECTION;
    }

    /// The nodes, each row with the copies that every node has under it. Answers where the
    /// active one is.
    fn nodes(&mut self, nodes: &[Paragraphs], per_row: usize, cluster: &Cluster) -> Area {
        let columns = i32::try_from(per_row).unwrap_or(1);
        let width = (self.width - (columns - 1) * GAP) / columns;
        let mut active = Area::default();
        let clones = cluster.resources.iter().filter_map(|r| match r {
            Resource::Promotable(clone) => Some(clone),
            Resource::Primitive(_) => None,
        });
        let clones: Vec<&Promotable> = clones.collect();
        for (row, texts) in nodes.chunks(per_row).enumerate() {
            let mut blocks: Vec<Block> = Vec::new();
            for (n, text) in texts.iter().enumerate() {
                let look = match (row, n) {
                    (0, 0) => Look::Active,
                    _ => Look::Standby,
                };
                let x = blocks.last().map_or(self.x, |b| b.area.right() + GAP);
                blocks.push(Block::new(look, text, x, self.y, width));
            }
            let height = blocks.iter().map(|b| b.area.h).max().unwrap_or_default();
            for block in &mut blocks {
                block.area.h = height;
            }
            self.y += height;
            let areas: Vec<Area> = blocks.iter().map(|b| b.area).collect();
            if row == 0 {
                active = areas.first().copied().unwrap_or_default();
            }
            self.picture.blocks.extend(blocks);
            for clone in &clones {
                self.y += GAP;
                self.copies(clone, cluster, &areas, row == 0);
            }
            self.y += GAP;
        }
        self.y += SECTION - GAP;
        active
    }

    /// What runs on every node, as a bar under a row of them.
    fn copies(&mut self, clone: &Promotable, cluster: &Cluster, nodes: &[Area], first: bool) {
        let (Some(left), Some(right)) = (nodes.first(), nodes.last()) else {
            return;
        };
        let mut about = agent_name(&clone.primitive.agent);
        if let Some(drbd) = &cluster.drbd {
            about = format!(
                "{about}, {} of {} on {}, replicated to every node",
                drbd.device, drbd.size, drbd.disk
            );
        }
        let text = vec![(Style::Name, clone.id.to_owned()), (Style::Small, about)];
        let width = right.right() - left.x;
        let mut bar = Block::new(Look::Everywhere, &text, left.x, self.y, width);
        let top = bar.area.bottom() - PAD / 2;
        let copies: Vec<Block> = (nodes.iter().enumerate())
            .map(|(n, node)| {
                let (look, state) = match first && n == 0 {
                    true => (Look::Promoted, "promoted: written here"),
                    false => (Look::Copy, "a copy"),
                };
                let text = vec![(Style::Mark, state.to_owned())];
                Block::new(look, &text, node.x + PAD, top, node.w - 2 * PAD)
            })
            .collect();
        let bottom = copies.iter().map(|copy| copy.area.bottom()).max();
        bar.area.h = bottom.unwrap_or(top) + PAD - bar.area.y;
        self.y = bar.area.bottom();
        self.picture.blocks.push(bar);
        self.picture.blocks.extend(copies);
    }

    /// What moves together, and what starts after what. Answers where the frame is.
    fn together(&mut self, cluster: &Cluster, chart: &Chart<'_>, inside: Inside) -> Area {
        let mut constraints = cluster.constraints.iter();
        let why = constraints.find(|c| c.kind == ConstraintKind::Together);
        let mut text = vec![(
            Style::Heading,
            "Moves together, runs on the active node".to_owned(),
        )];
        text.extend(why.map(|c| (Style::Small, format!("{}: {}", c.id, c.why))));
        let mut frame = Block::new(Look::Together, &text, self.x, self.y, self.width);
        let x = self.x + (self.width - inside.area.w) / 2;
        let y = frame.area.bottom() + PAD / 2;
        frame.area.h = y + inside.area.h + PAD + PAD / 2 - frame.area.y;
        let area = frame.area;
        self.y = area.bottom() + SECTION;
        self.picture.blocks.push(frame);

        for way in &chart.arrows {
            let mut points = Vec::new();
            for (n, &item) in way.iter().enumerate() {
                let column = chart.columns.iter().position(|c| c.contains(&item));
                let (left, right) = column.map_or((0, 0), |column| inside.edges[column]);
                let level = y + inside.middles[item];
                // Out of the first, through those between, into the last.
                if n > 0 {
                    points.push((x + left, level));
                }
                if n + 1 < way.len() {
                    points.push((x + right, level));
                }
            }
            self.picture.arrows.push(Arrow {
                kind: Kind::After,
                points,
            });
        }
        for mut block in inside.blocks.into_iter().flatten() {
            block.shift(x, y);
            self.picture.blocks.push(block);
        }
        area
    }

    /// From the active node, left of everything, to what runs on it.
    fn runs(&mut self, active: Area, frame: Area) {
        let x = self.x - GUTTER + PAD / 2;
        let into = frame.y + 2 * PAD;
        self.picture.arrows.push(Arrow {
            kind: Kind::Runs,
            points: vec![
                (active.x, active.middle()),
                (x, active.middle()),
                (x, into),
                (frame.x, into),
            ],
        });
    }

    /// Blocks side by side, in as many rows as they need.
    fn flow(&mut self, blocks: Vec<(Look, Paragraphs)>) {
        let (mut x, mut bottom) = (self.x, self.y);
        for (look, text) in blocks {
            let width = (natural(&text) + 2 * PAD).min(WIDEST_ALONE);
            if x > self.x && x + width > self.x + self.width {
                x = self.x;
                self.y = bottom + GAP;
            }
            let block = Block::new(look, &text, x, self.y, width);
            x = block.area.right() + GAP;
            bottom = bottom.max(block.area.bottom());
            self.picture.blocks.push(block);
        }
        self.y = bottom + SECTION;
    }

    /// Resources that nothing binds firmly.
    fn beside(&mut self, cluster: &Cluster, chart: &Chart<'_>) {
        let bound = |id: &str| chart.items.contains(&Item::Resource(id));
        let free =
            (cluster.resources.iter()).filter(|r| !bound(r.id()) && !words::fences(r.primitive()));
        let blocks: Vec<(Look, Paragraphs)> = free
            .map(|resource| {
                let mut text = words::resource_text(resource);
                let near = cluster.constraints.iter().filter_map(|c| match c.kind {
                    ConstraintKind::Near { score } => {
                        let mut ids = c.sets.iter().flat_map(|set| &set.resources);
                        let with = c.sets.last()?.resources.last()?;
                        let named = ids.any(|id| *id == resource.id());
                        named.then(|| format!("near {with}, if it can be (score {score})"))
                    }
                    ConstraintKind::Together | ConstraintKind::InOrder => None,
                });
                text.extend(near.map(|near| (Style::Plain, near)));
                (Look::Resource, text)
            })
            .collect();
        if !blocks.is_empty() {
            self.text(&vec![(
                Style::Heading,
                "Beside them: nothing waits for it".to_owned(),
            )]);
            self.y += PAD / 2;
            self.flow(blocks);
        }
    }

    /// What becomes of a lost node.
    fn fencing(&mut self, cluster: &Cluster) {
        let devices = cluster.primitives().filter(|p| words::fences(p));
        let mut blocks: Vec<(Look, Paragraphs)> = devices
            .map(|device| (Look::Fencing, words::device_text(device, cluster)))
            .collect();
        if let Some(watchdog) = &cluster.corosync.watchdog {
            let text = words::watchdog_text(watchdog, cluster);
            blocks.push((Look::Fencing, text));
        }
        if blocks.is_empty() {
            let text = "nothing turns a lost node off before its work is taken over";
            blocks.push((
                Look::Warning,
                vec![
                    (Style::Name, "none".to_owned()),
                    (Style::Plain, text.to_owned()),
                ],
            ));
        }
        self.text(&vec![(Style::Heading, "Fencing".to_owned())]);
        self.y += PAD / 2;
        self.flow(blocks);
    }

    fn legend(&mut self, cluster: &Cluster) {
        let copies = cluster.drbd.is_some();
        let mut text =
            "Which node is active is Pacemaker's decision; the picture takes the first. \
                        An arrow leads from what starts first to what starts after it; all stops \
                        in the opposite order."
                .to_owned();
        if copies {
            text.push_str(
                " The data is promoted on the active node, and only there it is written.",
            );
        }
        self.text(&vec![(Style::Small, text)]);
        self.y += GAP;
        let mut samples = vec![
            (Look::Active, "active node"),
            (Look::Standby, "standby"),
            (Look::Resource, "resource"),
        ];
        if copies {
            samples.extend([(Look::Promoted, "promoted"), (Look::Copy, "copy")]);
        }
        samples.push((Look::Together, "moves together"));
        if cluster.primitives().any(words::fences) || cluster.corosync.watchdog.is_some() {
            samples.push((Look::Fencing, "fencing"));
        }
        let mut x = self.x;
        for (look, name) in samples {
            let area = Area {
                x,
                y: self.y,
                w: 26,
                h: 16,
            };
            self.picture.blocks.push(Block {
                look,
                area,
                name: name.to_owned(),
                texts: Vec::new(),
            });
            self.label(area.right() + 6, name);
            x = area.right() + 6 + Style::Small.width(name) + 20;
        }
        let level = self.y + 8;
        self.picture.arrows.push(Arrow {
            kind: Kind::After,
            points: vec![(x, level), (x + 34, level)],
        });
        self.label(x + 40, "then starts");
        self.y += 16 + SECTION;
    }

    fn label(&mut self, x: i32, text: &str) {
        self.picture.texts.push(Text {
            style: Style::Small,
            x,
            y: self.y + 12,
            text: text.to_owned(),
        });
    }
}
