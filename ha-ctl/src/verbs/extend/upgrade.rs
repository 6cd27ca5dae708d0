//! `extend upgrade`: the image first, on all servers at once; then one server of a type after the other.

use std::time::Duration;

use super::contact::{Contact, Found, all};
use super::control::selection;
use super::outcome::{How, Outcome, summary};
use crate::cli::ExtendUpgradeArgs;
use crate::exit::{Exit, Failure};
use crate::extend::{Cluster, Installation, KINDS, Kind, Server, State, look};
use crate::hand_on::Sources;
use crate::output::{print, say};
use crate::run::Run;
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::signals::Signals;

/// Upgrades servers.
///
/// # Errors
/// The PBX is not upgraded yet, there is no server that is meant, or nothing could be done.
pub(super) async fn upgrade(args: &ExtendUpgradeArgs) -> Result<Exit, Failure> {
    let servers = &args.servers;
    let change = (!servers.dry_run).then_some("extend upgrade");
    let contact = Contact::new(&servers.site, change).await?;
    let cluster = Cluster::of(&contact.said)?;
    let version = wanted_version(&cluster)?;
    let meant = contact.register.select(selection(&servers.select))?;
    // Those that are not meant count too: they may be the only ones of their type that answer.
    let found = contact
        .reach(contact.register.servers.clone(), |entry| {
            look(entry, &cluster)
        })
        .await;
    let answering = answering(&found);
    let found = found.into_iter().filter(|(entry, _)| meant.contains(entry));
    let (to_do, mut outcomes) = sorted(found, version);
    let alone = alone(&to_do, &answering);
    print(&text(&to_do, &alone, &cluster))?;
    if to_do.is_empty() {
        return summary(&outcomes, &Run::new(true), false);
    }
    if servers.dry_run {
        return Ok(Exit::Problems);
    }
    if !args.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl extend upgrade does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::new(false);
    let drain = args.drain.unwrap_or_default();
    let mut signals = Signals::new();
    let sources = contact.sources(&cluster);
    let working = act(&to_do, &cluster, &sources, drain, &run);
    tokio::select! {
        done = working => outcomes.extend(done),
        () = signals.received() => return Err(left(&run)),
    }
    summary(&outcomes, &run, false)
}

/// The version that the PBX runs in.
fn wanted_version(cluster: &Cluster) -> Result<&str, Failure> {
    let Cluster {
        image,
        version,
        is_not_upgraded,
        ..
    } = cluster;
    let version = version.as_deref().ok_or_else(|| {
        Failure::failed(format!(
            "the version of the PBX is not known: no node has the image {image}, or it has no label `version`. Nothing was \
             changed\n  help: sudo docker image inspect {image}   (on the node where the PBX runs)"
        ))
    })?;
    if *is_not_upgraded {
        return Err(Failure::failed(format!(
            "the PBX is not upgraded yet: it runs in the version {version}, and {image} is another image by now. Nothing \
             was changed\n  help: upgrade the PBX first. Extended servers come after it"
        )));
    }
    Ok(version)
}

/// The servers that answer.
fn answering(found: &[Found]) -> Vec<Server> {
    let answering = found.iter().filter(|(_, found)| {
        found
            .as_ref()
            .is_ok_and(|(_, facts)| facts.state() == State::Answers)
    });
    answering.map(|(entry, _)| entry.server.clone()).collect()
}

/// Those that have to be upgraded, and what became of the others.
fn sorted(found: impl Iterator<Item = Found>, version: &str) -> (Vec<Installation>, Vec<Outcome>) {
    let (mut to_do, mut outcomes) = (Vec::new(), Vec::new());
    for (entry, found) in found {
        let how = match found {
            Err(missing) => How::Unreachable(missing),
            Ok((_, facts)) if facts.state() == State::Unknown => {
                How::Failed(Failure::failed(format!(
                    "{}: Docker does not answer there\n  help: systemctl status docker   (there)",
                    entry.server
                )))
            }
            Ok((_, facts)) if facts.state() == State::Missing => How::Failed(Failure::failed(
                format!("{} is not set up\n  help: ha-ctl extend run", entry.server),
            )),
            Ok((_, facts)) if facts.running_version() == Some(version) => {
                How::Done(format!("has the version {version} already"))
            }
            Ok((node, facts)) => {
                to_do.push(Installation::new(entry, node, facts));
                continue;
            }
        };
        outcomes.push(Outcome::new(&entry.server, how));
    }
    (to_do, outcomes)
}

/// The servers after whose stop none of their type answers.
fn alone(to_do: &[Installation], answering: &[Server]) -> Vec<Server> {
    let servers = to_do.iter().map(|it| &it.entry.server);
    // One that does not answer now takes nothing away.
    let alone = servers.filter(|server| {
        let mut same = answering.iter().filter(|it| it.kind == server.kind);
        answering.contains(server) && same.all(|other| other.name == server.name)
    });
    alone.cloned().collect()
}

fn text(to_do: &[Installation], alone: &[Server], cluster: &Cluster) -> String {
    if to_do.is_empty() {
        return "nothing to upgrade\n".to_owned();
    }
    let version = cluster.version.as_deref().unwrap_or_default();
    let mut text =
        format!("to do, one server of a type after the other, to the version {version}:\n");
    for it in to_do {
        let from = it.facts.running_version().unwrap_or("an unknown one");
        text += &format!("  {} from {from}\n", it.entry.server);
    }
    for server in alone {
        text += &format!(
            "{} is the only {} that answers: NONE OF ITS TYPE ANSWERS while it is upgraded\n",
            server.name, server.kind
        );
    }
    text
}

async fn act<'a>(
    to_do: &'a [Installation],
    cluster: &Cluster,
    sources: &Sources<'a>,
    drain: Duration,
    run: &Run,
) -> Vec<Outcome> {
    let fetching = to_do
        .iter()
        .map(|it| async move { (it, it.fetch(cluster, sources, run).await) });
    let (mut outcomes, mut ready) = (Vec::new(), Vec::new());
    for (it, fetched) in all(fetching).await {
        match fetched {
            Ok(()) => ready.push(it),
            Err(failure) => {
                outcomes.push(Outcome::new(&it.entry.server, How::Failed(failure)));
            }
        }
    }
    let ready = &ready;
    let types = KINDS.into_iter().map(|kind| {
        let of_kind: Vec<&Installation> = ready
            .iter()
            .copied()
            .filter(|it| it.entry.server.kind == kind)
            .collect();
        one_after_the_other(kind, of_kind, cluster, drain, run)
    });
    outcomes.extend(all(types).await.into_iter().flatten());
    outcomes
}

/// Goes on only while each answers after its upgrade.
async fn one_after_the_other(
    kind: Kind,
    servers: Vec<&Installation>,
    cluster: &Cluster,
    drain: Duration,
    run: &Run,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut failed: Option<String> = None;
    for it in servers {
        let server = &it.entry.server;
        let how = match &failed {
            Some(other) => How::Failed(Failure::failed(format!(
                "{server} was left as it is, because {other}, a {kind} too, does not answer after its upgrade"
            ))),
            None => match it.upgrade(cluster, drain, run).await {
                Ok(()) if it.facts.state() == State::Stopped => {
                    How::Done("upgraded, and stays stopped".to_owned())
                }
                Ok(()) => How::Done("upgraded: it answers".to_owned()),
                Err(failure) => {
                    failed = Some(server.name.to_string());
                    How::Failed(failure)
                }
            },
        };
        outcomes.push(Outcome::new(server, how));
    }
    outcomes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::extend::{Entry, Facts};
    use crate::reach::test_node;

    fn server(kind: Kind, name: &str) -> Server {
        Server {
            kind,
            name: name.parse().unwrap(),
            address: "192.168.1.21".parse().unwrap(),
            public_address: None,
        }
    }

    fn found(kind: Kind, name: &str, printed: &str) -> Found {
        let entry = Entry {
            server: server(kind, name),
            data: format!("/var/lib/portsip/{kind}"),
        };
        let facts = Facts::parse(printed, 0.0);
        (entry, Ok((test_node(name), facts)))
    }

    const OLD: &str = "container running 0 -\nlistens yes\nrunning-version 22.4.0\n";
    const STOPPED: &str = "container exited 0 -\nrunning-version 22.4.0\n";
    const NEW: &str = "container running 0 -\nlistens yes\nrunning-version 22.5.0\n";

    #[test]
    fn only_older_servers_are_upgraded_and_one_that_is_alone_is_named() {
        let all = vec![
            found(Kind::Media, "media-1", OLD),
            found(Kind::Media, "media-2", NEW),
            found(Kind::Queue, "queue-1", OLD),
            found(Kind::Queue, "queue-2", STOPPED),
            found(Kind::Ivr, "vr-1", ""),
        ];
        let answering = answering(&all);
        let (to_do, others) = sorted(all.into_iter(), "22.5.0");
        let names = to_do.iter().map(|it| it.entry.server.name.to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["media-1", "queue-1", "queue-2"]);
        assert_eq!(others.len(), 2);
        // While media-1 is down, media-2 answers; queue-2 does not.
        let alone = alone(&to_do, &answering);
        let names: Vec<String> = alone.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(names, ["queue-1"]);
    }
}
