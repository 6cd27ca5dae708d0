//! A picture before it is written: blocks with lines of text, and arrows, and how they look. Nothing
//! here knows what a cluster is. Lengths are whole pixels; x grows to the right, y grows downwards.

use super::text::{Style, clean, width, wrap};

/// Space between the edge of a block and its text.
pub(super) const PADDING: i32 = 12;

#[derive(Debug, Default)]
pub(super) struct Drawing {
    pub(super) width: i32,
    pub(super) height: i32,
    /// What a screen reader says.
    pub(super) title: String,
    /// A block is drawn over the blocks before it.
    pub(super) blocks: Vec<Block>,
    pub(super) arrows: Vec<Arrow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Area {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: i32,
    pub(super) h: i32,
}

impl Area {
    pub(super) fn right(self) -> i32 {
        self.x + self.w
    }

    pub(super) fn bottom(self) -> i32 {
        self.y + self.h
    }

    /// Half way down.
    pub(super) fn middle(self) -> i32 {
        self.y + self.h / 2
    }
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) frame: Frame,
    pub(super) area: Area,
    /// The whole text in one line, for a screen reader.
    pub(super) name: String,
    /// Each with its baseline, counted from the top of the block.
    pub(super) lines: Vec<(Style, i32, String)>,
}

/// Colour inside, colour, width and dashes of the edge.
pub(super) type Frame = [&'static str; 4];

pub(super) const BARE: Frame = ["none", "none", "0", "none"];
pub(super) const WARNING: Frame = ["#fce8e6", "#c5221f", "2", "none"];
pub(super) const ACTIVE_NODE: Frame = ["#ceead6", "#188038", "2.5", "none"];
pub(super) const STANDBY_NODE: Frame = ["#f1f3f4", "#80868b", "1.5", "none"];
/// Holds the resources of the active node.
pub(super) const TOGETHER: Frame = ["#f0f9f2", "#188038", "2", "7 4"];
pub(super) const RESOURCE: Frame = ["#ffffff", "#1a56b0", "1.5", "none"];
/// A resource that runs on every node.
pub(super) const CLONE: Frame = ["#fff8e6", "#b06000", "1.5", "none"];
pub(super) const FENCING: Frame = ["#f3e8fd", "#7627bb", "1.5", "none"];

/// Paragraphs before they are broken into lines.
pub(super) type Paragraphs = Vec<(Style, String)>;

impl Block {
    /// A block of this width, as high as its text needs. It stands at (0, 0) until it is moved.
    pub(super) fn new(frame: Frame, text: &Paragraphs, w: i32) -> Block {
        let padding = padding(frame);
        let mut lines = Vec::new();
        let mut bottom = padding * 3 / 4;
        for (style, paragraph) in text {
            for line in wrap(paragraph, |line| width(line, *style) <= w - 2 * padding) {
                bottom += style.0 * 7 / 5;
                // Letters such as g reach below the baseline.
                lines.push((*style, bottom - style.0 / 3, line));
            }
        }
        let name: Vec<String> = text.iter().map(|(_, text)| clean(text)).collect();
        let (x, y, h, name) = (0, 0, bottom + padding, name.join(", "));
        let area = Area { x, y, w, h };
        Block {
            frame,
            area,
            name,
            lines,
        }
    }

    /// A block as wide as its longest paragraph, but not wider than this.
    pub(super) fn fitting(frame: Frame, text: &Paragraphs, widest: i32) -> Block {
        let widths = text.iter().map(|(style, text)| width(text, *style));
        let width = widths.max().unwrap_or_default() + 2 * PADDING;
        Block::new(frame, text, width.min(widest))
    }
}

/// Space between the edge of a block and its text.
pub(super) fn padding(frame: Frame) -> i32 {
    if frame == BARE { 0 } else { PADDING }
}

/// An arrow through points. Its head is at the last point.
pub(super) type Arrow = (Stroke, Vec<(i32, i32)>);

/// Name, colour and width of an arrow.
pub(super) type Stroke = [&'static str; 3];

/// From a resource to the resource that starts after it.
pub(super) const THEN_STARTS: Stroke = ["then-starts", "#1a56b0", "2"];
/// From a node to the resources that run on it.
pub(super) const RUNS: Stroke = ["runs", "#188038", "3"];
