//! Writes a drawing as SVG. Text gets into the document only through `escape`; everything else is a
//! number or a constant.

use quick_xml::escape::escape;

use super::drawing::{Arrow, Block, Drawing, RUNS, Stroke, THEN_STARTS, padding};

const FONTS: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";

pub(super) fn svg(drawing: &Drawing) -> String {
    let (width, height) = (drawing.width, drawing.height);
    let title = escape(&drawing.title);
    let heads: String = [THEN_STARTS, RUNS].into_iter().map(head).collect();
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

fn block(block: &Block) -> String {
    let (x, y, w, h) = (block.area.x, block.area.y, block.area.w, block.area.h);
    let [fill, stroke, stroke_width, dashes] = block.frame;
    let title = escape(&block.name);
    let left = padding(block.frame);
    let mut lines = String::new();
    for ((size, weight, colour), baseline, text) in &block.lines {
        let text = escape(text);
        lines += &format!(
            r#"<text x="{left}" y="{baseline}" font-size="{size}" font-weight="{weight}" fill="{colour}">{text}</text>
"#
        );
    }
    format!(
        r#"<g transform="translate({x} {y})">
<title>{title}</title>
<rect width="{w}" height="{h}" rx="6" fill="{fill}" stroke="{stroke}" stroke-width="{stroke_width}" stroke-dasharray="{dashes}"/>
{lines}</g>
"#
    )
}

fn head([id, colour, _]: Stroke) -> String {
    format!(
        r#"<marker id="{id}" viewBox="0 0 10 10" refX="10" refY="5" markerUnits="userSpaceOnUse" markerWidth="11" markerHeight="11" orient="auto">
<path d="M 0 0 L 10 5 L 0 10 z" fill="{colour}"/>
</marker>
"#
    )
}

/// Two points are joined by a curve that leaves and enters a block at a right angle; more points by
/// straight lines.
fn arrow(([id, colour, width], points): &Arrow) -> String {
    let path = match points[..] {
        [(from_x, from_y), (x, y)] => {
            let half = (from_x + x) / 2;
            format!("M {from_x} {from_y} C {half} {from_y} {half} {y} {x} {y}")
        }
        _ => {
            let points = points.iter().map(|(x, y)| format!("{x} {y}"));
            format!("M {}", points.collect::<Vec<_>>().join(" L "))
        }
    };
    format!(
        r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" marker-end="url(#{id})"/>
"#
    )
}
