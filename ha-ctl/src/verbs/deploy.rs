//! `deploy`: what will be done, a question, the phases of [`crate::deploy`], and the wait until the PBX answers.

mod answers;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use cib_gen::nodes::GivenNode;
use futures_util::future::join_all;
use nix::sys::termios::{FlushArg, tcflush};

pub(super) use answers::state;
use answers::{answers, can_fence};

use super::signals::Signals;
use crate::cli::{DeployArgs, SiteArgs};
use crate::deploy::{Deployment, Facts, Package, Site, System, look, pending};
use crate::exit::{Exit, Failure};
use crate::inventory::{self, Here, Inventory};
use crate::lock::lock;
use crate::output::{Progress, print, say};
use crate::reach::{CONNECT, Command, Fleet, Missing, Node, none_usable};
use crate::run::{Planned, Run};

/// Deploys.
///
/// # Errors
/// Something failed: nothing was changed, or some of it, and then how to go on.
pub(super) async fn deploy(args: &DeployArgs) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let package = match &args.package {
        Some(file) => Some(Package::read(file).await?),
        None => None,
    };
    let (inventory, vars, site) = site(&args.site, None).await?;
    let fleet = super::fleet_of(&inventory, &args.site)?;
    let nodes = connect(&fleet).await?;
    // A plan is only true for as long as nobody else changes something.
    let _lock = match args.dry_run {
        true => None,
        false => Some(lock(&nodes, "deploy").await?),
    };
    let mut deployment = found(nodes, site, vars, package).await?;
    deployment.certificate_manager = args.certificate_manager;
    let plan = Run::new(true);
    deployment.run(&plan).await?;
    let planned = plan.planned();
    print(&text(&planned, &deployment))?;
    match (planned.is_empty(), args.dry_run) {
        (true, true) => return Ok(Exit::Done),
        (false, true) => return Ok(Exit::Problems),
        (false, false) if !args.yes && !confirmed()? => {
            say("nothing was changed. With --yes, ha-ctl deploy does not ask");
            return Ok(Exit::Problems);
        }
        _ => {}
    }
    let mut signals = Signals::new();
    if !planned.is_empty() {
        act(&deployment, &Run::of(&plan), &mut signals).await?;
    }
    answers(fleet, &mut signals).await?;
    tokio::select! {
        fences = can_fence(&deployment) => fences?,
        () = signals.received() => {
            let text = "interrupted. The PBX answers. Whether a node could be fenced was not waited for\n  help: ha-ctl show";
            return Err(Failure::incomplete(text));
        }
    }
    let took = begun.elapsed().as_secs();
    let portal = deployment.site.portal();
    print(&format!("the PBX answers: {portal} ({took} s in all)\n"))?;
    if !deployment.is_configured() {
        print(&next_steps(&deployment.site, args.certificate_manager))?;
    }
    Ok(Exit::Done)
}

/// vars.yml, and what cib-gen makes of it, which asks EC2 for what the file does not say.
pub(super) async fn site(
    args: &SiteArgs,
    profile: Option<&str>,
) -> Result<(Inventory, String, Site), Failure> {
    let file: PathBuf = match &args.vars_file {
        Some(file) => file.clone(),
        None => inventory::default_file().ok_or_else(|| {
            Failure::usage(
                "which cluster? There is no vars.yml\n  help: name it, as VARS_FILE, in the same command",
            )
        })?,
    };
    let bytes = inventory::text(&file)?;
    let parsed = inventory::parse(&file.display().to_string(), &bytes)?;
    let vars = String::from_utf8_lossy(&bytes).into_owned();
    let given = args.nodes.iter();
    let given: Vec<String> = given
        .map(|node| format!("{}={}", node.name, node.address))
        .collect();
    let site = Site::ask(&vars, &given, profile).await?;
    let nodes = site.nodes.iter().map(|(name, address)| {
        let node = format!("{name}={address}").parse::<GivenNode>();
        node.map_err(|error| Failure::failed(format!("what cib-gen printed: {error}")))
    });
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let inventory = Inventory::of(Some((file, parsed)), &nodes, &Here::look())?;
    Ok((inventory, vars, site))
}

/// All nodes: a cluster is not made of some of them.
async fn connect(fleet: &Fleet) -> Result<Vec<Node>, Failure> {
    let _progress = Progress::begin("logging in on the nodes");
    let first = Command::look("logging in", ":");
    let connecting = fleet
        .machines()
        .iter()
        .map(|machine| fleet.connect(machine, CONNECT, &first));
    let (mut nodes, mut missing): (Vec<Node>, Vec<Missing>) = Default::default();
    for connected in join_all(connecting).await {
        match connected {
            Ok((node, _)) => nodes.push(node),
            Err(why) => missing.push(why),
        }
    }
    if missing.is_empty() {
        return Ok(nodes);
    }
    if nodes.is_empty() {
        return Err(none_usable(&missing));
    }
    let each: Vec<String> = missing.iter().map(Missing::text).collect();
    Err(Failure::failed(format!(
        "not every node can be used, and a deployment needs all of them. Nothing was changed\n{}",
        each.join("\n")
    )))
}

/// Looks at all nodes, once.
async fn found(
    nodes: Vec<Node>,
    site: Site,
    vars: String,
    package: Option<Package>,
) -> Result<Deployment, Failure> {
    let _progress = Progress::begin("looking at the nodes");
    let look = &look(&site);
    let looking = nodes
        .iter()
        .map(|node| async move { super::show::answer(node, look.clone()).await });
    let mut facts = Vec::new();
    for answer in join_all(looking).await {
        facts.push(Facts::parse(&answer?.stdout));
    }
    let pending = match facts.iter().any(Facts::is_configured) {
        true => pending(&nodes[0], &site, &vars).await?,
        false => None,
    };
    Ok(Deployment {
        site,
        vars,
        package,
        certificate_manager: false,
        nodes,
        facts,
        pending,
    })
}

/// What will be done, each line once, with the nodes that it concerns.
fn text(planned: &[Planned], deployment: &Deployment) -> String {
    if planned.is_empty() {
        return "nothing to change: everything that deploy does is done\n".to_owned();
    }
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for it in planned {
        let text = it.text();
        match lines.iter_mut().find(|(what, _)| *what == text) {
            Some((_, nodes)) => nodes.push(&it.node),
            None => lines.push((text, vec![&it.node])),
        }
    }
    let mut text = "to do, in this order:\n".to_owned();
    for (what, nodes) in lines {
        let where_ = match nodes.len() == deployment.nodes.len() {
            true => "all nodes".to_owned(),
            false => nodes.join(", "),
        };
        text += &format!("  {what}: {where_}\n");
    }
    if let Some(pending) = &deployment.pending {
        text += &format!(
            "cib-gen apply says of the running cluster:\n{}\n",
            pending.0
        );
    }
    text
}

/// Asks. Without a terminal there is nobody to ask.
pub(super) fn confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    // What was typed before the question is no answer to it.
    let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH);
    let mut stderr = io::stderr();
    let _ = write!(stderr, "Do this? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| {
        Failure::failed(format!(
            "could not read the answer: {error}. Nothing was changed"
        ))
    })?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Does it. Whoever interrupts this ends the watching, and not what the nodes do.
async fn act(deployment: &Deployment, run: &Run, signals: &mut Signals) -> Result<(), Failure> {
    let done = tokio::select! {
        done = deployment.run(run) => done,
        () = signals.received() => return Err(left(run)),
    };
    done.map_err(|failure| match failure.exit {
        Exit::Failed if run.has_changed() => Failure::incomplete(format!(
            "{}\nWhat was done before stays. The same command again goes on from there",
            failure.text
        )),
        _ => failure,
    })
}

/// What goes on without us.
pub(super) fn left(run: &Run) -> Failure {
    let steps = run.watched();
    let each = steps.iter().map(|(node, unit)| {
        format!("\n  {unit} goes on on {node}: journalctl --follow --unit {unit}   (there)")
    });
    let goes_on = match steps.is_empty() {
        true => "No long step is going on".to_owned(),
        false => "What the nodes do goes on".to_owned(),
    };
    Failure::incomplete(format!(
        "interrupted. {goes_on}{}\n  help: the same command again continues, here or on another machine",
        each.collect::<String>()
    ))
}

fn next_steps(site: &Site, certificate_manager: bool) -> String {
    let (public, fenced) = match &site.system {
        System::Aws(aws) => (
            aws.elastic_ip.clone(),
            "on one standby after the other: EC2 has to stop it. Then start it again".to_owned(),
        ),
        System::Lan(lan) => (
            "the address that the router maps to it".to_owned(),
            format!(
                "on one node after the other. Before the next one, all copies of the data have\n    to be up to date \
                 again: {}",
                lan.drbd.status_command()
            ),
        ),
    };
    format!(
        "{}next, in the portal:\n\
         \x20 - in the wizard, Private IPv4 is {} and Public IPv4 is {public}\n\
         \x20 - Advanced > Settings > Advanced: turn on Enable Call Recovery, or calls do not survive a failover\n\
         and before it is in use:\n\
         \x20 - compare /etc/portsip/pbx/docker-compose.yml with your PBX's own, if deploy has written it\n\
         \x20 - sudo pcs stonith fence NODE   {fenced}\n\
         \x20 - the key that vars.yml names, in the same place on each node, mode 0600: ha-ctl then works from any node\n\
         \x20 - ha-ctl show   and ha-ctl check\n",
        match certificate_manager {
            true =>
                "port 443/tcp has to be open to the Internet: the certificate manager is called there\n",
            false => "",
        },
        site.virtual_address
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(node: &str, what: &str) -> Planned {
        Planned {
            node: node.to_owned(),
            what: what.to_owned(),
            goes_on: false,
        }
    }

    fn deployment(nodes: &[&str]) -> Deployment {
        Deployment {
            site: crate::deploy::samples::aws(),
            vars: String::new(),
            package: None,
            certificate_manager: false,
            nodes: nodes
                .iter()
                .map(|name| crate::reach::test_node(name))
                .collect(),
            facts: Vec::new(),
            pending: None,
        }
    }

    #[test]
    fn what_is_planned_is_said_once_for_all_nodes() {
        let planned = [
            planned("n1", "write a file"),
            planned("n2", "write a file"),
            planned("n1", "prepare the volume"),
        ];
        assert_eq!(
            text(&planned, &deployment(&["n1", "n2"])),
            "to do, in this order:\n  write a file: all nodes\n  prepare the volume: n1\n"
        );
        assert!(text(&[], &deployment(&["n1"])).starts_with("nothing to change"));
    }

    #[test]
    fn the_last_words_say_where_the_portal_is_and_what_to_enter() {
        let (aws, lan) = (crate::deploy::samples::aws(), crate::deploy::samples::lan());
        insta::assert_snapshot!(next_steps(&aws, false));
        insta::assert_snapshot!(next_steps(&lan, false));
        assert!(next_steps(&aws, true).contains("443/tcp"));
    }

    #[test]
    fn an_interruption_says_that_no_step_is_lost() {
        let failure = left(&Run::new(false));
        assert_eq!(failure.exit, Exit::Incomplete);
        assert!(
            failure.text.starts_with("interrupted. No long step"),
            "{failure}"
        );
    }
}
