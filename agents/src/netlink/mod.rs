//! What the kernel is asked and told by netlink (rtnetlink(7)): the addresses of this host and
//! the routes of its main table. Which routes there should be is decided elsewhere.

mod addresses;
mod routes;

use std::io;

use nix::errno::Errno;
use rtnetlink::{Error, Handle};

pub use addresses::Address;
pub use routes::{NextHop, Route, Write};

use crate::meaning::Meaning;

/// The kernel could not be asked, or refused. [`NetlinkError::meaning`] says what it means.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {said}")]
pub struct NetlinkError {
    /// What was being done, to what.
    doing: String,
    /// What the kernel said.
    said: io::Error,
}

impl NetlinkError {
    fn new(doing: impl Into<String>, error: Error) -> Self {
        let said = match error {
            Error::NetlinkError(error) => error.to_io(),
            other => io::Error::other(other.to_string()),
        };
        Self {
            doing: doing.into(),
            said,
        }
    }

    /// What it means.
    pub fn meaning(&self) -> Meaning {
        self.said.raw_os_error().map_or(Meaning::Unknown, |code| {
            Meaning::of_kernel(Errno::from_raw(code))
        })
    }
}

/// A netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Opens the socket. It needs a runtime, which serves it until this is dropped.
    ///
    /// # Errors
    ///
    /// When there can be no such socket.
    pub fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|said| NetlinkError {
            doing: "open a netlink socket".to_owned(),
            said,
        })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}

/// The name of an interface, or its number if it has gone.
pub fn name_of(interface: u32) -> String {
    nix::net::if_::if_indextoname(interface).map_or_else(
        |_| format!("interface {interface}"),
        |name| name.to_string_lossy().into_owned(),
    )
}
