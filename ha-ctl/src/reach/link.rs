//! How commands reach a node: on this machine directly, on another one by a connection of ssh, which is made again
//! where it was cut.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cause::Cause;
use super::ssh::{Client, Connection};
use crate::output::say;

/// How commands reach the node.
#[derive(Debug)]
pub(crate) enum Link {
    /// This machine is the node.
    Local,
    /// By ssh.
    Ssh(Remote),
}

/// A machine that is reached by ssh.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Arc<Client>,
    host: String,
    /// How long the machine may take to answer a connection.
    limit: Duration,
    connection: Mutex<Arc<Connection>>,
    /// Held while the connection is made again: several commands find it cut at the same time. Since when there is
    /// none.
    cut: tokio::sync::Mutex<Option<Instant>>,
}

impl Remote {
    fn connection(&self) -> MutexGuard<'_, Arc<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that a command was sent by. It stays for as long as the command needs it.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// None is needed.
    Local,
    /// This one.
    Ssh(Arc<Connection>),
}

impl Way {
    /// The words that run a command on the node.
    pub(crate) fn words(&self, command: Vec<String>) -> Vec<String> {
        match self {
            Way::Local => command,
            Way::Ssh(connection) => connection.words(&command),
        }
    }

    fn is(&self, other: &Arc<Connection>) -> bool {
        matches!(self, Way::Ssh(connection) if Arc::ptr_eq(connection, other))
    }
}

impl Link {
    /// Connects.
    pub(crate) async fn connect(
        client: &Arc<Client>,
        host: &str,
        limit: Duration,
    ) -> Result<Link, Cause> {
        let connection = client.connect(host, limit).await?;
        Ok(Link::Ssh(Remote {
            client: Arc::clone(client),
            host: host.to_owned(),
            limit,
            connection: Mutex::new(Arc::new(connection)),
            cut: tokio::sync::Mutex::new(None),
        }))
    }

    /// The way that a command takes now.
    pub(crate) fn way(&self) -> Way {
        match self {
            Link::Local => Way::Local,
            Link::Ssh(remote) => Way::Ssh(Arc::clone(&remote.connection())),
        }
    }

    /// Connects again after a way was found cut, once, unless another command has done so already. What goes on begins
    /// anew by the new connection before anything else is sent.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn connect_again(
        &self,
        node: &str,
        cut: &Way,
        begin_anew: impl AsyncFnOnce(&Way) -> Result<(), Cause>,
    ) -> Result<Way, Cause> {
        let Link::Ssh(remote) = self else {
            return Ok(Way::Local);
        };
        let mut since = remote.cut.lock().await;
        if !cut.is(&remote.connection()) {
            return Ok(self.way());
        }
        // However often it is tried, it is said once.
        if since.is_none() {
            say(&format!("{node}: the connection was cut; trying again"));
        }
        let begun = *since.get_or_insert_with(Instant::now);
        let connection = remote.client.connect(&remote.host, remote.limit).await?;
        let connection = Arc::new(connection);
        begin_anew(&Way::Ssh(Arc::clone(&connection))).await?;
        *remote.connection() = connection;
        *since = None;
        let seconds = begun.elapsed().as_secs();
        say(&format!("{node}: connected again after {seconds} s"));
        Ok(self.way())
    }
}
