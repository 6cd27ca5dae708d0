//! `grow`: the data becomes larger, while the PBX runs. What is left to do is said, asked for, and done where it is
//! missing: at EC2, and in the file system.

use std::time::Duration;

use cib_gen::ec2_facts::{Ec2Facts, Enlarged};
use tokio::time::{Instant, sleep};

use super::deploy::{confirmed, left};
use super::gather::{Ask, gather};
use super::guard::guard;
use super::of_vars::OfVars;
use super::show::answer;
use super::signals::Signals;
use crate::check::ask_ec2;
use crate::cli::GrowArgs;
use crate::cluster::State;
use crate::cluster::quantities::size;
use crate::deploy::cib_gen;
use crate::exit::{Exit, Failure};
use crate::grow::{Seen, Todo, look, todo};
use crate::inventory::Machine;
use crate::output::{Progress, print, say};
use crate::reach::{CONNECT, Fleet, Node};
use crate::run::Run;

/// How long the device of a volume may take to show the size that counts for EC2, which is a moment.
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
    if args.size.is_some() && vars.is_none() && !seen.is_on_drbd {
        return Err(Failure::usage(
            "EC2 can be asked for a larger volume only with vars.yml, which names it. Nothing was changed\n  help: ha-ctl \
             grow SIZE vars.yml; or make the volume larger at EC2 yourself, and then: ha-ctl grow",
        ));
    }
    Ok(Growing {
        state,
        active,
        seen,
        vars,
        has_enlarged: false,
    })
}

impl Growing {
    /// What is left to do. Where EC2 has made the volume larger just now, its device is waited for.
    async fn todo(&mut self, wanted: Option<u32>) -> Result<Vec<Todo>, Failure> {
        let volume = self.volume().await;
        if let Some(gib) = volume {
            self.wait_for_device(gib).await?;
        }
        todo(&self.seen, wanted, volume)
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
                (_, Some(command)) => {
                    say(&command.what);
                    run.change(&self.active, &command).await?;
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

    /// Looks again.
    async fn look_again(&mut self) -> Result<(), Failure> {
        let answer = answer(&self.active, look()).await?;
        self.seen = Seen::parse(&self.active.name, &answer.stdout);
        Ok(())
    }

    /// How large the file system is.
    fn result(&self, before: &str) -> String {
        let mounted = self.seen.mounted.clone().unwrap_or_default();
        format!(
            "{before}the file system at {} has {}, and its device {}\n",
            mounted.path,
            size(mounted.used),
            size(mounted.device_size)
        )
    }
}
