//! The VPC's resolver: dnsmasq at the VPC's base address plus two, which knows the instances' private
//! names and EC2's, and nothing else.
//!
//! Source: Amazon VPC User Guide, "Understanding Amazon DNS" (the VPC's base plus two, and
//! 169.254.169.253), "DNS attributes for your VPC" (the names).

use std::process::{Command, Stdio};

use crate::site::{self, INSTANCES};
use crate::world::Error;

/// Starts it in this process's network namespace and control group, which ends it. Its addresses
/// must exist.
///
/// # Errors
/// dnsmasq is missing.
pub fn serve() -> Result<(), Error> {
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
            site::RESOLVERS
                .iter()
                .map(|address| format!("--listen-address={address}")),
        )
        .arg(record(site::EC2_ENDPOINT, site::EC2_ADDRESS));
    for instance in &INSTANCES {
        let name = format!("{}.{}", instance.hostname, site::DOMAIN);
        command.arg(record(&name, instance.private_ip));
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
