//! A deployment: from machines with a stock system to a PBX that answers. Each phase has a file, decides from facts
//! that were read before the first one whether it has work, and changes nodes through [`Run`] alone, so that a dry run
//! of the same phases is the plan. Nothing here asks a person or waits for the PBX; `verbs::deploy` does.

mod cib_gen;
mod cluster;
mod containers;
mod copies;
mod facts;
mod host_keys;
mod images;
mod package;
mod project;
mod resources;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod sandbox;
mod secret;
mod settings;
mod site;
mod storage;
mod tools;
mod vars_file;
mod watchdog;

use futures_util::future::join_all;

pub(crate) use self::cib_gen::cib_gen;
pub use facts::{Facts, look};
pub(crate) use images::{PULL, same_image};
pub use package::Package;
pub(crate) use project::{PROJECT, env as env_file};
pub(crate) use resources::apply;
pub use resources::{Pending, pending};
pub use site::{Drbd, Site, System};
pub(crate) use vars_file::copy as copy_vars;

use crate::exit::{Exit, Failure};
use crate::output::say;
use crate::reach::Node;
use crate::run::Run;

/// A part of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Package,
    Watchdog,
    Tools,
    Settings,
    VarsFile,
    HostKeys,
    Cluster,
    Project,
    Images,
    Copies,
    Storage,
    Containers,
    Resources,
}

/// Everything that a deployment does, in this order. Fencing is one of the resources. Watchdog, tools and copies are
/// of a LAN: the facts of a site on AWS ask for none.
const PHASES: [Phase; 13] = [
    Phase::Package,
    Phase::Watchdog,
    Phase::Tools,
    Phase::Settings,
    Phase::VarsFile,
    Phase::HostKeys,
    Phase::Cluster,
    Phase::Project,
    Phase::Images,
    Phase::Copies,
    Phase::Storage,
    Phase::Containers,
    Phase::Resources,
];

impl Phase {
    async fn run(self, deployment: &Deployment, run: &Run) -> Result<(), Failure> {
        match self {
            Phase::Package => package::run(deployment, run).await,
            Phase::Watchdog => watchdog::run(deployment, run).await,
            Phase::Tools => tools::run(deployment, run).await,
            Phase::Settings => settings::run(deployment, run).await,
            Phase::VarsFile => vars_file::run(deployment, run).await,
            Phase::HostKeys => host_keys::run(deployment, run).await,
            Phase::Cluster => cluster::run(deployment, run).await,
            Phase::Project => project::run(deployment, run).await,
            Phase::Images => images::run(deployment, run).await,
            Phase::Copies => copies::run(deployment, run).await,
            Phase::Storage => storage::run(deployment, run).await,
            Phase::Containers => containers::run(deployment, run).await,
            Phase::Resources => resources::run(deployment, run).await,
        }
    }
}

/// A deployment of one site, with what was found before it.
#[derive(Debug)]
pub struct Deployment {
    /// What vars.yml and EC2 say.
    pub site: Site,
    /// vars.yml as it was written.
    pub vars: String,
    /// The package to install, if one was given.
    pub package: Option<Package>,
    /// Whether the PBX has the vendor's certificate manager too.
    pub certificate_manager: bool,
    /// The nodes, pbx01 first.
    pub nodes: Vec<Node>,
    /// What was found on each, in the same order.
    pub facts: Vec<Facts>,
    /// What `cib-gen apply` would change, where the cluster is configured.
    pub pending: Option<Pending>,
}

impl Deployment {
    /// Goes through all phases.
    ///
    /// # Errors
    /// What failed, on each node where something did. What was done until then stays.
    pub async fn run(&self, run: &Run) -> Result<(), Failure> {
        self.refuse()?;
        for phase in PHASES {
            phase.run(self, run).await?;
        }
        Ok(())
    }

    /// What a deployment would break, or could not use.
    fn refuse(&self) -> Result<(), Failure> {
        let mut refused = Vec::new();
        for (node, facts) in self.each() {
            let name = &node.name;
            // That of a cluster may have the vendor's project, and is Pacemaker's.
            if let Some(other) = facts.other_pbx().filter(|_| !self.is_configured()) {
                let (container, directory) = other.split_once(' ').unwrap_or((other, ""));
                refused.push(format!(
                    "a PBX runs on {name} already: {container}, whose project is in {directory}\n  help: a backup of its \
                     data, then sudo docker compose --project-directory {directory} down   (there). Its data is not \
                     brought to the cluster by deploy"
                ));
            }
            if facts.has_snap() {
                refused.push(format!(
                    "Docker on {name} is a snap, which has its own files and unit, and is not used\n  help: sudo snap \
                     remove docker   (there), after what it runs was moved away"
                ));
            }
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(Failure::failed(format!(
                "{}\nNothing was changed",
                refused.join("\nerror: ")
            ))),
        }
    }

    /// Whether the cluster has the PBX's resources.
    pub fn is_configured(&self) -> bool {
        self.facts.iter().any(Facts::is_configured)
    }

    /// Whether the cluster has the volume, or may have it at any moment: an earlier run configures it just now.
    fn is_in_use(&self) -> bool {
        let mut facts = self.facts.iter();
        self.is_configured() || facts.any(|it| it.runs(resources::STEP))
    }

    /// The nodes with what was found on them.
    fn each(&self) -> impl Iterator<Item = (&Node, &Facts)> {
        self.nodes.iter().zip(&self.facts)
    }

    /// Those that can have the data, and so run the PBX.
    fn each_with_data(&self) -> impl Iterator<Item = (&Node, &Facts)> {
        self.each()
            .filter(|(node, _)| self.site.can_run_pbx(&node.name))
    }

    /// The first node for which something holds, or else pbx01.
    fn node_where(&self, holds: impl Fn(&Facts) -> bool) -> &Node {
        let found = self.each().find(|(_, facts)| holds(facts));
        found.map_or(&self.nodes[0], |(node, _)| node)
    }
}

/// Waits for all, and says all that has failed: one node does not hide another.
///
/// # Errors
/// Those of all that have failed.
pub(crate) async fn all(
    works: impl IntoIterator<Item = impl Future<Output = Result<(), Failure>>>,
) -> Result<(), Failure> {
    let mut failed: Vec<Failure> = join_all(works)
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    let Some(last) = failed.pop() else {
        return Ok(());
    };
    let mut exit = last.exit;
    for failure in failed {
        say(&format!("error: {failure}"));
        if failure.exit == Exit::Incomplete {
            exit = Exit::Incomplete;
        }
    }
    Err(Failure::with(exit, last.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::{Command, test_node};

    #[tokio::test]
    async fn what_has_failed_on_one_node_does_not_hide_another() {
        let (run, node) = (Run::new(false), test_node("n1"));
        let mut command = Command::look("touch", "exit 1");
        command.sudo = false;
        let commands = [command.clone(), command];
        let failed = all(commands
            .iter()
            .map(|command| async { run.change(&node, command).await.map(drop) }))
        .await;
        assert!(failed.is_err());
        assert!(run.has_changed());
    }

    #[test]
    fn no_phase_comes_twice_and_the_data_comes_before_the_resources() {
        let place = |phase| PHASES.iter().position(|it| *it == phase);
        for phase in PHASES {
            assert_eq!(PHASES.iter().filter(|it| **it == phase).count(), 1);
        }
        // Corosync does not start on a machine with SBD and without a watchdog.
        assert!(place(Phase::Watchdog) < place(Phase::Tools));
        assert!(place(Phase::Tools) < place(Phase::Cluster));
        assert!(place(Phase::Copies) < place(Phase::Storage));
        assert!(place(Phase::Storage) < place(Phase::Resources));
        assert!(place(Phase::Containers) < place(Phase::Resources));
    }
}
