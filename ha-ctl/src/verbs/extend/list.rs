//! `extend list`: the servers, and how they are.

use serde::Serialize;

use super::contact::{Contact, Found};
use crate::cli::ShowArgs;
use crate::exit::{Exit, Failure};
use crate::extend::{Cluster, Facts, Server, State, look_live};
use crate::output::{print, print_json};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Listed {
    /// The version of the PBX's image.
    pbx_version: Option<String>,
    /// How often the list was changed.
    counter: u64,
    /// When it was changed last, and by whom.
    changed: String,
    by: String,
    servers: Vec<Row>,
    notices: Vec<String>,
}

/// One server.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    server: Server,
    data: String,
    state: &'static str,
    version: Option<String>,
    load: Option<f64>,
    processors: Option<u32>,
}

/// Lists the servers.
///
/// # Errors
/// No node of the cluster can be used.
pub(super) async fn list(args: &ShowArgs) -> Result<Exit, Failure> {
    let contact = Contact::new(&args.site, None).await?;
    let found = contact
        .reach(contact.register.servers.clone(), look_live)
        .await;
    // The PBX may be stopped, and the servers are there all the same.
    let cluster = Cluster::of(&contact.said).ok();
    let pbx_version = cluster.and_then(|it| it.version);
    let notices = notices(&found, &contact, pbx_version.as_deref());
    let is_missing = !contact.missing.is_empty() || found.iter().any(|(_, it)| it.is_err());
    let listed = Listed {
        pbx_version,
        counter: contact.register.counter,
        changed: contact.register.changed.clone(),
        by: contact.register.by.clone(),
        servers: found.into_iter().map(row).collect(),
        notices,
    };
    match args.json {
        true => print_json(&listed)?,
        false => print(&text(&listed))?,
    }
    Ok(match is_missing {
        true => Exit::NodesMissing,
        false => Exit::Done,
    })
}

/// In a word.
fn state(facts: &Facts) -> &'static str {
    match facts.state() {
        _ if !facts.is_complete() => "unknown",
        State::Answers => "answers",
        State::Silent => "silent",
        State::Unhealthy => "unhealthy",
        State::Stopped => "stopped",
        State::Missing => "not set up",
        State::Unknown => "unknown",
    }
}

fn row((entry, found): Found) -> Row {
    let facts = found.map(|(_, facts)| facts);
    let load = facts.as_ref().ok().and_then(Facts::load);
    Row {
        server: entry.server,
        data: entry.data,
        state: facts.as_ref().map_or("not reached", state),
        version: facts
            .ok()
            .and_then(|it| it.running_version().map(str::to_owned)),
        load: load.map(|(load, _)| load),
        processors: load.map(|(_, processors)| processors),
    }
}

/// What needs somebody's attention.
fn notices(found: &[Found], contact: &Contact, pbx_version: Option<&str>) -> Vec<String> {
    let mut notices = Vec::new();
    for (entry, found) in found {
        let server = &entry.server;
        let facts = match found {
            Ok((_, facts)) => facts,
            Err(missing) => {
                notices.push(missing.text());
                continue;
            }
        };
        let container = server.kind.container();
        match facts.state() {
            _ if !facts.is_complete() => notices.push(format!("{server} could not be looked at to the end")),
            State::Answers | State::Stopped => {}
            State::Silent => notices.push(format!(
                "{server} runs, and nothing listens on its ports {}-{}\n  help: is it in the portal under this name, with \
                 its address as an allowed entry? sudo docker logs {container}   (there)",
                server.kind.ports().start(),
                server.kind.ports().end()
            )),
            State::Unhealthy => notices.push(format!(
                "{server} does not stay up\n  help: sudo docker logs {container}   (there)"
            )),
            State::Unknown => notices.push(format!(
                "Docker on the machine of {server} does not answer, and the server may go on without it\n  help: systemctl \
                 status docker   (there)"
            )),
            State::Missing => notices.push(format!(
                "{server} is not set up to its end\n  help: ha-ctl extend run -s {} -n {} -a {}",
                server.kind, server.name, server.address
            )),
        }
        if let (Some(running), Some(pbx)) = (facts.running_version(), pbx_version)
            && running != pbx
        {
            notices.push(format!(
                "{server} has the version {running}, and the PBX has {pbx}\n  help: ha-ctl extend upgrade -a {}   after \
                 the PBX itself",
                server.address
            ));
        }
    }
    for missing in &contact.missing {
        notices.push(missing.text());
    }
    if !contact.outdated.is_empty() && !contact.register.servers.is_empty() {
        notices.push(format!(
            "another list than the newest is on {}: the next change gives the newest to all",
            contact.outdated.join(", ")
        ));
    }
    notices
}

fn text(listed: &Listed) -> String {
    if listed.servers.is_empty() && listed.notices.is_empty() {
        return "there are no extended servers\n".to_owned();
    }
    let heading = [
        "TYPE", "NAME", "ADDRESS", "PUBLIC", "STATE", "VERSION", "LOAD",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in &listed.servers {
        let server = &row.server;
        let load = row.load.zip(row.processors);
        rows.push([
            server.kind.to_string(),
            server.name.to_string(),
            server.address.to_string(),
            or_dash(server.public_address.map(|it| it.to_string())),
            row.state.to_owned(),
            or_dash(row.version.clone()),
            or_dash(load.map(|(load, processors)| format!("{load:.2} of {processors}"))),
        ]);
    }
    let widths = heading.iter().enumerate().map(|(column, _)| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    });
    let widths: Vec<usize> = widths.collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    if !listed.notices.is_empty() {
        text.push('\n');
    }
    for notice in &listed.notices {
        text += &format!("* {}\n", notice.replace('\n', "\n  "));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::extend::Kind;

    fn row(kind: Kind, name: &str, state: &'static str) -> Row {
        Row {
            server: Server {
                kind,
                name: name.parse().unwrap(),
                address: "192.168.1.21".parse().unwrap(),
                public_address: None,
            },
            data: String::new(),
            state,
            version: (state == "answers").then(|| "22.4.0".to_owned()),
            load: (state == "answers").then_some(0.5),
            processors: Some(4),
        }
    }

    #[test]
    fn the_table_is_one_that_can_be_read() {
        let listed = Listed {
            pbx_version: Some("22.4.0".to_owned()),
            counter: 2,
            changed: String::new(),
            by: String::new(),
            servers: vec![
                row(Kind::Media, "media-server-1", "answers"),
                row(Kind::Ivr, "vr-1", "not reached"),
            ],
            notices: vec!["vr-1 does not answer\n  help: ssh 192.168.1.21".to_owned()],
        };
        insta::assert_snapshot!(text(&listed));
    }
}
