//! `extend run`: what will be done, a question, and then all servers at once.

use std::time::Instant;

use super::contact::{Contact, Found, all};
use super::outcome::{How, Outcome, summary};
use super::portal;
use cib_gen::ec2_facts::ServerAnswers;

use crate::cli::ExtendRunArgs;
use crate::exit::{Exit, Failure};
use crate::extend::{
    At, Cluster, Entry, Finding, Installation, Request, Wanted, ask_ec2, ec2_answers, ec2_warnings,
    findings, look, of_file, of_options, refused, resolved,
};
use crate::output::{print, say};
use crate::reach::Fleet;
use crate::run::{Planned, Run};
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::signals::Signals;

/// Sets up extended servers.
///
/// # Errors
/// A mistake in what was asked for, or nothing could be done.
pub(super) async fn run(args: &ExtendRunArgs) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let requests = match &args.from {
        Some(file) => of_file(file)?,
        None => of_options(&args.servers.options)?,
    };
    let change = (!args.dry_run).then_some("extend run");
    let contact = Contact::new(&args.site, change).await?;
    let cluster = Cluster::of(&contact.said)?;
    let ec2 = ask(&contact, &requests).await?;
    let asked: Vec<String> = requests.iter().map(|it| it.at.to_string()).collect();
    let wanted = resolved(requests, ec2.as_ref())?;
    for (Wanted { server, .. }, asked) in wanted.iter().zip(&asked) {
        let said = ec2.iter().flat_map(|ec2| ec2_warnings(server, asked, ec2));
        said.for_each(|text| say(&format!("warning: {server}: {text}")));
    }
    refuse_nodes(&wanted, &contact.fleet, &cluster)?;
    contact.register.accepts(&wanted)?;

    let entries = wanted.iter().map(|it| entry(it, &contact, &cluster));
    let found = contact
        .reach(entries.collect(), |entry| look(entry, &cluster))
        .await;
    let (installations, left_out) = sorted(found, &cluster);
    let new: Vec<Entry> = changed(&installations, &contact);
    let plan = plan(&installations, &new, &contact, &cluster).await?;
    let planned = plan.planned();
    print(&text(&planned, &installations, &cluster))?;
    print(&portal::before(&new.iter().collect::<Vec<_>>(), &cluster))?;
    if args.dry_run {
        let exit = summary(&left_out, &Run::new(true), false)?;
        return Ok(match (planned.is_empty(), exit) {
            (true, exit) => exit,
            (false, _) => Exit::Problems,
        });
    }
    if !planned.is_empty() && !args.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl extend run does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::of(&plan);
    let mut signals = Signals::new();
    let working = act(&installations, &new, &contact, &cluster, &run);
    let (mut outcomes, missed) = tokio::select! {
        done = working => run.judge(done)?,
        () = signals.received() => return Err(left(&run)),
    };
    let done: Vec<&Entry> = installations
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.is_done())
        .map(|(it, _)| &it.entry)
        .filter(|it| new.contains(it))
        .collect();
    outcomes.extend(left_out);
    let exit = summary(&outcomes, &run, missed)?;
    print(&portal::after(&done))?;
    say(&format!("{} s in all", begun.elapsed().as_secs()));
    Ok(exit)
}

/// What EC2 says of the machines; nothing on a LAN. Where it cannot be asked, addresses will do.
///
/// # Errors
/// It cannot be asked, and is needed for an address.
async fn ask(contact: &Contact, requests: &[Request]) -> Result<Option<ServerAnswers>, Failure> {
    let command = ask_ec2(requests);
    let mut said = Vec::new();
    for node in &contact.nodes {
        let answer = node.run(&command).await;
        match answer
            .map_err(|cause| cause.found())
            .and_then(|it| ec2_answers(&it))
        {
            Ok(answers) => return Ok(answers),
            Err(why) => said.push(format!("{}: {why}", node.name)),
        }
    }
    let said = said.join("\n");
    let mut at = requests.iter().map(|it| &it.at);
    match at.find(|at| matches!(at, At::Instance(_))) {
        None => {
            say(&format!(
                "warning: security groups and public addresses were not looked at, because no node could ask EC2:\n{said}"
            ));
            Ok(None)
        }
        Some(id) => Err(Failure::failed(format!(
            "the address of {id} is not known, because no node could ask EC2. Nothing was changed\n{said}\n  help: the \
             nodes need /etc/portsip/vars.yml and the rights of cib-gen --format iam-policy; or -a ADDRESS"
        ))),
    }
}

/// An address that the cluster has is none of an extended server.
fn refuse_nodes(wanted: &[Wanted], fleet: &Fleet, cluster: &Cluster) -> Result<(), Failure> {
    let mut mistakes = Vec::new();
    for Wanted { place, server } in wanted {
        let address = server.address;
        let nodes = fleet.machines().iter();
        let mut nodes = nodes.filter(|machine| machine.host() == address.to_string());
        if let Some(node) = nodes.next() {
            mistakes.push(format!(
                "{place}: {address} is the node {} of the cluster, and an extended server needs a machine of its own",
                node.name
            ));
        }
        if address == cluster.vip {
            mistakes.push(format!(
                "{place}: {address} is the virtual address of the PBX. -a is the address of the server"
            ));
        }
    }
    refused(mistakes)
}

/// The server as the list has it, or a new one.
fn entry(wanted: &Wanted, contact: &Contact, cluster: &Cluster) -> Entry {
    let mut known = contact.register.servers.iter();
    let known = known.find(|it| it.server.name == wanted.server.name);
    let mut server = wanted.server.clone();
    server.public_address = server
        .public_address
        .or_else(|| known.and_then(|it| it.server.public_address));
    let kind = server.kind;
    Entry {
        server,
        data: known.map_or_else(
            || format!("{}/{kind}", cluster.data_path.trim_end_matches('/')),
            |it| it.data.clone(),
        ),
    }
}

/// Those that can be set up, and what became of the others.
fn sorted(found: Vec<Found>, cluster: &Cluster) -> (Vec<Installation>, Vec<Outcome>) {
    let (mut installations, mut left_out) = (Vec::new(), Vec::new());
    for (entry, found) in found {
        let (node, facts) = match found {
            Ok(found) => found,
            Err(missing) => {
                left_out.push(Outcome::new(&entry.server, How::Unreachable(missing)));
                continue;
            }
        };
        let (errors, warnings): (Vec<Finding>, Vec<Finding>) = findings(&entry, &facts, cluster)
            .into_iter()
            .partition(|it| it.is_error);
        for warning in warnings {
            say(&format!("warning: {}: {}", entry.server, warning.text));
        }
        if errors.is_empty() {
            installations.push(Installation::new(entry, node, facts));
            continue;
        }
        let errors: Vec<String> = errors
            .into_iter()
            .map(|it| format!("{}: {}", entry.server, it.text))
            .collect();
        let failure = Failure::failed(errors.join("\nerror: "));
        left_out.push(Outcome::new(&entry.server, How::Failed(failure)));
    }
    (installations, left_out)
}

/// The servers that the list does not have like this.
fn changed(installations: &[Installation], contact: &Contact) -> Vec<Entry> {
    let entries = installations.iter().map(|it| &it.entry);
    let changed = entries.filter(|entry| !contact.register.servers.contains(entry));
    changed.cloned().collect()
}

async fn plan(
    installations: &[Installation],
    new: &[Entry],
    contact: &Contact,
    cluster: &Cluster,
) -> Result<Run, Failure> {
    let run = Run::new(true);
    if let Some(register) = contact.adding(new) {
        contact.write(&register, &run).await?;
    }
    let sources = &contact.sources(cluster);
    let planning = installations
        .iter()
        .map(|it| it.run(cluster, sources, &run));
    for done in all(planning).await {
        done?;
    }
    Ok(run)
}

/// What will be done, each line once, with the machines that it concerns.
fn text(planned: &[Planned], installations: &[Installation], cluster: &Cluster) -> String {
    let of_vendor = installations.iter().filter(|it| it.is_of_vendor(cluster));
    let mut text: String = of_vendor
        .map(|it| {
            format!(
                "{} was set up by the vendor's script, and is taken over as it is\n",
                it.entry.server
            )
        })
        .collect();
    if planned.is_empty() {
        if !installations.is_empty() {
            text += "nothing to change: the servers that can be reached are set up and answer\n";
        }
        return text;
    }
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for it in planned {
        let text = it.text();
        match lines.iter_mut().find(|(what, _)| *what == text) {
            Some((_, machines)) => machines.push(&it.node),
            None => lines.push((text, vec![&it.node])),
        }
    }
    text += "to do, in this order:\n";
    for (what, machines) in lines {
        text += &format!("  {what}: {}\n", machines.join(", "));
    }
    text
}

/// Puts the servers on the list, so that one that is half done is known, and sets them up.
async fn act(
    installations: &[Installation],
    new: &[Entry],
    contact: &Contact,
    cluster: &Cluster,
    run: &Run,
) -> Result<(Vec<Outcome>, bool), Failure> {
    let missed = match contact.adding(new) {
        Some(register) => contact.write(&register, run).await?,
        None => false,
    };
    let sources = &contact.sources(cluster);
    let working = installations.iter().map(|it| async move {
        let how = match it.run(cluster, sources, run).await {
            Ok(()) => How::Done("set up: it answers".to_owned()),
            Err(failure) => How::Failed(failure),
        };
        Outcome::new(&it.entry.server, how)
    });
    Ok((all(working).await, missed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_is_said_once_for_all_machines() {
        let planned = |node: &str, what: &str| Planned {
            node: node.to_owned(),
            what: what.to_owned(),
            goes_on: false,
        };
        let cluster = Cluster {
            vip: "192.168.1.130".parse().unwrap_or_else(|e| panic!("{e}")),
            data_path: "/var/lib/portsip".to_owned(),
            web_port: 8887,
            image: "portsip/pbx:22".to_owned(),
            version: None,
            digest: None,
            image_id: None,
            is_not_upgraded: false,
            os: "ubuntu 24.04".to_owned(),
            ahead: None,
        };
        let all = [
            planned("media-1", "install Docker"),
            planned("media-2", "install Docker"),
            planned("media-1", "start media-1"),
        ];
        assert_eq!(
            text(&all, &[], &cluster),
            "to do, in this order:\n  install Docker: media-1, media-2\n  start media-1: media-1\n"
        );
        assert_eq!(text(&[], &[], &cluster), "");
    }
}
