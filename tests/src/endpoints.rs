//! Sockets inside the VPC, at which nodes reach the EC2 model and the metadata service. The caller's
//! thread is in the VPC's namespace and in a tokio runtime.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
    sockopt,
};

use crate::ec2::Ec2;
use crate::image::Image;
use crate::site::{self, Instance};
use crate::world::Error;
use crate::{imds, vpc};

/// Starts to serve the API at EC2's address, over HTTPS under EC2's name.
///
/// # Errors
/// Something listens there, or the certificate cannot be made.
pub fn serve_ec2(ec2: &Arc<Ec2>, image: &Image) -> Result<(), Error> {
    let listener = std::net::TcpListener::bind((site::EC2_ADDRESS, 443))
        .map_err(|e| format!("cannot listen on {}:443: {e}", site::EC2_ADDRESS))?;
    listener.set_nonblocking(true)?;
    let tls = image.certificate_for(&[site::EC2_ENDPOINT])?;
    let router = ec2.router();
    tokio::spawn(async move {
        if let Err(e) = crate::ec2::server::serve(listener, tls, router).await {
            tracing::error!("the EC2 endpoint ended: {e}");
        }
    });
    Ok(())
}

/// Starts to serve an instance's metadata. One listener for each port of the VPC: who asks is known by the wire it comes in on, so that
/// a node cannot read another's metadata by using its address.
///
/// # Errors
/// The port does not exist.
pub fn serve_metadata(ec2: &Arc<Ec2>, instance: &'static Instance) -> Result<(), Error> {
    let listener = listen_on_port(&vpc::port(instance), vpc::METADATA, 80).map_err(|e| {
        format!(
            "cannot listen for the metadata requests of {}: {e}",
            instance.short
        )
    })?;
    let router = imds::router(Arc::clone(ec2), instance.id);
    tokio::spawn(async move {
        if let Err(e) = crate::ec2::server::serve_plain(listener, router).await {
            tracing::error!("the metadata service of {} ended: {e}", instance.short);
        }
    });
    Ok(())
}

fn listen_on_port(
    device: &str,
    address: Ipv4Addr,
    port: u16,
) -> Result<std::net::TcpListener, Error> {
    let fd: OwnedFd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    setsockopt(&fd, sockopt::BindToDevice, &device.into())?;
    let [a, b, c, d] = address.octets();
    bind(fd.as_raw_fd(), &SockaddrIn::new(a, b, c, d, port))?;
    listen(&fd, Backlog::new(64)?)?;
    Ok(fd.into())
}
