//! `grow`: the data becomes larger, while the PBX runs. What is left to do is said, asked for, and done where it is
//! missing: at EC2, or in LVM and DRBD, and in the file system.

use std::time::Duration;

use cib_gen::ec2_facts::{Ec2Facts, Enlarged};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::deploy::{confirmed, left};
use super::gather::{Ask, gather};
use super::guard::guard;
use super::of_vars::{OfVars, refuse_other_volume};
use super::show::{answer, configuration};
use super::signals::Signals;
use crate::check::ask_ec2;
use crate::cli::GrowArgs;
use crate::cluster::State;
use crate::cluster::quantities::size;
use crate::deploy::{all, cib_gen};
use crate::exit::{Exit, Failure};
use crate::grow::{Copy, Seen, Todo, look, note_size, todo};
use crate::inventory::Machine;
use crate::output::{Progress, print, say};
use crate::reach::{CONNECT, Fleet, Node};
use crate::run::Run;

/// How long the device of a volume may take to show the size that counts for EC2, or DRBD's that of its copies. Both take
/// a moment.
const DEVICE: Duration = Duration::from_secs(120);

/// Makes the data larger.
///
/// # Errors
/// It cannot be done, or not to its end.
pub(super) async fn grow(args: &GrowArgs) -> Result<Exit, Failure> {
    let inventory = super::inventory(&args.site)?;
    let of_vars = OfVars::of(&inventory)?;
    let fleet = super::fleet_of(&inventory, &args.site)?;
    let mut signals = Signals::new();
    let looking = find(&fleet, args, of_vars.aws);
    let mut growing = signals.end_what_looks(looking).await?;
    let configuration = signals
        .end_what_looks(configuration(&growing.active))
        .await?;
    refuse_other_volume(of_vars.volume.as_deref(), &configuration)?;
    let _lock = match args.dry_run {
        true => None,
        false => Some(guard(&fleet, &growing.active, &growing.state, "grow").await?),
    };
    let todo = signals.end_what_looks(growing.todo(args.size)).await?;
    let mut text = String::new();
    for it in &todo {
        text += &format!("  {}\n", it.text());
    }
    print(&match todo.is_empty() {
        true => growing.result("nothing to do: "),
        false => format!("to do, in this order, while the PBX runs:\n{text}"),
    })?;
    match (todo.is_empty(), args.dry_run) {
        (true, _) => return Ok(Exit::Done),
        (false, true) => return Ok(Exit::Problems),
        (false, false) if !args.yes && !confirmed()? => {
            say("nothing was changed. With --yes, ha-ctl grow does not ask");
            return Ok(Exit::Problems);
        }
        _ => {}
    }
    let run = Run::new(false);
    let acted = tokio::select! {
        acted = growing.act(&todo, args, &run) => acted,
        () = signals.received() => return Err(left(&run)),
    };
    run.judge(acted).map_err(|mut failure| {
        if growing.has_enlarged {
            failure.exit = Exit::Incomplete;
        }
        if failure.exit == Exit::Incomplete {
            failure.text +=
                "\nWhat was done before stays. The same command again goes on from there";
        }
        failure
    })?;
    if let Some(it) = growing.todo(args.size).await?.first() {
        return Err(Failure::incomplete(format!(
            "something is left to do: {}\n  help: the same command again; journalctl --dmesg --since -5min   (on {})",
            it.text(),
            growing.active.name
        )));
    }
    print(&growing.result(""))?;
    Ok(Exit::Done)
}

/// The cluster whose data grows.
struct Growing {
    state: State,
    /// The node with the data.
    active: Node,
    /// What was found there.
    seen: Seen,
    /// The other nodes with a copy of the data, on a LAN, and what was found there.
    others: Vec<(Node, Seen)>,
    /// vars.yml of a site on EC2.
    vars: Option<String>,
    /// EC2 has begun to make the volume larger.
    has_enlarged: bool,
}

async fn find(fleet: &Fleet, args: &GrowArgs, vars: Option<String>) -> Result<Growing, Failure> {
    let gathered = gather(fleet, Ask::State).await?;
    let state = gathered.state;
    let refused = |found: &str| {
        Failure::failed(format!(
            "{found}. Nothing was changed\n  help: ha-ctl show   says what is in the way"
        ))
    };
    if !state.quorum || !state.unclean().is_empty() {
        return Err(refused(
            "the cluster has no majority, or a node that is not fenced yet",
        ));
    }
    let Some(master) = state.master() else {
        return Err(refused("no node has the data"));
    };
    let is_master = |machine: &&Machine| machine.name == master;
    let Some(machine) = fleet.machines().iter().find(is_master) else {
        return Err(refused(&format!("{master} has the data and is not known")));
    };
    let connected = fleet.connect(machine, CONNECT, &look()).await;
    let (active, answer) = connected.map_err(|missing| {
        Failure::failed(format!(
            "the node with the data cannot be used. Nothing was changed\n{}",
            missing.text()
        ))
    })?;
    let seen = Seen::parse(&active.name, &answer.stdout);
    if args.size.is_some() && vars.is_none() && seen.copy.is_none() {
        return Err(Failure::usage(
            "EC2 can be asked for a larger volume only with vars.yml, which names it. Nothing was changed\n  help: ha-ctl \
             grow SIZE vars.yml; or make the volume larger at EC2 yourself, and then: ha-ctl grow",
        ));
    }
    let others = others(fleet, &seen).await?;
    Ok(Growing {
        state,
        active,
        seen,
        others,
        vars,
        has_enlarged: false,
    })
}

/// The other nodes with a copy of the data. Without one of them, nothing can grow.
async fn others(fleet: &Fleet, active: &Seen) -> Result<Vec<(Node, Seen)>, Failure> {
    let holders = active.copy.iter().flat_map(|copy| &copy.holders);
    let holders = holders.filter(|holder| **holder != active.node);
    let look = look();
    let connecting = holders.map(|holder| {
        let machine = fleet.machines().iter().find(|it| it.name == *holder);
        let look = &look;
        async move {
            let machine = machine.ok_or_else(|| {
                Failure::failed(format!(
                    "{holder} has a copy of the data and is not known. Nothing was changed"
                ))
            })?;
            let connected = fleet.connect(machine, CONNECT, look).await;
            let (node, answer) = connected.map_err(|missing| {
                Failure::failed(format!(
                    "every copy of the data has to grow, and {holder} cannot be used. Nothing was changed\n{}",
                    missing.text()
                ))
            })?;
            let seen = Seen::parse(&node.name, &answer.stdout);
            Ok((node, seen))
        }
    });
    join_all(connecting).await.into_iter().collect()
}

impl Growing {
    /// What is left to do. Where EC2 has made the volume larger just now, its device is waited for.
    async fn todo(&mut self, wanted: Option<u32>) -> Result<Vec<Todo>, Failure> {
        let volume = self.volume().await;
        if let Some(gib) = volume {
            self.wait_for_device(gib).await?;
        }
        let others: Vec<&Seen> = self.others.iter().map(|(_, seen)| seen).collect();
        todo(&self.seen, &others, wanted, volume)
    }

    /// A node by its name.
    fn node(&self, name: &str) -> &Node {
        let mut others = self.others.iter().map(|(node, _)| node);
        others
            .find(|node| node.name == name)
            .unwrap_or(&self.active)
    }

    /// The size of the volume, as EC2 says it to the active node. Not known on a LAN, and without vars.yml.
    async fn volume(&self) -> Option<u32> {
        let vars = self.vars.as_ref()?;
        let answer = self.active.run(&ask_ec2(vars)).await.ok()?;
        let facts: Option<Ec2Facts> = serde_json::from_str(&answer.stdout).ok()?;
        u32::try_from(facts?.answers.volume.ok()?.gib).ok()
    }

    async fn act(&mut self, todo: &[Todo], args: &GrowArgs, run: &Run) -> Result<(), Failure> {
        for it in todo {
            match (it, it.command()) {
                (Todo::Volume { to, .. }, _) => {
                    self.enlarge(*to, args.profile.as_deref()).await?;
                    self.wait_for_device(*to).await?;
                }
                (it, Some((node, command))) => {
                    // Before the last step, so that a run that was ended between the two does it when it is run again.
                    if let (Todo::FileSystem { .. }, Some(copy)) = (it, &self.seen.copy) {
                        let note = note_size(&copy.resource);
                        let others = self.others.iter();
                        all(others
                            .map(|(node, _)| async { run.change(node, &note).await.map(drop) }))
                        .await?;
                    }
                    say(&command.what);
                    run.change(self.node(node), &command).await?;
                    if let Todo::Drbd { .. } = it {
                        self.wait_for_drbd().await?;
                    }
                }
                (_, None) => {}
            }
        }
        self.look_again().await
    }

    /// Has cib-gen on this machine ask EC2, with the operator's credentials.
    async fn enlarge(&mut self, gib: u32, profile: Option<&str>) -> Result<(), Failure> {
        let vars = self.vars.as_deref().unwrap_or_default();
        let _progress = Progress::begin("EC2 makes the volume larger");
        let gib = gib.to_string();
        let mut arguments = vec!["ec2-enlarge", "--gib", &gib, "-"];
        arguments.extend(
            profile
                .into_iter()
                .flat_map(|profile| ["--profile", profile]),
        );
        let output = cib_gen(&arguments, vars).await?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            let said = said.strip_prefix("error: ").unwrap_or(&said);
            return Err(Failure::failed(said.to_owned()));
        }
        self.has_enlarged = true;
        let enlarged: Enlarged = serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::incomplete(format!("what cib-gen printed cannot be used: {error}"))
        })?;
        match enlarged.counts {
            true => say(&format!(
                "the volume has {} GiB, from {} GiB",
                enlarged.to, enlarged.from
            )),
            false => {
                return Err(Failure::incomplete(
                    "EC2 makes the volume larger, and its new size does not count yet\n  help: aws ec2 \
                     describe-volumes-modifications",
                ));
            }
        }
        Ok(())
    }

    /// Until the device of the volume is as large as EC2 says.
    async fn wait_for_device(&mut self, gib: u32) -> Result<(), Failure> {
        let wanted = u64::from(gib) << 30;
        let until = Instant::now() + DEVICE;
        loop {
            // What is on a part of the disk only does not follow it.
            let disk = self.seen.mounted.as_ref().filter(|it| it.is_whole_disk());
            if disk.is_none_or(|it| it.device_size >= wanted) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Failure::incomplete(format!(
                    "EC2 has made the volume {gib} GiB large, and its device on {} does not show that after {} s\n  help: \
                     lsblk   (there); then the same command again",
                    self.active.name,
                    DEVICE.as_secs()
                )));
            }
            sleep(Duration::from_secs(1)).await;
            self.look_again().await?;
        }
    }

    /// Until DRBD's device is as large as the copies let it be, and all of them are up to date.
    async fn wait_for_drbd(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + DEVICE;
        loop {
            self.look_again().await?;
            let own = self.seen.copy.iter();
            let others = self
                .others
                .iter()
                .filter_map(|(_, seen)| seen.copy.as_ref());
            let device = self.seen.mounted.as_ref().map_or(0, |it| it.device_size);
            let is_whole = self.seen.copy.as_ref().is_some_and(Copy::is_whole);
            if is_whole && Copy::has_grown(device, own.chain(others)) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Failure::incomplete(format!(
                    "the logical volumes have grown, and DRBD's device on {} has not, or not every copy is up to date, \
                     after {} s\n  help: ha-ctl show; journalctl --dmesg --grep drbd   (there); then the same command again",
                    self.active.name,
                    DEVICE.as_secs()
                )));
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Looks again.
    async fn look_again(&mut self) -> Result<(), Failure> {
        let found = answer(&self.active, look()).await?;
        self.seen = Seen::parse(&self.active.name, &found.stdout);
        for (node, seen) in &mut self.others {
            let found = answer(node, look()).await?;
            *seen = Seen::parse(&node.name, &found.stdout);
        }
        Ok(())
    }

    /// How large the file system is.
    fn result(&self, before: &str) -> String {
        let mounted = self.seen.mounted.clone().unwrap_or_default();
        let mut text = format!(
            "{before}the file system at {} has {}, and its device {}\n",
            mounted.path,
            size(mounted.used),
            size(mounted.device_size)
        );
        if let Some(copy) = &self.seen.copy {
            text += &format!(
                "in vars.yml it has to be pbx_datapath_size: {}, for a disk that is replaced. Then: ha-ctl deploy vars.yml\n",
                copy.of_vars()
            );
        }
        text
    }
}
