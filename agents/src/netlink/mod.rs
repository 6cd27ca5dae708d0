//! What the kernel is asked and told by netlink (rtnetlink(7)): the addresses of this host and
//! the routes of its main table. Which routes there should be is decided elsewhere.

mod addresses;
mod routes;

use std::io;

use nix::errno::Errno;
use rtnetlink::{Error, Handle};

pub use addresses::Address;
pub use routes::{NextHop, Route, Write};

/// The kernel could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {said}")]
pub struct NetlinkError {
    doing: String,
    said: io::Error,
}

fn failed(doing: impl Into<String>) -> impl FnOnce(Error) -> NetlinkError {
    let doing = doing.into();
    |error| {
        let said = match error {
            Error::NetlinkError(error) => error.to_io(),
            other => io::Error::other(other.to_string()),
        };
        NetlinkError { doing, said }
    }
}

impl NetlinkError {
    /// The kernel's error (netlink(7), rtnetlink(7)); none if the kernel was not reached.
    pub fn errno(&self) -> Option<Errno> {
        self.said.raw_os_error().map(Errno::from_raw)
    }
}

/// A netlink socket in the network namespace of the thread that opened it.
pub struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Opens the socket. It needs a runtime, which serves it until this is dropped.
    pub fn open() -> Result<Self, NetlinkError> {
        let opened = rtnetlink::new_connection();
        let doing = "open a netlink socket".to_owned();
        let (connection, handle, _) = opened.map_err(|said| NetlinkError { doing, said })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}

/// The name of an interface, or its number if it has gone.
pub fn name_of(interface: u32) -> String {
    match nix::net::if_::if_indextoname(interface) {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => format!("interface {interface}"),
    }
}
