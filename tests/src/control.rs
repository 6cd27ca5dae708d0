//! What a client and the lab's background process say to each other: one JSON line each way over
//! a Unix socket that only root can open.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::dhcp::Lease;
use crate::ec2::{ActiveFault, Event, Injection, Principal, Snapshot};
use crate::site::Site;
use crate::world::Error;
use crate::{name, paths, watch};

/// A request of a client. Nodes are named by their id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Follow the start: any number of [`Reply::Step`], then [`Reply::Done`] or [`Reply::Failed`].
    FollowStart,
    /// [`Reply::Status`].
    Status,
    /// [`Reply::Events`].
    Events,
    /// Cuts the power; EC2 does not notice.
    PowerOff(String),
    /// Starts the instance if EC2 has stopped it, else gives the machine its power back.
    PowerOn(String),
    /// Lets no packet pass between this node and the others.
    Partition(String),
    /// Ends every partition.
    Heal,
    /// Stops this node as it is, as a hypervisor that hangs does.
    Freeze(String),
    /// Lets it go on.
    Thaw(String),
    /// DHCP gives this from the next request on.
    Lease(Lease),
    /// Gives a policy of IAM to the nodes' role or to a user.
    PutPolicy {
        /// Whose it is.
        of: Principal,
        /// In JSON.
        document: String,
    },
    /// Injects a fault: [`Reply::Faults`] with this one.
    Inject(Injection),
    /// [`Reply::Faults`] with all that are in force.
    Faults,
    /// Ends one by its number, or all.
    ClearFaults(Option<u64>),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The start has got this far.
    Step(String),
    /// It is done.
    Done,
    /// It is not, for this reason.
    Failed(String),
    /// How things are.
    Status(Status),
    /// Faults in force.
    Faults(Vec<ActiveFault>),
    /// What happened: in EC2, and to the lab by hand.
    Events {
        /// The model's record.
        ec2: Vec<Event>,
        /// What people did to the lab.
        lab: Vec<Moment>,
    },
}

/// Something that was done to the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When it was done (when it had taken effect).
    pub at: SystemTime,
    /// What, in words.
    pub what: String,
}

/// How things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which site it is.
    pub site: Site,
    /// The machines, in the order of the site.
    pub nodes: Vec<NodeStatus>,
    /// What EC2 says; nothing on a LAN.
    pub ec2: Option<Snapshot>,
    /// Whether the volume was ever at two nodes at once. On a LAN every machine has a disk of its own.
    pub watch: Option<watch::Findings>,
}

impl Status {
    /// What EC2 says.
    ///
    /// # Errors
    /// There is no EC2.
    pub fn ec2(&self) -> Result<&Snapshot, Error> {
        self.ec2.as_ref().ok_or_else(no_ec2)
    }

    /// What the watch over the volume has found wrong.
    pub fn violations(&self) -> Vec<String> {
        self.watch
            .as_ref()
            .map(watch::Findings::faults)
            .unwrap_or_default()
    }
}

/// Why something that EC2 does cannot be done.
pub(crate) fn no_ec2() -> Error {
    "this lab is a LAN, which has no EC2\nhelp: `lab down`, then `lab up`, starts the other".into()
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: String,
    /// Whether it has power.
    pub on: bool,
    /// Whether it is cut off from the other nodes.
    pub partitioned: bool,
    /// Whether it was stopped as it is.
    pub frozen: bool,
    /// How many requests it has made to its metadata service; none on a LAN, which has no such service.
    pub metadata_requests: u64,
}

/// Where the background process listens.
pub fn socket() -> PathBuf {
    paths::state("control")
}

/// Whether a lab's process listens: a lab is up, or starting.
pub fn listening() -> bool {
    UnixStream::connect(socket()).is_ok()
}

/// Asks once.
///
/// # Errors
/// No lab is up, its process has died, or it could not do what was asked.
pub fn ask(request: &Request) -> Result<Reply, Error> {
    let mut last = None;
    follow(request, |reply| last = Some(reply))?;
    last.ok_or_else(|| died().into())
}

/// Asks, and passes every reply on, except [`Reply::Failed`], which is an error.
///
/// # Errors
/// As [`ask`].
pub fn follow(request: &Request, mut each: impl FnMut(Reply)) -> Result<(), Error> {
    let mut stream = UnixStream::connect(socket()).map_err(|e| no_lab(&e))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    // The process can die before it has read the request, or halfway through its answer. Then writing or reading
    // fails, or the last line is incomplete.
    stream.write_all(line.as_bytes()).map_err(|_| died())?;
    let mut replies = BufReader::new(stream);
    loop {
        let mut line = String::new();
        replies.read_line(&mut line).map_err(|_| died())?;
        if !line.ends_with('\n') {
            return Err(died().into());
        }
        match serde_json::from_str(&line)? {
            Reply::Failed(reason) => return Err(reason.into()),
            Reply::Step(step) => each(Reply::Step(step)),
            last => {
                each(last);
                return Ok(());
            }
        }
    }
}

fn no_lab(error: &std::io::Error) -> String {
    if error.kind() == ErrorKind::PermissionDenied {
        return format!(
            "only root may use the lab ({}: {error}): run this as root, with sudo",
            socket().display()
        );
    }
    if paths::state_dir().exists() {
        return died();
    }
    let mut text = format!("no lab '{}' is up; `lab up` starts one", name::current());
    let others = paths::labs();
    if !others.is_empty() {
        text.push_str(&format!(
            ". There are others: {} (`lab --name NAME status`)",
            others.join(", ")
        ));
    }
    text
}

fn died() -> String {
    format!(
        "the lab's process has died; its log is {}, `lab down` removes what it left",
        paths::state("serve.log").display()
    )
}
