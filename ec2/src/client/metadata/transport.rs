//! Connections to the instance metadata: made by `source.rs`, never through a proxy, and with a time limit for all
//! requests together. ureq's own TCP transport takes no connection that was made elsewhere.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use crate::client::source;

/// Makes the connections. All requests have to be over at `until`.
#[derive(Debug)]
pub(crate) struct DirectConnector {
    pub(crate) until: Instant,
}

impl Connector for DirectConnector {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let (until, config) = (self.until, &details.config);
        let (input, output) = (config.input_buffer_size(), config.output_buffer_size());
        let mut last = Error::HostNotFound;
        for to in details.addrs.iter() {
            match source::connect(*to, until) {
                Ok(stream) => {
                    let buffers = LazyBuffers::new(input, output);
                    return Ok(Some(Connection {
                        stream,
                        buffers,
                        until,
                    }));
                }
                Err(error) => last = Error::Io(error),
            }
        }
        Err(last)
    }
}

pub(crate) struct Connection {
    stream: TcpStream,
    buffers: LazyBuffers,
    until: Instant,
}

impl Connection {
    /// The time that is left. Zero would mean no limit.
    fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        Some(left.max(Duration::from_millis(1)))
    }
}

/// The kernel reports an expired time limit as a call that would block.
fn ureq_error(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(self.left())?;
        let output = &self.buffers.output()[..amount];
        let written = self.stream.write_all(output);
        written.map_err(|error| ureq_error(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let amount = loop {
            self.stream.set_read_timeout(self.left())?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => break answer.map_err(|error| ureq_error(error, timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Whether the connection can be used again: it is open and silent.
    fn is_open(&mut self) -> bool {
        let peeked = self.stream.set_nonblocking(true);
        let peeked = peeked.and_then(|()| self.stream.peek(&mut [0]));
        let silent = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_ok() && silent
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("to", &self.stream.peer_addr().ok())
            .finish()
    }
}
