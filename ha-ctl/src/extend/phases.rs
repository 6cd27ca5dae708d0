//! Setting up one extended server: phases, each of which decides from what was found whether it has work, and changes
//! the machine through [`Run`] alone, so that a dry run of the same phases is the plan.

use std::time::Duration;

use super::cluster::Cluster;
use super::control;
use super::docker;
use super::facts::{Facts, SETTINGS, State};
use super::image;
use super::project;
use super::register::Entry;
use crate::exit::{Exit, Failure};
use crate::hand_on::Sources;
use crate::reach::Node;
use crate::run::Run;

/// A part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Docker,
    Settings,
    Data,
    Image,
    Project,
    Up,
}

/// Everything that is done, in this order.
const PHASES: [Phase; 6] = [
    Phase::Docker,
    Phase::Settings,
    Phase::Data,
    Phase::Image,
    Phase::Project,
    Phase::Up,
];

/// A server to be set up, with what was found on its machine.
#[derive(Debug)]
pub struct Installation {
    /// The server.
    pub entry: Entry,
    /// Its machine.
    pub node: Node,
    /// What was found there.
    pub facts: Facts,
}

impl Installation {
    /// With the directory of the data that a container has which is there already.
    pub fn new(mut entry: Entry, node: Node, facts: Facts) -> Installation {
        if let Some(data) = facts.data() {
            data.clone_into(&mut entry.data);
        }
        Installation { entry, node, facts }
    }

    /// Goes through all phases.
    ///
    /// # Errors
    /// What failed. What was done until then stays.
    pub async fn run<'a>(
        &'a self,
        cluster: &Cluster,
        sources: &Sources<'a>,
        run: &Run,
    ) -> Result<(), Failure> {
        for phase in PHASES {
            phase.run(self, cluster, sources, run).await?;
        }
        Ok(())
    }

    /// Fetches the image that the PBX runs from, while the server goes on with the one that it has.
    ///
    /// # Errors
    /// What failed.
    pub async fn fetch<'a>(
        &'a self,
        cluster: &Cluster,
        sources: &Sources<'a>,
        run: &Run,
    ) -> Result<(), Failure> {
        if self.facts.has_image(cluster.version.as_deref()) {
            return Ok(());
        }
        match run.step(&self.node, &image::fetch(cluster)).await {
            // Somebody may have to look at the machine before.
            Err(failure) if failure.exit == Exit::Failed => {
                let images = image::handed_on(cluster);
                sources.hand_on(&images, &self.node, failure, run).await
            }
            fetched => fetched,
        }
    }

    /// Makes the container anew from that image.
    ///
    /// # Errors
    /// What failed.
    pub async fn upgrade(
        &self,
        cluster: &Cluster,
        drain: Duration,
        run: &Run,
    ) -> Result<(), Failure> {
        let wanted = project::compose_file(&self.entry, cluster, &self.facts);
        if self.facts.compose_file() != wanted {
            let write = project::write(self.entry.server.kind, &wanted);
            run.change(&self.node, &write).await?;
        }
        let step = match self.facts.state() {
            State::Stopped => control::upgrade_stopped(&self.entry),
            _ => control::upgrade(&self.entry, drain),
        };
        run.step(&self.node, &step).await
    }

    /// Whether the container is the one that is wanted. One that the vendor's script has made is left as it is.
    pub fn has_container(&self, cluster: &Cluster) -> bool {
        project::is_as_wanted(&self.entry, cluster, &self.facts)
    }

    /// Whether the vendor's script has set it up: its project has no file where ours is.
    pub fn is_of_vendor(&self, cluster: &Cluster) -> bool {
        self.has_container(cluster) && self.facts.compose_file().is_empty()
    }
}

impl Phase {
    async fn run<'a>(
        self,
        this: &'a Installation,
        cluster: &Cluster,
        sources: &Sources<'a>,
        run: &Run,
    ) -> Result<(), Failure> {
        let Installation { entry, node, facts } = this;
        let has_container = this.has_container(cluster);
        match self {
            Phase::Docker if !facts.has_docker() => run.step(node, &docker::install()).await,
            Phase::Settings => {
                for setting in SETTINGS {
                    if !facts.has_file(setting.path) {
                        run.change(node, &setting.write()).await?;
                    }
                }
                Ok(())
            }
            Phase::Data if !has_container && !facts.data_is_ours() => {
                let make = project::make_data(&entry.data);
                run.change(node, &make).await.map(drop)
            }
            Phase::Image if !has_container => this.fetch(cluster, sources, run).await,
            Phase::Project if !this.is_of_vendor(cluster) => {
                let wanted = project::compose_file(entry, cluster, facts);
                if facts.compose_file() == wanted {
                    return Ok(());
                }
                let write = project::write(entry.server.kind, &wanted);
                run.change(node, &write).await.map(drop)
            }
            Phase::Up if !has_container => {
                let is_there = facts.state() != State::Missing;
                run.step(node, &control::bring_up(entry, is_there)).await
            }
            Phase::Up if facts.state() != State::Answers => {
                run.step(node, &control::Action::Start.step(entry)).await
            }
            Phase::Docker | Phase::Data | Phase::Image | Phase::Project | Phase::Up => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::cluster::tests::cluster;
    use super::super::kind::Kind;
    use super::super::register::tests::entry;
    use super::*;
    use crate::reach::test_node;

    /// What is planned on a machine where this was found.
    async fn planned(printed: &str) -> Vec<String> {
        let entry = entry(Kind::Media, "media-1", "192.168.1.21");
        let facts = Facts::parse(printed, 0.0);
        let installation = Installation::new(entry, test_node("media-1"), facts);
        let run = Run::new(true);
        // Steps look at the node: here, at this machine, as the user that runs the test.
        let nobody = Sources::new(Vec::new());
        installation.run(&cluster(), &nobody, &run).await.unwrap();
        run.planned().into_iter().map(|it| it.what).collect()
    }

    fn settings() -> String {
        let files = SETTINGS.map(|it| format!("file {}\n", it.path));
        files.concat()
    }

    const RUNNING: &str = "compose 2.26\ncontainer running 0 -\ncommand [\"/usr/local/bin/mediaserver\",\"-D\",\
        \"/var/lib/portsip/pbx\",\"-E\",\"-a\",\"192.168.1.130\",\"-x\",\"192.168.1.21\",\"-n\",\"media-1\",\"start\"]\n\
        policy unless-stopped\nlistens yes\nmount /data/media-server-only\n";

    #[tokio::test]
    async fn a_server_that_the_vendors_script_has_set_up_is_left_as_it_is() {
        assert!(
            planned(&format!("{RUNNING}{}", settings()))
                .await
                .is_empty()
        );
    }

    #[test]
    fn a_server_that_is_there_keeps_its_data_where_they_are() {
        let entry = entry(Kind::Media, "media-1", "192.168.1.21");
        let facts = Facts::parse(RUNNING, 0.0);
        let installation = Installation::new(entry, test_node("media-1"), facts);
        assert_eq!(installation.entry.data, "/data/media-server-only");
        assert!(installation.is_of_vendor(&cluster()));
    }

    #[test]
    fn no_phase_comes_twice_and_the_image_comes_before_the_start() {
        let place = |phase| PHASES.iter().position(|it| *it == phase);
        for phase in PHASES {
            assert_eq!(PHASES.iter().filter(|it| **it == phase).count(), 1);
        }
        assert!(place(Phase::Docker) < place(Phase::Settings));
        assert!(place(Phase::Image) < place(Phase::Up));
    }
}
