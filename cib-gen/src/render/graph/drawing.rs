//! A picture before it is written: blocks with lines of text, and arrows. Nothing here knows what a
//! cluster is. Lengths are whole pixels; x grows to the right, y grows downwards.

use super::text_width::{clean, width, wrap};

/// Space between the edge of a block and its text.
pub(super) const PADDING: i32 = 12;

/// A picture.
#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) width: i32,
    pub(super) height: i32,
    /// What a screen reader says.
    pub(super) title: String,
    /// A block is drawn over the blocks before it.
    pub(super) blocks: Vec<Block>,
    pub(super) arrows: Vec<Arrow>,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What a block stands for. `svg.rs` has the colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Text without a frame.
    Bare,
    Warning,
    ActiveNode,
    StandbyNode,
    /// Frame around the resources of the active node.
    Together,
    Resource,
    /// A resource that runs on every node.
    Clone,
    Fencing,
}

/// A block. Its lines are placed from its top left corner.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    pub(super) area: Area,
    /// The whole text in one line, for a screen reader.
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
}

/// A line of text: `x` is its left end, `y` its baseline.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) style: Style,
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) text: String,
}

/// Size and weight of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Title,
    /// The name of a section, a node or a resource.
    Heading,
    Plain,
    Small,
    /// The state of a node or a resource.
    State,
}

impl Style {
    pub(super) fn size(self) -> i32 {
        match self {
            Style::Title => 22,
            Style::Heading => 14,
            Style::Plain => 12,
            Style::Small | Style::State => 11,
        }
    }

    pub(super) fn bold(self) -> bool {
        !matches!(self, Style::Plain | Style::Small)
    }

    /// The width of a text in one line.
    pub(super) fn width(self, text: &str) -> i32 {
        width(text, self.size(), self.bold())
    }
}

/// Text before it is broken into lines.
pub(super) type Paragraphs = Vec<(Style, String)>;

impl Block {
    /// A block of this width, as high as its text needs. It stands at (0, 0) until it is moved.
    pub(super) fn new(kind: BlockKind, text: &Paragraphs, width: i32) -> Block {
        let padding = if kind == BlockKind::Bare { 0 } else { PADDING };
        let mut lines = Vec::new();
        let mut bottom = padding * 3 / 4;
        for (style, paragraph) in text {
            let size = style.size();
            for text in wrap(paragraph, width - 2 * padding, size, style.bold()) {
                bottom += size * 7 / 5;
                // Letters such as g reach below the baseline.
                let (x, y, style) = (padding, bottom - size / 3, *style);
                lines.push(Line { style, x, y, text });
            }
        }
        let (x, y, w, h) = (0, 0, width, bottom + padding);
        let name: Vec<String> = text.iter().map(|(_, text)| clean(text)).collect();
        Block {
            kind,
            area: Area { x, y, w, h },
            name: name.join(", "),
            lines,
        }
    }

    /// A block as wide as its longest paragraph, but not wider than this.
    pub(super) fn fitting(kind: BlockKind, text: &Paragraphs, widest: i32) -> Block {
        let widths = text.iter().map(|(style, text)| style.width(text));
        let width = widths.max().unwrap_or_default() + 2 * PADDING;
        Block::new(kind, text, width.min(widest))
    }
}

/// An arrow. Its head is at the last point.
#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) kind: ArrowKind,
    pub(super) points: Vec<(i32, i32)>,
}

/// What an arrow says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrowKind {
    /// From a resource to the resource that starts after it. Curved.
    ThenStarts,
    /// From a node to the resources that run on it. Straight from point to point.
    Runs,
}
