//! What a picture is made of: blocks with lines of text, and arrows between them. All lengths
//! are whole pixels, from the top left corner.

use super::text::{clean, width, wrap};

/// A picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: i32,
    pub(super) height: i32,
    /// What it shows, for a reader that can not show it.
    pub(super) title: String,
    /// Those that hold others come before them.
    pub(super) blocks: Vec<Block>,
    pub(super) arrows: Vec<Arrow>,
    /// Text outside all blocks.
    pub(super) texts: Vec<Text>,
}

/// What a block stands for, and so how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Warning,
    Active,
    Standby,
    /// Holds what moves together.
    Together,
    Resource,
    /// Holds the copies of what runs on every node.
    Everywhere,
    Promoted,
    Copy,
    Fencing,
}

/// A rectangle.
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

    pub(super) fn middle(self) -> i32 {
        self.y + self.h / 2
    }
}

/// A block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) look: Look,
    pub(super) area: Area,
    /// All that is written in it, unbroken.
    pub(super) name: String,
    pub(super) texts: Vec<Text>,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Title,
    /// The first line of a section or of what holds others.
    Heading,
    /// A name that Pacemaker knows.
    Name,
    Plain,
    Small,
    /// A word on the state.
    Mark,
}

impl Style {
    pub(super) fn size(self) -> i32 {
        match self {
            Style::Title => 22,
            Style::Heading => 15,
            Style::Name => 14,
            Style::Plain => 12,
            Style::Small | Style::Mark => 11,
        }
    }

    pub(super) fn bold(self) -> bool {
        matches!(
            self,
            Style::Title | Style::Heading | Style::Name | Style::Mark
        )
    }

    /// From one baseline to the next.
    fn leading(self) -> i32 {
        self.size() * 7 / 5
    }

    pub(super) fn width(self, text: &str) -> i32 {
        width(text, self.size(), self.bold())
    }
}

/// A line of text; `x` is its left end and `y` its baseline.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) style: Style,
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) text: String,
}

/// A line with a head at its end.
#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) kind: Kind,
    /// The points that it goes through.
    pub(super) points: Vec<(i32, i32)>,
}

/// What an arrow says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What it points at starts after what it comes from. Bent between two points, unless they
    /// are level.
    After,
    /// What it points at runs on what it comes from. Straight between two points.
    Runs,
}

/// From a block's edge to its text.
pub(super) const PAD: i32 = 12;

/// Text before it has a place.
pub(super) type Paragraphs = Vec<(Style, String)>;

/// The width of the widest paragraph in one line.
pub(super) fn natural(paragraphs: &Paragraphs) -> i32 {
    let widths = paragraphs.iter().map(|(style, text)| style.width(text));
    widths.max().unwrap_or_default()
}

/// Lines of text one under the other, no wider than `room`, and where the last ends.
pub(super) fn lines(paragraphs: &Paragraphs, x: i32, y: i32, room: i32) -> (Vec<Text>, i32) {
    let mut texts = Vec::new();
    let mut bottom = y;
    for (style, paragraph) in paragraphs {
        for text in wrap(&clean(paragraph), room, style.size(), style.bold()) {
            texts.push(Text {
                style: *style,
                x,
                // Letters reach a fifth of their size below the baseline.
                y: bottom + style.leading() - style.size() / 4,
                text,
            });
            bottom += style.leading();
        }
    }
    (texts, bottom)
}

impl Block {
    /// A block with text, as high as that needs.
    pub(super) fn new(look: Look, paragraphs: &Paragraphs, x: i32, y: i32, w: i32) -> Block {
        let (texts, bottom) = lines(paragraphs, x + PAD, y + PAD - 3, w - 2 * PAD);
        let words: Vec<String> = paragraphs.iter().map(|(_, text)| clean(text)).collect();
        Block {
            look,
            area: Area {
                x,
                y,
                w,
                h: bottom - y + PAD,
            },
            name: words.join(", "),
            texts,
        }
    }

    /// Moves it.
    pub(super) fn shift(&mut self, x: i32, y: i32) {
        self.area.x += x;
        self.area.y += y;
        for text in &mut self.texts {
            text.x += x;
            text.y += y;
        }
    }
}
