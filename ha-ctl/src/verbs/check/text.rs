//! What `check` prints.

use crate::check::{CHECKS, Finding, Selection, Site};
use crate::cluster::Level;

/// The findings, each below the nodes that it is about, then a count.
pub(super) fn text(
    found: &[Finding],
    nodes: &[String],
    looked: usize,
    selection: &Selection,
    site: &Site,
) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (about, it) in by_nodes(found, nodes) {
        if about != last {
            text += &format!("{}{about}:\n", if text.is_empty() { "" } else { "\n" });
            last = about;
        }
        text += &format!("  {:<7} {}: {}\n", level(it.level), it.name, it.found);
        text += &format!("          wanted: {}\n", it.wanted);
        if let Some(command) = &it.command {
            text += &format!("          help: {command}\n");
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let checks = CHECKS
        .iter()
        .filter(|check| selection.has(check.name) && site.knows(check.name))
        .count();
    let count = |level| found.iter().filter(|it| it.level == level).count();
    let counts = [
        (Level::Error, "error"),
        (Level::Warning, "warning"),
        (Level::Note, "note"),
    ]
    .map(|(level, word)| (count(level), word));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, word)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    let result = if counts.is_empty() {
        "nothing found".to_owned()
    } else {
        counts.join(", ")
    };
    let fixable = found.iter().filter(|it| it.fixable).count();
    if fixable > 0 {
        text += &format!(
            "ha-ctl check --fix mends {fixable} of them; where the PBX is not deployed yet, ha-ctl deploy does, too\n"
        );
    }
    text + &format!(
        "{looked} of {} nodes looked at, {checks} checks: {result}\n",
        nodes.len()
    )
}

/// Each finding once, with the nodes that have it; those of one node first, in the order of the nodes.
fn by_nodes<'a>(found: &'a [Finding], nodes: &[String]) -> Vec<(String, &'a Finding)> {
    let mut merged: Vec<(Vec<usize>, &Finding)> = Vec::new();
    for it in found {
        let number = nodes.iter().position(|name| it.node.as_ref() == Some(name));
        let same = |other: &&mut (Vec<usize>, &Finding)| {
            (other.1.name, &other.1.found, &other.1.command) == (it.name, &it.found, &it.command)
        };
        match merged.iter_mut().find(same) {
            Some((known, _)) => known.extend(number),
            None => merged.push((number.into_iter().collect(), it)),
        }
    }
    // What is about all of them, or about the set, comes last.
    let is_about_all = |numbers: &[usize]| numbers.is_empty() || numbers.len() == nodes.len();
    merged.sort_by_key(|(numbers, _)| match is_about_all(numbers) {
        true => (true, Vec::new()),
        false => (false, numbers.clone()),
    });
    let about = |numbers: &[usize]| match is_about_all(numbers) {
        true => "all nodes".to_owned(),
        false => {
            let names: Vec<&str> = numbers.iter().map(|n| nodes[*n].as_str()).collect();
            names.join(", ")
        }
    };
    merged
        .into_iter()
        .map(|(numbers, it)| (about(&numbers), it))
        .collect()
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::check::{Inspection, findings};
    use crate::exit::Exit;
    use crate::reach::{Cause, Missing};
    use crate::verbs::check::exit;

    #[test]
    fn what_all_nodes_have_is_printed_once() {
        let nodes = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let finding = |node: &str, found: &str| Finding {
            name: "apt.needrestart",
            level: Level::Warning,
            node: Some(node.to_owned()),
            found: found.to_owned(),
            wanted: String::new(),
            command: None,
            fixable: true,
        };
        let all = ["a", "b", "c"].map(|node| finding(node, "may restart"));
        let found = [&all[..], &[finding("b", "other"), finding("c", "other")]].concat();
        let shown = by_nodes(&found, &nodes);
        let about: Vec<&str> = shown.iter().map(|(about, _)| about.as_str()).collect();
        assert_eq!(about, ["b, c", "all nodes"]);
    }

    #[test]
    fn what_check_prints() {
        let nodes = ["ip-172-31-16-133".to_owned(), "ip-172-31-16-134".to_owned()];
        let printed = include_str!("../../../tests/recorded/inspection.txt");
        let inspection = Inspection::parse(&nodes[0], printed, (0.0, 0.0));
        let missing = [Missing {
            name: nodes[1].clone(),
            cause: Cause::NewHostKey,
            by_hand: "ssh ubuntu@172.31.16.134".to_owned(),
        }];
        let site = Site::default();
        let selection =
            Selection::new(&[], &["apt.needrestart".to_owned(), "cluster".to_owned()]).unwrap();
        let found = findings(&[inspection], &missing, &site, &selection);
        insta::assert_snapshot!(text(&found, &nodes, 1, &selection, &site));
        assert_eq!(exit(&found, &missing), Exit::NodesMissing);
        assert_eq!(exit(&found, &[]), Exit::Problems);
        assert_eq!(exit(&[], &[]), Exit::Done);
    }
}
