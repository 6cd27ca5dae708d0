//! Writes a drawing as SVG. Text of the cluster gets into the document only through `escape`;
//! everything else is a number or a constant of this file.

use quick_xml::escape::escape;

use super::drawing::{Arrow, ArrowKind, Block, BlockKind, Drawing, Line, Style};

const FONTS: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// The document.
pub(super) fn svg(drawing: &Drawing) -> String {
    let (width, height) = (drawing.width, drawing.height);
    let title = escape(&drawing.title);
    let arrow_kinds = [ArrowKind::ThenStarts, ArrowKind::Runs];
    let heads: String = arrow_kinds.into_iter().map(head).collect();
    let blocks: String = drawing.blocks.iter().map(block).collect();
    let arrows: String = drawing.arrows.iter().map(arrow).collect();
    format!(
        r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" font-family="{FONTS}">
<title>{title}</title>
<defs>
{heads}</defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{blocks}{arrows}</svg>
"##
    )
}

/// Fill, stroke, stroke width, dashes.
fn frame(kind: BlockKind) -> [&'static str; 4] {
    match kind {
        BlockKind::Bare => ["none", "none", "0", "none"],
        BlockKind::Warning => ["#fce8e6", "#c5221f", "2", "none"],
        BlockKind::ActiveNode => ["#ceead6", "#188038", "2.5", "none"],
        BlockKind::StandbyNode => ["#f1f3f4", "#80868b", "1.5", "none"],
        BlockKind::Together => ["#f0f9f2", "#188038", "2", "7 4"],
        BlockKind::Resource => ["#ffffff", "#1a56b0", "1.5", "none"],
        BlockKind::Clone => ["#fff8e6", "#b06000", "1.5", "none"],
        BlockKind::Fencing => ["#f3e8fd", "#7627bb", "1.5", "none"],
    }
}

fn block(block: &Block) -> String {
    let (x, y, w, h) = (block.area.x, block.area.y, block.area.w, block.area.h);
    let [fill, stroke, stroke_width, dashes] = frame(block.kind);
    let title = escape(&block.name);
    let lines: String = block.lines.iter().map(|l| line(l, block.kind)).collect();
    format!(
        r#"<g transform="translate({x} {y})">
<title>{title}</title>
<rect width="{w}" height="{h}" rx="6" fill="{fill}" stroke="{stroke}" stroke-width="{stroke_width}" stroke-dasharray="{dashes}"/>
{lines}</g>
"#
    )
}

fn line(line: &Line, kind: BlockKind) -> String {
    let (x, y, size) = (line.x, line.y, line.style.size());
    let weight = if line.style.bold() { "bold" } else { "normal" };
    let colour = match (line.style, kind) {
        (_, BlockKind::Warning) => "#a50e0e",
        (Style::State, BlockKind::ActiveNode) => "#0d652d",
        (Style::Small | Style::State, _) => "#5f6368",
        (Style::Title | Style::Heading | Style::Plain, _) => "#202124",
    };
    let text = escape(&line.text);
    format!(
        r#"<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}">{text}</text>
"#
    )
}

/// Name, colour and width of an arrow's line.
fn arrow_line(kind: ArrowKind) -> [&'static str; 3] {
    match kind {
        ArrowKind::ThenStarts => ["then-starts", "#1a56b0", "2"],
        ArrowKind::Runs => ["runs", "#188038", "3"],
    }
}

fn head(kind: ArrowKind) -> String {
    let [id, colour, _] = arrow_line(kind);
    format!(
        r#"<marker id="{id}" viewBox="0 0 10 10" refX="10" refY="5" markerUnits="userSpaceOnUse" markerWidth="11" markerHeight="11" orient="auto">
<path d="M 0 0 L 10 5 L 0 10 z" fill="{colour}"/>
</marker>
"#
    )
}

fn arrow(arrow: &Arrow) -> String {
    let [id, colour, width] = arrow_line(arrow.kind);
    let mut path = String::new();
    for (n, &(x, y)) in arrow.points.iter().enumerate() {
        path += &match (n.checked_sub(1).map(|n| arrow.points[n]), arrow.kind) {
            (None, _) => format!("M {x} {y}"),
            (Some(_), ArrowKind::Runs) => format!(" L {x} {y}"),
            // Both ends are level, so that the curve enters a block at a right angle.
            (Some((from_x, from_y)), ArrowKind::ThenStarts) => {
                let half = (from_x + x) / 2;
                format!(" C {half} {from_y} {half} {y} {x} {y}")
            }
        };
    }
    format!(
        r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" marker-end="url(#{id})"/>
"#
    )
}
