//! What an update finds: the cluster, what is on record, and what is on the nodes.

use std::path::PathBuf;

use futures_util::future::join_all;

use super::back_lan;
use crate::cli::Wanted;
use crate::cluster::{Configuration, State};
use crate::commands;
use crate::deploy::{Site, all, copy_vars};
use crate::exit::Failure;
use crate::inventory::{self, Machine};
use crate::output::{Progress, say};
use crate::reach::{Answer, CONNECT, Command, Missing, Node};
use crate::run::Run;
use crate::update::{Facts, Image, NOTE, NOTE_BEFORE, Record, Stage, is_older, look};
use crate::verbs::contact::Contact;
use crate::verbs::gather::{Ask, gather};
use crate::verbs::of_vars::refuse_other_volume;
use crate::verbs::show::{answer, configuration};

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
    record: Option<Record>,
    /// And of the one before, while the last one can still be taken off the record.
    record_before: Option<Record>,
    /// The node with the data; while a way back goes on, any.
    pub(super) active: String,
    /// The nodes that can run the PBX and can be reached, and what is on them.
    pub(super) nodes: Vec<(Node, Facts)>,
    /// Those that can run it and cannot be reached.
    pub(super) missing: Vec<Missing>,
    /// The nodes that only vote: they have vars.yml too.
    voters: Vec<Result<Node, Missing>>,
    /// The image that was looked for.
    image: String,
    /// A way back that begins or goes on, and does not need the node with the data.
    goes_back: bool,
}

/// Looks, and changes nothing.
pub(super) async fn find(wanted: &Wanted) -> Result<Found, Failure> {
    let profile = wanted.profile.as_deref();
    let (inventory, vars, site) = crate::verbs::deploy::site(&wanted.site, profile).await?;
    let fleet = crate::verbs::fleet_of(&inventory, &wanted.site)?;
    let gathered = gather(&fleet, Ask::State).await?;
    let (state, speaker) = (gathered.state, gathered.node);
    let configuration = configuration(&speaker).await?;
    let record = Record::in_note(&configuration, NOTE);
    let wants_back = wanted.image.is_none() && !wanted.accept;
    // The node with the data may be lost, or its disk, and the copy that it goes back to is elsewhere.
    let goes_back = record
        .as_ref()
        .is_some_and(|it| it.stage == Stage::Back || wants_back && it.copy.is_some());
    refuse(&state, record.as_ref(), wants_back)?;
    if !goes_back {
        refuse_other_volume(site.volume(), &configuration)?;
    }
    // What there is to go back from has an image too.
    let image = wanted.image.clone();
    let image = image.or_else(|| record.as_ref().map(|it| it.image.clone()));
    let image = image.unwrap_or_else(|| site.image.clone());
    let look = look(&image, &site.data_path, resource(&site));
    let all = fleet.machines().iter();
    let (machines, voters): (Vec<&Machine>, Vec<&Machine>) =
        all.partition(|machine| site.can_run_pbx(&machine.name));
    let voters = voters
        .into_iter()
        .map(|machine| fleet.connect_quietly(machine, CONNECT));
    let voters = join_all(voters).await;
    let _progress = Progress::begin("looking at the nodes");
    let machines = machines.into_iter();
    let connecting = machines.map(|machine| fleet.connect(machine, CONNECT, &look));
    let (mut nodes, mut missing) = (Vec::new(), Vec::new());
    for connected in join_all(connecting).await {
        match connected {
            Ok((node, answer)) => nodes.push((node, Facts::parse(&answer.stdout))),
            Err(why) => missing.push(why),
        }
    }
    let active = state.master().map(str::to_owned);
    let any = nodes.first().map(|(node, _)| node.name.clone());
    let active = active.or(any.filter(|_| goes_back));
    let active = active.ok_or_else(|| match &record {
        Some(record) if record.stage == Stage::Returned && site.drbd().is_some() => {
            Failure::failed(format!(
                "no node has the data: the last update was taken back without {}, and the other node is lost since. Nothing was \
                 changed\n  help: {}",
                record.away.join(", "),
                back_lan::if_lost(record)
            ))
        }
        _ => in_the_way("no node has the data"),
    })?;
    let found = Found {
        contact: Contact::new(fleet, speaker),
        site,
        vars,
        vars_file: inventory.vars.map(|(file, _)| file),
        state,
        record_before: Record::in_note(&configuration, NOTE_BEFORE),
        configuration,
        record,
        active,
        nodes,
        missing,
        voters,
        image,
        goes_back,
    };
    found.refuse_nodes(wants_back)?;
    Ok(found)
}

fn resource(site: &Site) -> Option<&str> {
    site.drbd().map(|it| it.name.as_str())
}

fn in_the_way(why: &str) -> Failure {
    Failure::failed(format!(
        "{why}. Nothing was changed\n  help: ha-ctl show   says what is in the way"
    ))
}

/// While something else is wrong, nothing is updated.
fn refuse(state: &State, record: Option<&Record>, wants_back: bool) -> Result<(), Failure> {
    if !state.quorum {
        return Err(in_the_way("the cluster has no majority"));
    }
    if let [node, ..] = &state.unclean()[..] {
        return Err(in_the_way(&format!("{node} is lost and not fenced yet")));
    }
    if state.maintenance {
        return Err(in_the_way("the cluster is in maintenance mode"));
    }
    let mut pbx = state.instances("pbx").peekable();
    if pbx.peek().is_none() {
        return Err(in_the_way("the cluster has no resource pbx"));
    }
    let is_settled = pbx.all(|it| it.is_started() || it.is_disabled());
    // A new version that does not start is what the way back is for.
    let is_known = wants_back || record.is_some_and(Record::is_going_on);
    if !is_settled && !is_known {
        return Err(in_the_way(
            "pbx neither runs nor was it stopped by somebody",
        ));
    }
    Ok(())
}

impl Found {
    fn refuse_nodes(&self, wants_back: bool) -> Result<(), Failure> {
        let active = self.nodes.iter().find(|(node, _)| node.name == self.active);
        let Some((node, facts)) = active else {
            let missing = self.missing.iter().find(|it| it.name == self.active);
            let text = missing.map(Missing::text).unwrap_or_default();
            return Err(Failure::failed(format!(
                "{} has the data, and cannot be used. Nothing was changed\n{text}",
                self.active
            )));
        };
        let goes_back = self.goes_back;
        if facts.data.is_none() && !goes_back {
            return Err(in_the_way(&format!(
                "{} is not mounted on {}, although the cluster has the data there",
                self.site.data_path, node.name
            )));
        }
        let is_going_on = self.record.as_ref().is_some_and(Record::is_going_on);
        for (node, facts) in &self.nodes {
            let lacks = match facts {
                it if !it.has_docker => "Docker does not run",
                it if !it.has_project => "there is no compose file in /etc/portsip/pbx",
                it if it.env_image.is_none() => "/etc/portsip/pbx/.env names no PBX_IMAGE",
                it if it.pbx().is_none() && !is_going_on && !wants_back => {
                    "the PBX has no containers"
                }
                _ => continue,
            };
            let help = match wants_back || is_going_on {
                false => "ha-ctl deploy   brings the node up to the others",
                true if !facts.has_docker => "sudo systemctl start docker   (there)",
                true => "a copy of it from another node",
            };
            return Err(Failure::failed(format!(
                "{lacks} on {}. Nothing was changed\n  help: {help}",
                node.name
            )));
        }
        Ok(())
    }

    /// Looks at the nodes again.
    pub(super) async fn look_again(&mut self) -> Result<(), Failure> {
        let look = look(&self.image, &self.site.data_path, resource(&self.site));
        let looking = self.nodes.iter();
        let looking = looking.map(|(node, _)| answer(node, look.clone()));
        let answers = join_all(looking).await;
        for ((_, facts), answer) in self.nodes.iter_mut().zip(answers) {
            *facts = Facts::parse(&answer?.stdout);
        }
        Ok(())
    }

    /// Refuses to go on with a cluster that is another one than at an earlier look.
    pub(super) fn expect_as(&self, before: &Found) -> Result<(), Failure> {
        match self.is_as(before) {
            true => Ok(()),
            false => Err(Failure::incomplete(
                "somebody has changed the cluster meanwhile, or it has changed by itself. The PBX was left as it is\n  help: \
                 the same command again",
            )),
        }
    }

    /// Whether nobody has changed the cluster since another look.
    fn is_as(&self, before: &Found) -> bool {
        let all = |it: &Found| {
            let names = it.nodes.iter().map(|(node, _)| node.name.clone());
            let names: Vec<String> = names.collect();
            (it.record.clone(), it.active.clone(), names)
        };
        // A run that was killed when it told the PBX to stop: what it said may have arrived after the first look.
        let was_being_stopped = before
            .record
            .as_ref()
            .is_some_and(|it| it.stage == Stage::Stopped);
        let is_same = self.runs() == before.runs() || was_being_stopped && !self.runs();
        is_same && all(self) == all(before)
    }

    /// The node with the data, and what is on it.
    pub(super) fn active(&self) -> Option<&(Node, Facts)> {
        self.nodes.iter().find(|(node, _)| node.name == self.active)
    }

    pub(super) fn active_node(&self) -> Result<&Node, Failure> {
        let active = self.active().map(|(node, _)| node);
        active.ok_or_else(|| Failure::failed(format!("{} cannot be used", self.active)))
    }

    /// The others.
    pub(super) fn others(&self) -> impl Iterator<Item = &(Node, Facts)> {
        let others = self.nodes.iter();
        others.filter(|(node, _)| node.name != self.active)
    }

    /// Whether the PBX runs, and was not told to stop.
    pub(super) fn runs(&self) -> bool {
        let mut instances = self.state.instances("pbx");
        instances.any(|it| it.is_active() && !it.is_disabled())
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

    /// The update that goes on. One after which the PBX of before runs on the data of before is none: somebody has
    /// started it again, and its snapshots grow old.
    pub(super) fn unfinished(&self) -> Option<&Record> {
        let record = self.record.as_ref().filter(|it| it.is_going_on())?;
        let is_as_before = self.runs()
            && self.data() == record.from
            && self
                .active()
                .is_some_and(|(_, facts)| facts.is_of_version(&record.from));
        let is_taken_back = is_as_before && record.stage <= Stage::Migrating;
        (!is_taken_back).then_some(record)
    }

    /// The last update that has ended.
    pub(super) fn ended(&self) -> Option<&Record> {
        let ended = |it: &&Record| !it.is_going_on();
        let last = self.record.as_ref().filter(ended);
        last.or_else(|| self.record_before.as_ref().filter(ended))
    }

    /// An update after which the PBX of before runs again.
    pub(super) fn taken_back(&self) -> Option<&Record> {
        let record = self.record.as_ref().filter(|it| it.is_going_on());
        record.filter(|_| self.unfinished().is_none())
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
                    match self.ended() {
                        Some(_) => "the way back from the last update is: ha-ctl update --rollback",
                        None => "restore a backup of the older version",
                    },
                ));
            }
        }
        let half = self.unfinished().filter(|it| it.stage > Stage::Stopped);
        if let Some(record) = half.filter(|it| it.to != new.version) {
            return Err(refused(
                format!(
                    "an update to {} has come half way, and {image} is {} on {}",
                    record.to, new.version, self.active
                ),
                "ha-ctl update --rollback   goes back",
            ));
        }
        Ok(new)
    }

    /// Changes something in the cluster, by another node where one is lost.
    pub(super) async fn change(&self, run: &Run, command: &Command) -> Result<Answer, Failure> {
        const TRIES: u32 = 3;
        let mut tried = 1;
        loop {
            match run.change(&self.contact.node(), command).await {
                Err(_) if command.is_repeatable && tried < TRIES => {
                    self.contact.take_another().await;
                    tried += 1;
                }
                ended => return ended,
            }
        }
    }

    /// Brings vars.yml to all nodes.
    pub(super) async fn bring_vars(&self, vars: &str, run: &Run) -> Result<(), Failure> {
        let copy = &copy_vars(vars);
        for missing in self.voters.iter().filter_map(|it| it.as_ref().err()) {
            say(&format!(
                "{}\n{} keeps its vars.yml with the image of before until: ha-ctl deploy vars.yml",
                missing.text(),
                missing.name
            ));
        }
        let nodes = self.nodes.iter().map(|(node, _)| node);
        let nodes = nodes.chain(self.voters.iter().filter_map(|it| it.as_ref().ok()));
        all(nodes.map(|node| async move { run.change(node, copy).await.map(drop) })).await
    }

    /// Writes down how far the update is.
    pub(super) async fn write(&mut self, record: Record, run: &Run) -> Result<(), Failure> {
        if record.stage == Stage::Stopped
            && let Some(ended) = self.ended()
        {
            let ended = ended.clone();
            let note = commands::write_note(NOTE_BEFORE, &ended.to_string());
            self.change(run, &note).await?;
            self.record_before = Some(ended);
        }
        let note = commands::write_note(NOTE, &record.to_string());
        self.change(run, &note).await?;
        if record.stage == Stage::Done && self.record_before.is_some() {
            self.change(run, &commands::delete_note(NOTE_BEFORE))
                .await?;
            self.record_before = None;
        }
        self.record = Some(record);
        Ok(())
    }

    /// Writes down something else of an update that has ended.
    pub(super) async fn rewrite(&self, record: &Record, run: &Run) -> Result<(), Failure> {
        let is_last = self.record.as_ref().is_some_and(|it| it.id == record.id);
        let name = if is_last { NOTE } else { NOTE_BEFORE };
        let note = commands::write_note(name, &record.to_string());
        self.change(run, &note).await.map(drop)
    }

    /// Takes everything off the record.
    pub(super) async fn forget_all(&self, run: &Run) -> Result<(), Failure> {
        if self.record_before.is_some() {
            self.change(run, &commands::delete_note(NOTE_BEFORE))
                .await?;
        }
        self.change(run, &commands::delete_note(NOTE))
            .await
            .map(drop)
    }

    /// Takes what was begun off the record. What has ended before counts again.
    pub(super) async fn forget(&self, run: &Run) -> Result<(), Failure> {
        let note = match self.ended() {
            Some(ended) if self.record.as_ref().is_some_and(Record::is_going_on) => {
                commands::write_note(NOTE, &ended.to_string())
            }
            _ => commands::delete_note(NOTE),
        };
        self.change(run, &note).await.map(drop)
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
