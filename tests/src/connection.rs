//! Connections that can be reset: how the EC2 model and the metadata service fail below HTTP.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Extension};
use axum::http::Extensions;
use axum::response::Response;
use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::ec2::locked;

/// The connections of one server, by the client's address.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<Mutex<BTreeMap<SocketAddr, Arc<AtomicBool>>>>);

impl Connections {
    /// Has the connection that a request came on reset; what is returned never gets out. `extensions`
    /// are the request's.
    pub fn reset(extensions: &Extensions) -> Response {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let connections = extensions.get::<Self>();
        if let (Some(ConnectInfo(peer)), Some(connections)) = (peer, connections)
            && let Some(reset) = locked(&connections.0).get(peer)
        {
            reset.store(true, Ordering::SeqCst);
        } else {
            tracing::error!("a connection can't be reset: its server does not keep connections");
        }
        Response::new(Body::empty())
    }

    /// For the router, so that its handlers find the connections.
    pub(crate) fn extension(&self) -> Extension<Self> {
        Extension(self.clone())
    }
}

impl<S> Accept<TcpStream, S> for Connections {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().map(|peer| {
            let reset = Arc::new(AtomicBool::new(false));
            locked(&self.0).insert(peer, Arc::clone(&reset));
            let connection = Connection {
                stream,
                peer,
                reset,
                all: self.clone(),
            };
            (connection, service)
        }))
    }
}

/// One of them.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    reset: Arc<AtomicBool>,
    all: Connections,
}

impl Connection {
    /// A server gives a connection up when it can't write.
    fn unless_reset(&self) -> io::Result<()> {
        if self.reset.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut all = locked(&self.all.0);
        // The address may be another connection's by now.
        if all
            .get(&self.peer)
            .is_some_and(|reset| Arc::ptr_eq(reset, &self.reset))
        {
            all.remove(&self.peer);
        }
        if self.reset.load(Ordering::SeqCst) {
            // socket(7), SO_LINGER: closed with none, the peer gets a reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_reset()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_reset()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_reset()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
