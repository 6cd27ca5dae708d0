//! The site's resolver, dnsmasq, which knows the machines' names and, on EC2, EC2's, and nothing else. A VPC's
//! is at the VPC's base address plus two, a LAN's is its router.
//!
//! Source: Amazon VPC User Guide, "Understanding Amazon DNS" (the VPC's base plus two, and
//! 169.254.169.253), "DNS attributes for your VPC" (the names).

use std::process::{Command, Stdio};

use crate::site::{self, Site, lan};
use crate::world::Error;

/// Starts it in this process's network namespace and control group, which ends it. Its addresses
/// must exist.
///
/// # Errors
/// dnsmasq is missing.
pub fn serve(site: Site) -> Result<(), Error> {
    let addresses = match site {
        Site::Ec2 => site::RESOLVERS.to_vec(),
        Site::Lan => vec![lan::ROUTER],
    };
    let mut command = Command::new("dnsmasq");
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file",
            "--user=root",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--log-facility=-",
            // Every other name does not exist.
            "--address=/#/",
        ])
        .args(
            addresses
                .iter()
                .map(|address| format!("--listen-address={address}")),
        );
    if site == Site::Ec2 {
        command.arg(record(site::EC2_ENDPOINT, site::EC2_ADDRESS));
    }
    for host in site.hosts().into_iter().chain(site.extended()) {
        let name = format!("{}.{}", host.hostname, site.domain());
        command.arg(record(&name, host.private_ip));
    }
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot run dnsmasq: {e}; `lab check` says what to install"))?;
    std::thread::spawn(move || {
        let ended = child.wait();
        tracing::error!("the resolver has ended: {ended:?}");
    });
    Ok(())
}

fn record(name: &str, address: std::net::Ipv4Addr) -> String {
    format!("--host-record={name},{address}")
}
