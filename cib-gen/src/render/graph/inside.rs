//! Where resources stand in the frame of what moves together: the columns of `order.rs`, as
//! wide as their text.

use super::layout::{GAP, WIDEST};
use super::order::{Chart, Item};
use super::picture::{Area, Block, Look, PAD, Paragraphs, natural};
use super::words::resource_text;
use crate::cluster::Cluster;

/// Between two columns, for the arrows.
const ARROW: i32 = 64;
/// The height of an arrow that passes a column.
const PASSING: i32 = 8;

/// The chart's blocks, placed from (0, 0) on, and the middles of its items.
pub(super) struct Inside {
    pub(super) area: Area,
    /// By item; none for an arrow that passes.
    pub(super) blocks: Vec<Option<Block>>,
    pub(super) middles: Vec<i32>,
    /// Left and right edge of each column.
    pub(super) edges: Vec<(i32, i32)>,
}

impl Inside {
    /// Places them.
    pub(super) fn of(chart: &Chart<'_>, cluster: &Cluster) -> Inside {
        let texts: Vec<Option<Paragraphs>> = (chart.items.iter())
            .map(|item| match item {
                Item::Resource(id) => {
                    let resource = cluster.resources.iter().find(|r| r.id() == *id)?;
                    Some(resource_text(resource))
                }
                Item::Passing => None,
            })
            .collect();
        let mut edges = Vec::new();
        let mut blocks = vec![None; chart.items.len()];
        let mut left = 0;
        for column in &chart.columns {
            let widest = column
                .iter()
                .filter_map(|&n| texts[n].as_ref())
                .map(natural);
            let width = (widest.max().unwrap_or_default() + 2 * PAD).min(WIDEST);
            edges.push((left, left + width));
            for &item in column {
                if let Some(text) = &texts[item] {
                    blocks[item] = Some(Block::new(Look::Resource, text, left, 0, width));
                }
            }
            left += width + ARROW;
        }
        let height = |block: &Option<Block>| block.as_ref().map_or(PASSING, |b| b.area.h);
        let heights: Vec<i32> = blocks.iter().map(height).collect();
        let middles = chart.middles(&heights, GAP);
        for (block, middle) in blocks.iter_mut().zip(&middles) {
            if let Some(block) = block {
                block.shift(0, middle - block.area.h / 2);
            }
        }
        let bottoms = middles.iter().zip(&heights).map(|(m, h)| m + h - h / 2);
        Inside {
            area: Area {
                x: 0,
                y: 0,
                w: left - ARROW,
                h: bottoms.max().unwrap_or_default(),
            },
            blocks,
            middles,
            edges,
        }
    }
}
