//! What an update finds: the cluster, what is on record, and what is on the nodes.

use std::path::PathBuf;

use futures_util::future::join_all;

use crate::cli::Wanted;
use crate::cluster::{Configuration, State};
use crate::commands;
use crate::deploy::Site;
use crate::exit::Failure;
use crate::inventory;
use crate::output::say;
use crate::reach::{CONNECT, Missing, Node};
use crate::run::Run;
use crate::update::{Facts, Image, NOTE, Record, is_older, look};
use crate::verbs::contact::Contact;
use crate::verbs::gather::{Ask, gather};
use crate::verbs::show::answer;

/// The cluster of an update.
pub(super) struct Found {
    /// The node that speaks for the cluster, and the others.
    pub(super) contact: Contact,
    pub(super) site: Site,
    /// vars.yml as it was written, and where.
    pub(super) vars: String,
    pub(super) vars_file: Option<PathBuf>,
    pub(super) state: State,
    pub(super) configuration: Configuration,
    /// What is on record of the last update.
    pub(super) record: Option<Record>,
    /// The node with the data.
    pub(super) active: String,
    /// The nodes that can run the PBX and can be reached, and what is on them.
    pub(super) nodes: Vec<(Node, Facts)>,
    /// Those that can run it and cannot be reached.
    pub(super) missing: Vec<Missing>,
    /// The image that was looked for.
    image: String,
}

/// Looks, and changes nothing.
pub(super) async fn find(wanted: &Wanted) -> Result<Found, Failure> {
    let (inventory, vars, site) = crate::verbs::deploy::site(&wanted.site).await?;
    let fleet = crate::verbs::fleet_of(&inventory, &wanted.site)?;
    let gathered = gather(&fleet, Ask::State).await?;
    let (state, speaker) = (gathered.state, gathered.node);
    let configuration = answer(&speaker, commands::configuration()).await?;
    let configuration = Configuration::parse(&configuration.stdout).map_err(|error| {
        let name = &speaker.name;
        Failure::failed(format!(
            "what cibadmin printed on {name} cannot be used: {error}"
        ))
    })?;
    let record = record(&configuration);
    let active = refuse(&state, record.as_ref())?;
    // What there is to go back from has an image too.
    let image = wanted.image.clone();
    let image = image.or_else(|| record.as_ref().map(|it| it.image.clone()));
    let image = image.unwrap_or_else(|| site.image.clone());
    let look = look(&image, &site.data_path);
    let machines = fleet.machines().iter();
    let machines = machines.filter(|machine| site.can_run_pbx(&machine.name));
    let connecting = machines.map(|machine| fleet.connect(machine, CONNECT, &look));
    let (mut nodes, mut missing) = (Vec::new(), Vec::new());
    for connected in join_all(connecting).await {
        match connected {
            Ok((node, answer)) => nodes.push((node, Facts::parse(&answer.stdout))),
            Err(why) => missing.push(why),
        }
    }
    let vars_file = inventory.vars.map(|(file, _)| file);
    let found = Found {
        contact: Contact::new(fleet, speaker),
        site,
        vars,
        vars_file,
        state,
        configuration,
        record,
        active,
        nodes,
        missing,
        image,
    };
    found.refuse_nodes()?;
    Ok(found)
}

fn record(configuration: &Configuration) -> Option<Record> {
    let notes = configuration.notes();
    let note = notes.iter().find(|note| note.name == NOTE)?;
    Record::parse(&note.text)
}

/// The node with the data. While something else is wrong, nothing is updated.
fn refuse(state: &State, record: Option<&Record>) -> Result<String, Failure> {
    let refused = |why: &str| {
        Failure::failed(format!(
            "{why}. Nothing was changed\n  help: ha-ctl show   says what is in the way"
        ))
    };
    if !state.quorum {
        return Err(refused("the cluster has no majority"));
    }
    if let [node, ..] = &state.unclean()[..] {
        return Err(refused(&format!("{node} is lost and not fenced yet")));
    }
    if state.maintenance {
        return Err(refused("the cluster is in maintenance mode"));
    }
    let mut pbx = state.instances("pbx").peekable();
    if pbx.peek().is_none() {
        return Err(refused("the cluster has no resource pbx"));
    }
    let is_settled = pbx.all(|it| it.is_started() || it.is_disabled());
    if !is_settled && record.is_none_or(|it| !it.is_going_on()) {
        return Err(refused("pbx neither runs nor was it stopped by somebody"));
    }
    let master = state.master().map(str::to_owned);
    master.ok_or_else(|| refused("no node has the data"))
}

impl Found {
    fn refuse_nodes(&self) -> Result<(), Failure> {
        let Some((node, facts)) = self.nodes.iter().find(|(node, _)| node.name == self.active)
        else {
            let missing = self.missing.iter().find(|it| it.name == self.active);
            let text = missing.map(Missing::text).unwrap_or_default();
            return Err(Failure::failed(format!(
                "{} has the data, and cannot be used. Nothing was changed\n{text}",
                self.active
            )));
        };
        if facts.data.is_none() {
            return Err(Failure::failed(format!(
                "{} is not mounted on {}, although the cluster has the data there. Nothing was changed\n  help: ha-ctl show",
                self.site.data_path, node.name
            )));
        }
        for (node, facts) in &self.nodes {
            let lacks = match facts {
                it if !it.has_docker => "Docker does not run",
                it if !it.has_project => "there is no compose file in /etc/portsip/pbx",
                it if it.env_image.is_none() => "/etc/portsip/pbx/.env names no PBX_IMAGE",
                it if it.pbx().is_none() => "the PBX has no containers",
                _ => continue,
            };
            return Err(Failure::failed(format!(
                "{lacks} on {}. Nothing was changed\n  help: ha-ctl deploy   brings the node up to the others",
                node.name
            )));
        }
        Ok(())
    }

    /// Looks at the nodes again.
    pub(super) async fn look_again(&mut self) -> Result<(), Failure> {
        let look = look(&self.image, &self.site.data_path);
        let looking = self.nodes.iter();
        let looking = looking.map(|(node, _)| answer(node, look.clone()));
        let answers = join_all(looking).await;
        for ((_, facts), answer) in self.nodes.iter_mut().zip(answers) {
            *facts = Facts::parse(&answer?.stdout);
        }
        Ok(())
    }

    /// The node with the data, and what is on it.
    pub(super) fn active(&self) -> Option<&(Node, Facts)> {
        self.nodes.iter().find(|(node, _)| node.name == self.active)
    }

    pub(super) fn active_node(&self) -> Result<&Node, Failure> {
        let active = self.active().map(|(node, _)| node);
        active.ok_or_else(|| Failure::failed(format!("{} cannot be used", self.active)))
    }

    /// Whether the PBX runs.
    pub(super) fn runs(&self) -> bool {
        self.state.instances("pbx").any(|it| it.is_active())
    }

    /// The version that the containers are of, where the data is.
    pub(super) fn version(&self) -> &str {
        let pbx = self.active().and_then(|(_, facts)| facts.pbx());
        pbx.map(|it| it.version.as_str()).unwrap_or_default()
    }

    /// The version of the data.
    pub(super) fn data(&self) -> &str {
        let data = self.active().and_then(|(_, facts)| facts.data.as_deref());
        data.unwrap_or_default()
    }

    /// What the name of the image means on the node with the data, if the PBX and its data may get it.
    pub(super) fn new_image(&self) -> Result<Image, Failure> {
        let image = &self.image;
        let tagged = self.active().and_then(|(_, facts)| facts.tagged.clone());
        let refused = |why: String, help: &str| {
            Failure::failed(format!(
                "{why}. The PBX and its data were left as they are\n  help: {help}"
            ))
        };
        let Some(new) = tagged else {
            return Err(refused(
                format!("{image} is not on {}", self.active),
                "sudo docker image inspect IMAGE   (there)",
            ));
        };
        if new.version.is_empty() {
            return Err(refused(
                format!(
                    "{image} has no label `version`, so that it cannot be compared with the data"
                ),
                "is it an image of the PBX?",
            ));
        }
        let older = [("the data", self.data()), ("the PBX", self.version())];
        for (what, version) in older {
            if is_older(&new.version, version) {
                return Err(refused(
                    format!(
                        "{image} has the version {}, and {what} is newer: {version}",
                        new.version
                    ),
                    "the way back from the last update is: ha-ctl update --rollback",
                ));
            }
        }
        Ok(new)
    }

    /// Writes down how far the update is.
    pub(super) async fn write(&mut self, record: Record, run: &Run) -> Result<(), Failure> {
        let note = commands::write_note(NOTE, &record.to_string());
        run.change(&self.contact.node(), &note).await?;
        self.record = Some(record);
        Ok(())
    }

    /// Says which nodes are left as they are.
    pub(super) fn say_missing(&self) {
        for missing in &self.missing {
            say(&format!(
                "{}\n{} keeps its version, and cannot take over until `ha-ctl update` is run again",
                missing.text(),
                missing.name
            ));
        }
    }
}

/// Whether vars.yml is the file that is on every node.
pub(super) fn is_default(file: Option<&PathBuf>) -> bool {
    file.is_none_or(|file| inventory::default_file().is_some_and(|it| it == *file))
}
