#![allow(clippy::unwrap_used)]

use insta::assert_snapshot;
use quick_xml::events::Event;

use super::super::sites::{aws, aws_of, lan, lan_of};
use super::drawing::{Area, Block, Drawing, TOGETHER, padding};
use super::page::drawing;
use super::text::{Style, width};
use super::*;
use crate::cluster::{ConstraintKind, Resource};

fn svg_of(site: &Site) -> String {
    graph(site, &Cluster::of(site))
}

/// Every kind of picture that there is.
fn sites() -> Vec<(&'static str, Site)> {
    let device = "fencing: fence_ipmilan\nfencing_options: lanplus=1\n";
    let devices: String = (1..=9)
        .map(|n| format!("pbx0{n}_fencing_options: ip=192.168.1.{}\n", 230 + n))
        .collect();
    vec![
        ("aws", aws("region: us-west-1\n")),
        ("aws reboot", aws("fencing_action: reboot\n")),
        ("aws none", aws("fencing: none\n")),
        ("aws stock", aws("privip_agent: ocf:heartbeat:awsvip\n")),
        ("aws five", aws_of(5, "")),
        ("aws nine", aws_of(9, "fencing: none\n")),
        ("lan", lan("")),
        ("lan none", lan("fencing: none\n")),
        ("lan voter", lan("drbd: 8.4\n")),
        ("lan device", lan("fencing: fence_xvm\n")),
        ("lan nine", lan_of(9, "")),
        ("lan nine devices", lan_of(9, &format!("{device}{devices}"))),
        ("long names", long_names()),
    ]
}

/// The longest names that there can be.
fn long_names() -> Site {
    let mut site = lan("");
    for (n, node) in site.nodes.iter_mut().enumerate() {
        node.name = format!("{n}{}", "w".repeat(62)).parse().unwrap();
    }
    site
}

fn pictures() -> Vec<(&'static str, Drawing)> {
    let drawn = |(name, site): (&'static str, Site)| (name, drawing(&site, &Cluster::of(&site)));
    sites().into_iter().map(drawn).collect()
}

/// What stands in the document's elements: their text, resolved.
fn words(svg: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut words = vec![String::new()];
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(_) | Event::End(_) => words.push(String::new()),
            Event::Text(text) => words.last_mut().unwrap().push_str(&text),
            Event::GeneralRef(entity) => {
                let text = quick_xml::escape::resolve_xml_entity(&entity).unwrap();
                words.last_mut().unwrap().push_str(text);
            }
            _ => {}
        }
    }
    words
}

/// Whether other blocks stand in a block.
fn holds(block: &Block) -> bool {
    block.frame == TOGETHER
}

fn apart(a: Area, b: Area) -> bool {
    a.right() <= b.x || b.right() <= a.x || a.bottom() <= b.y || b.bottom() <= a.y
}

fn within(inner: Area, outer: Area) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.right() <= outer.right()
        && inner.bottom() <= outer.bottom()
}

#[test]
fn picture_of_the_vendors_file() {
    assert_snapshot!(svg_of(&aws("region: us-west-1\n")));
}

#[test]
fn picture_of_a_lan() {
    assert_snapshot!(svg_of(&lan("")));
}

#[test]
fn every_node_and_every_resource_is_in_it() {
    for (name, site) in sites() {
        let cluster = Cluster::of(&site);
        let words = words(&svg_of(&site));
        let nodes = cluster.corosync.nodes.iter().map(|n| n.name.as_str());
        let resources = cluster.resources.iter().map(Resource::id);
        for id in nodes.chain(resources) {
            // The first of what a block is called.
            let there = |w: &String| w == id || w.starts_with(&format!("{id}, "));
            assert!(words.iter().any(there), "{name}: {id} is not in {words:?}");
        }
        for node in &cluster.corosync.nodes {
            let address = node.address.to_string();
            assert!(words.contains(&address), "{name}: {address}");
        }
        for warning in &cluster.warnings {
            assert!(words.contains(warning), "{name}: {warning}");
        }
    }
}

/// What a reader sees: which resource stands left of which, with an arrow between them.
fn arrows(cluster: &Cluster) -> Vec<(&str, &str)> {
    let bound = start_order::bound(cluster);
    let pairs = start_order::pairs(cluster, &bound);
    let ids = pairs
        .iter()
        .map(|&(from, to)| (bound[from].id(), bound[to].id()));
    let mut ids: Vec<(&str, &str)> = ids.collect();
    ids.sort_unstable();
    ids
}

#[test]
fn every_order_is_an_arrow_or_follows_from_some() {
    for (name, site) in sites() {
        let cluster = Cluster::of(&site);
        let mut follows = arrows(&cluster);
        for _ in 0..cluster.resources.len() {
            for (from, to) in follows.clone() {
                let next = arrows(&cluster).into_iter().filter(|arrow| arrow.0 == to);
                follows.extend(next.map(|arrow| (from, arrow.1)));
            }
            follows.sort_unstable();
            follows.dedup();
        }
        let orders = cluster.constraints.iter();
        for order in orders.filter(|c| c.kind == ConstraintKind::InOrder) {
            let chain: Vec<_> = order.sets.iter().flat_map(|s| &s.resources).collect();
            for pair in chain.windows(2) {
                assert!(follows.contains(&(*pair[0], *pair[1])), "{name}: {pair:?}");
            }
        }
    }
}

#[test]
fn an_arrow_points_to_the_right_from_one_block_to_another() {
    for (name, picture) in pictures() {
        for (_, points) in &picture.arrows {
            let [(from_x, from_y), (to_x, to_y)] = points[..] else {
                continue;
            };
            assert!(from_x < to_x, "{name}: {points:?}");
            let at = |edge: fn(Area) -> i32, x, y| {
                let mut blocks = picture.blocks.iter().filter(|b| !holds(b));
                blocks.any(|b| edge(b.area) == x && b.area.middle() == y)
            };
            assert!(at(Area::right, from_x, from_y), "{name}: {points:?}");
            assert!(at(|area| area.x, to_x, to_y), "{name}: {points:?}");
        }
    }
}

#[test]
fn the_arrows_of_the_vendors_system_are_these() {
    let arrows = |site: &Site| -> Vec<String> {
        let cluster = Cluster::of(site);
        let arrows = arrows(&cluster);
        arrows
            .iter()
            .map(|(from, to)| format!("{from} {to}"))
            .collect()
    };
    assert_eq!(
        arrows(&aws("")),
        [
            "datapath_fs pbx",
            "ebs datapath_fs",
            "eip src_pkt_ip",
            "privip eip",
            "src_pkt_ip pbx",
            "vip src_pkt_ip"
        ]
    );
    assert_eq!(
        arrows(&lan("")),
        [
            "datapath_fs pbx",
            "drbd_devpath-clone datapath_fs",
            "src_pkt_ip pbx",
            "vip src_pkt_ip"
        ]
    );
}

#[test]
fn no_two_blocks_overlap_unless_one_holds_the_other() {
    for (name, picture) in pictures() {
        for (n, a) in picture.blocks.iter().enumerate() {
            let page = Area {
                x: 0,
                y: 0,
                w: picture.width,
                h: picture.height,
            };
            assert!(within(a.area, page), "{name}: {} is outside", a.name);
            for b in &picture.blocks[n + 1..] {
                let held = holds(a) && within(b.area, a.area);
                assert!(
                    held || apart(a.area, b.area),
                    "{name}: {} over {}",
                    a.name,
                    b.name
                );
            }
        }
    }
}

#[test]
fn text_stays_in_its_block_and_off_all_other_text() {
    for (name, picture) in pictures() {
        let area = |block: &Block, (style, baseline, text): &(Style, i32, String)| Area {
            x: block.area.x + padding(block.frame),
            y: block.area.y + baseline - style.0 * 4 / 5,
            w: width(text, *style),
            h: style.0,
        };
        let mut all: Vec<(Area, &str)> = Vec::new();
        for block in &picture.blocks {
            for line in &block.lines {
                let inside = within(area(block, line), block.area);
                assert!(inside, "{name}: {} leaves {}", line.2, block.name);
                all.push((area(block, line), &line.2));
            }
            // A block in a frame does not cover the text of the frame.
            for inner in picture.blocks.iter().filter(|b| b.area != block.area) {
                if within(inner.area, block.area) {
                    let clear = (block.lines.iter()).all(|l| apart(area(block, l), inner.area));
                    assert!(clear, "{name}: {} covers {}", inner.name, block.name);
                }
            }
        }
        for (n, (a, text)) in all.iter().enumerate() {
            assert!(a.right() < picture.width - 20, "{name}: {text} is outside");
            for (b, other) in &all[n + 1..] {
                assert!(apart(*a, *b), "{name}: {text} on {other}");
            }
        }
    }
}

#[test]
fn no_arrow_crosses_a_block() {
    for (name, picture) in pictures() {
        for (_, points) in &picture.arrows {
            for pair in points.windows(2) {
                let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                // A curve stays in the rectangle of its ends.
                let way = Area {
                    x: ax.min(bx),
                    y: ay.min(by),
                    w: (bx - ax).abs().max(1),
                    h: (by - ay).abs(),
                };
                for block in picture.blocks.iter().filter(|b| !holds(b)) {
                    // It may begin and end at an edge.
                    let beside = way.right() <= block.area.x || block.area.right() <= way.x;
                    let touches =
                        !beside && way.y <= block.area.bottom() && block.area.y <= way.bottom();
                    assert!(!touches, "{name}: {:?} crosses {}", points, block.name);
                }
            }
        }
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</text><script>alert(1)</script>\" onload='x' &amp; \u{1b}]0;\n<!-- ]]>";
    for site in [aws("fencing: none\n"), lan("fencing: none\n")] {
        let mut cluster = Cluster::of(&site);
        cluster.warnings.push(hostile.to_owned());
        cluster.corosync.nodes[1].name = hostile.to_owned();
        let resources = cluster.resources.iter_mut().filter_map(|r| match r {
            Resource::Primitive(primitive) => Some(primitive),
            Resource::Promotable(_) => None,
        });
        for parameter in resources.flat_map(|p| &mut p.parameters) {
            parameter.value = hostile.to_owned();
        }
        let svg = graph(&site, &cluster);
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
        let mut reader = quick_xml::Reader::from_str(&svg);
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => break,
                Event::Start(e) | Event::Empty(e) => {
                    let known = [
                        "svg", "title", "defs", "marker", "path", "rect", "g", "text",
                    ];
                    assert!(known.contains(&e.name().as_ref()), "{e:?}");
                    for attribute in e.attributes() {
                        let name = attribute.unwrap().key;
                        assert!(!name.as_ref().starts_with("on"), "{name:?}");
                    }
                }
                Event::Comment(_) | Event::CData(_) => panic!("{svg}"),
                _ => {}
            }
        }
        let shown = words(&svg);
        assert!(
            shown
                .iter()
                .any(|w| w.contains("<script>alert(1)</script>"))
        );
    }
}

#[test]
fn a_node_without_a_copy_of_the_data_is_shown_as_a_voter() {
    let shown = words(&svg_of(&lan("drbd: 8.4\n"))).join("\n");
    for said in [
        "votes, and runs nothing else",
        "standby: has a copy of the data",
        "on pbx01 and pbx02",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn the_picture_needs_nothing_from_elsewhere() {
    for (name, site) in sites() {
        let svg = svg_of(&site);
        let known = "xmlns=\"http://www.w3.org/2000/svg\"";
        let rest = svg.replacen(known, "", 1);
        for foreign in ["http", "href", "@import", "<style", "<image", "<script"] {
            assert!(!rest.contains(foreign), "{name}: {foreign}");
        }
        assert_eq!(svg, svg_of(&site), "{name}: it is another the second time");
    }
}
