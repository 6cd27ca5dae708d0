//! `grow`: the data becomes larger, while the PBX runs. What is left to do is said, asked for, and done where it is
//! missing: at EC2, in LVM, in DRBD, in the file system.

use std::time::Duration;

use cib_gen::ec2_facts::{Ec2Facts, Enlarged};
use futures_util::future::join_all;
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
    let todo = growing.todo(args.size).await?;
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
        acted = growing.act(&todo, &run) => acted,
        () = signals.received() => return Err(left(&run)),
    };
    run.judge(acted).map_err(|mut failure| {
        if failure.exit == Exit::Incomplete {
            failure.text +=
                "\nWhat was done before stays. The same command again goes on from there";
        }
        failure
    })?;
    print(&growing.result(""))?;
    if let Some(text) = growing.of_vars() {
        say(&text);
    }
    Ok(Exit::Done)
}

/// The cluster whose data grows.
struct Growing {
    state: State,
    /// The node with the data.
    active: Node,
    /// The other nodes that were reached.
    others: Vec<Node>,
    /// What was found on them, the active one first.
    seen: Vec<Seen>,
    /// vars.yml of a site on EC2.
    vars: Option<String>,
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
    let first = look();
    let connecting = fleet
        .machines()
        .iter()
        .map(|machine| fleet.connect(machine, CONNECT, &first));
    let (mut active, mut others, mut seen) = (None, Vec::new(), Vec::new());
    for connected in join_all(connecting).await {
        match connected {
            Err(missing) if missing.name == master => {
                return Err(Failure::failed(format!(
                    "the node with the data cannot be used. Nothing was changed\n{}",
                    missing.text()
                )));
            }
            // Where it is needed, it is missed below.
            Err(missing) => say(&missing.text()),
            Ok((node, answer)) => {
                let found = Seen::parse(&node.name, &answer.stdout);
                match node.name == master {
                    true => {
                        seen.insert(0, found);
                        active = Some(node);
                    }
                    false => {
                        seen.push(found);
                        others.push(node);
                    }
                }
            }
        }
    }
    let active =
        active.ok_or_else(|| refused(&format!("{master} has the data and is not known")))?;
    if args.size.is_some() && vars.is_none() && seen[0].copy.is_none() {
        return Err(Failure::usage(
            "EC2 can be asked for a larger volume only with vars.yml, which names it. Nothing was changed\n  help: ha-ctl \
             grow SIZE vars.yml; or make the volume larger at EC2 yourself, and then: ha-ctl grow",
        ));
    }
    Ok(Growing {
        state,
        active,
        others,
        seen,
        vars,
    })
}

impl Growing {
    /// What is left to do. Where EC2 has made the volume larger just now, its device is waited for.
    async fn todo(&mut self, wanted: Option<u32>) -> Result<Vec<Todo>, Failure> {
        let volume = self.volume().await;
        if let Some(gib) = volume {
            self.wait_for_device(gib).await?;
        }
        todo(&self.seen[0], &self.seen, wanted, volume)
    }

    /// The size of the volume, as EC2 says it to the active node. Not known on a LAN, and without vars.yml.
    async fn volume(&self) -> Option<u32> {
        let vars = self.vars.as_ref()?;
        let answer = self.active.run(&ask_ec2(vars)).await.ok()?;
        let facts: Option<Ec2Facts> = serde_json::from_str(&answer.stdout).ok()?;
        u32::try_from(facts?.answers.volume.ok()?.gib).ok()
    }

    async fn act(&mut self, todo: &[Todo], run: &Run) -> Result<(), Failure> {
        for it in todo {
            match (it, it.command()) {
                (Todo::Volume { to, .. }, _) => {
                    self.enlarge(*to).await?;
                    self.wait_for_device(*to).await?;
                }
                (_, Some((node, command))) => {
                    let node = self.node(node);
                    say(&command.what);
                    run.change(node, &command).await?;
                }
                (_, None) => {}
            }
        }
        self.look_again().await
    }

    fn node(&self, name: &str) -> &Node {
        let mut others = self.others.iter();
        others.find(|it| it.name == name).unwrap_or(&self.active)
    }

    /// Has cib-gen on this machine ask EC2, with the operator's credentials.
    async fn enlarge(&self, gib: u32) -> Result<(), Failure> {
        let vars = self.vars.as_deref().unwrap_or_default();
        let _progress = Progress::begin("EC2 makes the volume larger");
        let gib = gib.to_string();
        let output = cib_gen(&["ec2-enlarge", "--gib", &gib, "-"], vars).await?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            let said = said.strip_prefix("error: ").unwrap_or(&said);
            return Err(Failure::failed(said.to_owned()));
        }
        let enlarged: Enlarged = serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::incomplete(format!("what cib-gen printed cannot be used: {error}"))
        })?;
        say(&format!(
            "the volume has {} GiB, from {} GiB",
            enlarged.to, enlarged.from
        ));
        Ok(())
    }

    /// Until the device of the volume is as large as EC2 says.
    async fn wait_for_device(&mut self, gib: u32) -> Result<(), Failure> {
        let wanted = u64::from(gib) << 30;
        let until = Instant::now() + DEVICE;
        loop {
            let mounted = self.seen[0].mounted.as_ref();
            if mounted.is_none_or(|it| it.device_size >= wanted) {
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

    /// Looks at the active node again.
    async fn look_again(&mut self) -> Result<(), Failure> {
        let answer = answer(&self.active, look()).await?;
        self.seen[0] = Seen::parse(&self.active.name, &answer.stdout);
        Ok(())
    }

    /// How large the file system is.
    fn result(&self, before: &str) -> String {
        let mounted = self.seen[0].mounted.clone().unwrap_or_default();
        format!(
            "{before}the file system at {} has {}, and its device {}\n",
            mounted.path,
            size(mounted.used),
            size(mounted.device_size)
        )
    }

    /// What a node that is replaced would make too small.
    fn of_vars(&self) -> Option<String> {
        let copy = self.seen[0].copy.as_ref()?;
        Some(format!(
            "{} is larger now than vars.yml says: write its size into pbx_datapath_size, and run ha-ctl deploy, which \
             brings the file to all nodes. A node that is replaced would be too small otherwise",
            copy.volume
        ))
    }
}
