//! Reaching nodes: this machine without ssh, the others by the system's ssh; becoming root; and commands there.
//! What is run is decided elsewhere (`crate::commands`).

mod account;
mod cause;
mod command;
mod held;
mod link;
mod node;
mod password;
mod patience;
mod ssh;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::exit::{Exit, Failure};
use crate::inventory::{Inventory, Machine};
use crate::output::say;

use link::Link;

pub use account::{Account, NODES_KNOWN_HOSTS, Options};
pub use cause::Cause;
pub use command::{Answer, Command, LOOK, TIMED_OUT, Upload};
pub use held::{Held, PULSE_LOST};
pub use node::Node;
pub use password::Password;
pub use patience::patient;

/// How long a machine may take to answer a connection.
pub const CONNECT: Duration = Duration::from_secs(10);

/// A machine of the inventory that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name in the cluster.
    pub name: String,
    /// Why.
    pub cause: Cause,
    /// The ssh command that does the same by hand.
    pub by_hand: String,
}

impl Missing {
    /// As it is said to a person.
    pub fn text(&self) -> String {
        let (found, help) = (self.cause.found(), self.cause.help(&self.by_hand));
        format!("{} {found}\n  help: {help}", self.name)
    }
}

/// The machines of a cluster, and how they are reached.
#[derive(Debug)]
pub struct Fleet {
    machines: Vec<Machine>,
    client: Arc<ssh::Client>,
    password: Password,
}

impl Fleet {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// The files for ssh could not be written.
    pub fn new(
        inventory: &Inventory,
        account: Account,
        accept_new: bool,
        password: Password,
    ) -> Result<Fleet, Failure> {
        if let Some(remark) = account.remark() {
            say(&remark);
        }
        let client = ssh::Client::new(account, accept_new).map_err(|error| {
            Failure::failed(format!(
                "could not write the configuration for ssh below /tmp: {error}"
            ))
        })?;
        Ok(Fleet {
            machines: inventory.machines.clone(),
            client: Arc::new(client),
            password,
        })
    }

    /// The machines, in the order of their numbers.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Connects to one machine and runs a first command there as root, which shows whether that needs a password.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn connect(
        &self,
        machine: &Machine,
        limit: Duration,
        first: &Command,
    ) -> Result<(Node, Answer), Missing> {
        self.connect_asking(machine, limit, first, true).await
    }

    /// Connects to one machine as long as nobody has to be asked anything for it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn connect_quietly(
        &self,
        machine: &Machine,
        limit: Duration,
    ) -> Result<Node, Missing> {
        let first = Command::look("logging in", ":");
        let connected = self.connect_asking(machine, limit, &first, false).await;
        connected.map(|(node, _)| node)
    }

    async fn connect_asking(
        &self,
        machine: &Machine,
        limit: Duration,
        first: &Command,
        may_ask: bool,
    ) -> Result<(Node, Answer), Missing> {
        let connected = async {
            let link = match machine.is_here {
                true => Link::Local,
                false => self.session(machine, limit, may_ask).await?,
            };
            let mut node = Node::new(&machine.name, link);
            let answer = match node.run(first).await {
                Err(Cause::SudoAsks) => {
                    let password = match may_ask {
                        true => self.password.get().await?,
                        false => self.password.known().await?,
                    };
                    node.use_password(password).await?;
                    node.run(first).await?
                }
                ran => ran?,
            };
            Ok((node, answer))
        };
        // The machine may be none of these.
        connected.await.map_err(|cause| Missing {
            name: machine.name.clone(),
            cause,
            by_hand: self.client.account().by_hand(&machine.host()),
        })
    }

    /// Whether the operator is being asked something now, so that no time limit counts.
    pub fn is_asking(&self) -> bool {
        self.password.is_asking()
    }

    /// A node that cannot be used any more.
    pub fn missing(&self, name: &str, cause: Cause) -> Missing {
        let machine = self.machines.iter().find(|machine| machine.name == name);
        let host = machine.map_or_else(|| name.to_owned(), Machine::host);
        Missing {
            name: name.to_owned(),
            cause,
            by_hand: self.client.account().by_hand(&host),
        }
    }

    async fn session(
        &self,
        machine: &Machine,
        limit: Duration,
        may_ask: bool,
    ) -> Result<Link, Cause> {
        let host = machine.host();
        let connected = Link::connect(&self.client, &host, limit).await;
        let is_new = matches!(connected, Err(Cause::NewHostKey));
        if !is_new || !may_ask || !self.password.may_ask() {
            return connected;
        }
        let asking = || async { self.client.first_contact(&host).await };
        let asked: io::Result<()> = self.password.alone(asking).await;
        asked.map_err(|error| Cause::NoSsh {
            said: error.to_string(),
        })?;
        Link::connect(&self.client, &host, limit).await
    }
}

/// What is said where no node can be used.
pub fn none_usable(missing: &[Missing]) -> Failure {
    let mut each: Vec<String> = missing.iter().map(Missing::text).collect();
    each.sort();
    Failure::with(
        Exit::Failed,
        format!(
            "no node of the cluster can be used. Nothing was changed\n{}",
            each.join("\n")
        ),
    )
}

/// This machine as a node, for tests.
#[cfg(test)]
pub(crate) fn test_node(name: &str) -> Node {
    Node::new(name, Link::Local)
}
