//! A picture as SVG. quick-xml escapes what is written; nothing here goes into the document by
//! another way.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::picture::{Arrow, Block, Kind, Look, Picture, Style, Text};

/// Named fonts first, of which every system has one.
const FONTS: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";

const INK: &str = "#202124";
const FAINT: &str = "#5f6368";

type Xml = Writer<Vec<u8>>;

/// The document.
///
/// # Errors
/// None in practice: it writes into memory.
pub(super) fn svg(picture: &Picture) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let (width, height) = (picture.width.to_string(), picture.height.to_string());
    xml.create_element("svg")
        .with_attributes([
            ("xmlns", "http://www.w3.org/2000/svg"),
            ("width", &width),
            ("height", &height),
            ("viewBox", &format!("0 0 {width} {height}")),
            ("role", "img"),
            ("font-family", FONTS),
        ])
        .write_inner_content(|xml| {
            named(xml, &picture.title)?;
            heads(xml)?;
            xml.create_element("rect")
                .with_attributes([("width", &*width), ("height", &height), ("fill", "#ffffff")])
                .write_empty()?;
            picture.blocks.iter().try_for_each(|b| block(xml, b))?;
            picture.arrows.iter().try_for_each(|a| arrow(xml, a))?;
            let mut texts = picture.texts.iter();
            texts.try_for_each(|t| text(xml, t, colour(t.style, None)))
        })?;
    let mut document = String::from_utf8(xml.into_inner()).map_err(io::Error::other)?;
    document.push('\n');
    Ok(document)
}

fn named(xml: &mut Xml, name: &str) -> io::Result<()> {
    xml.create_element("title")
        .write_text_content(BytesText::new(name))?;
    Ok(())
}

fn line(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::After => ("after", "#1a56b0", "2"),
        Kind::Runs => ("runs", "#188038", "3"),
    }
}

/// The heads of the arrows.
fn heads(xml: &mut Xml) -> io::Result<()> {
    xml.create_element("defs").write_inner_content(|xml| {
        for kind in [Kind::After, Kind::Runs] {
            let (id, colour, _) = line(kind);
            xml.create_element("marker")
                .with_attributes([
                    ("id", id),
                    ("viewBox", "0 0 10 10"),
                    ("refX", "10"),
                    ("refY", "5"),
                    ("markerUnits", "userSpaceOnUse"),
                    ("markerWidth", "11"),
                    ("markerHeight", "11"),
                    ("orient", "auto"),
                ])
                .write_inner_content(|xml| {
                    xml.create_element("path")
                        .with_attributes([("d", "M 0 0 L 10 5 L 0 10 z"), ("fill", colour)])
                        .write_empty()?;
                    Ok(())
                })?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Fill, line, width of the line, dashes.
fn paint(look: Look) -> [&'static str; 4] {
    match look {
        Look::Warning => ["#fce8e6", "#c5221f", "2", "none"],
        Look::Active => ["#ceead6", "#188038", "2.5", "none"],
        Look::Standby => ["#f1f3f4", "#80868b", "1.5", "none"],
        Look::Together => ["#f0f9f2", "#188038", "2", "7 4"],
        Look::Resource => ["#ffffff", "#1a56b0", "1.5", "none"],
        Look::Everywhere => ["#fff8e6", "#b06000", "1.5", "none"],
        Look::Promoted => ["#fdd663", "#b06000", "2", "none"],
        Look::Copy => ["#ffffff", "#b06000", "1", "4 3"],
        Look::Fencing => ["#f3e8fd", "#7627bb", "1.5", "none"],
    }
}

fn block(xml: &mut Xml, block: &Block) -> io::Result<()> {
    let area = block.area;
    let [fill, stroke, width, dashes] = paint(block.look);
    let [x, y, w, h] = [area.x, area.y, area.w, area.h].map(|n| n.to_string());
    xml.create_element("g").write_inner_content(|xml| {
        named(xml, &block.name)?;
        xml.create_element("rect")
            .with_attributes([
                ("x", &*x),
                ("y", &y),
                ("width", &w),
                ("height", &h),
                ("rx", "6"),
                ("fill", fill),
                ("stroke", stroke),
                ("stroke-width", width),
                ("stroke-dasharray", dashes),
            ])
            .write_empty()?;
        let mut texts = block.texts.iter();
        texts.try_for_each(|t| text(xml, t, colour(t.style, Some(block.look))))
    })?;
    Ok(())
}

fn colour(style: Style, look: Option<Look>) -> &'static str {
    match (style, look) {
        (_, Some(Look::Warning)) => "#a50e0e",
        (Style::Mark, Some(Look::Active)) => "#0d652d",
        (Style::Mark, Some(Look::Resource | Look::Promoted)) => "#7a4100",
        (Style::Small, _) | (Style::Mark, _) => FAINT,
        (Style::Title | Style::Heading | Style::Name | Style::Plain, _) => INK,
    }
}

fn text(xml: &mut Xml, text: &Text, colour: &str) -> io::Result<()> {
    let [x, y, size] = [text.x, text.y, text.style.size()].map(|n| n.to_string());
    let weight = if text.style.bold() { "bold" } else { "normal" };
    xml.create_element("text")
        .with_attributes([
            ("x", &*x),
            ("y", &y),
            ("font-size", &size),
            ("font-weight", weight),
            ("fill", colour),
        ])
        .write_text_content(BytesText::new(&text.text))?;
    Ok(())
}

fn arrow(xml: &mut Xml, arrow: &Arrow) -> io::Result<()> {
    let (id, colour, width) = line(arrow.kind);
    xml.create_element("path")
        .with_attributes([
            ("d", way(arrow).as_str()),
            ("fill", "none"),
            ("stroke", colour),
            ("stroke-width", width),
            ("stroke-linejoin", "round"),
            ("marker-end", &format!("url(#{id})")),
        ])
        .write_empty()?;
    Ok(())
}

/// The points, joined. A curve begins and ends level, so it stays between its two points and
/// enters a block at a right angle.
fn way(arrow: &Arrow) -> String {
    let mut way = String::new();
    for (n, &(x, y)) in arrow.points.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| arrow.points[n]);
        way.push_str(&match (before, arrow.kind) {
            (None, _) => format!("M {x} {y}"),
            (Some((bx, by)), Kind::After) if by != y => {
                let half = (bx + x) / 2;
                format!(" C {half} {by} {half} {y} {x} {y}")
            }
            (Some(_), _) => format!(" L {x} {y}"),
        });
    }
    way
}
