//! Docker and what runs in it.

use std::net::Ipv4Addr;

use super::{Inspection, Said, Site};
use crate::cluster::Level;

/// Before it, Docker can lock itself up when containers end at the same time (moby/moby#46661).
const OLDEST: [u64; 3] = [20, 10, 27];

fn is_active(it: &Inspection) -> bool {
    it.service("docker")
        .is_some_and(|(active, _)| active == "active")
}

/// Whether Docker has answered everything in its time: what is missing otherwise may be there.
fn has_answered(it: &Inspection) -> bool {
    is_active(it) && it.one("docker-looked").is_some()
}

pub(super) fn version(it: &Inspection, _: &Site) -> Vec<Said> {
    let start = || Some("sudo systemctl enable --now docker   (there)".to_owned());
    match it.service("docker") {
        Some(("active", _)) => {}
        Some((state, enabled)) if !enabled.is_empty() => {
            return vec![(Level::Error, format!("Docker is {state}"), start())];
        }
        _ => return vec![(Level::Error, "Docker is not installed".to_owned(), None)],
    }
    let Some(version) = it.one("docker") else {
        let found = "Docker does not answer".to_owned();
        let command = "journalctl --unit docker --since -1h   (there)".to_owned();
        return vec![(Level::Error, found, Some(command))];
    };
    let numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok());
    match numbers.take(3).collect::<Vec<u64>>().as_slice() < &OLDEST[..] {
        true => vec![(Level::Warning, format!("Docker {version}"), None)],
        false if !has_answered(it) => vec![(
            Level::Warning,
            "Docker answers slowly: not everything of it was looked at within 4 s".to_owned(),
            Some("ha-ctl check --only docker.version,docker.image   looks again".to_owned()),
        )],
        false => Vec::new(),
    }
}

pub(super) fn compose(it: &Inspection, _: &Site) -> Vec<Said> {
    match has_answered(it) && it.one("compose").is_none() {
        true => vec![(
            Level::Error,
            "`docker compose` is missing".to_owned(),
            Some(match it.one("os") {
                Some("debian 13") => "sudo apt install docker-compose   (there)".to_owned(),
                Some("debian 12") => {
                    "Debian 12 has no package of it: docker-compose-plugin as https://docs.docker.com/compose/install/linux/ \
                     says   (there)"
                        .to_owned()
                }
                _ => "sudo apt install docker-compose-v2   (there)".to_owned(),
            }),
        )],
        false => Vec::new(),
    }
}

pub(super) fn live_restore(it: &Inspection, _: &Site) -> Vec<Said> {
    match it.one("live-restore") {
        Some("false") => vec![(
            Level::Warning,
            "a restart of Docker, as an upgrade makes it, ends every call".to_owned(),
            Some(
                "add \"live-restore\": true to /etc/docker/daemon.json, then: sudo systemctl reload docker   (there)"
                    .to_owned(),
            ),
        )],
        _ => Vec::new(),
    }
}

/// The vendor's other services have names of their own, and are left alone.
pub(super) fn foreign(it: &Inspection, _: &Site) -> Vec<Said> {
    let foreign = it.words("container").filter_map(|words| match words[..] {
        [_, "portsip"] => None,
        [name, ..] => Some(name),
        [] => None,
    });
    let foreign: Vec<&str> = foreign.collect();
    match foreign.is_empty() {
        true => Vec::new(),
        false => vec![(
            Level::Note,
            format!("other containers: {}", foreign.join(", ")),
            None,
        )],
    }
}

pub(super) fn image(it: &Inspection, site: &Site) -> Vec<Said> {
    let Some(image) = site.image.filter(|_| has_answered(it)) else {
        return Vec::new();
    };
    match it.one("image") {
        Some(_) => Vec::new(),
        None => vec![(
            Level::Warning,
            format!("{image} is not there: the PBX cannot start here"),
            Some(format!("sudo docker pull {image}   (there)")),
        )],
    }
}

/// Host and port of the registry of an image
/// (<https://docs.docker.com/reference/cli/docker/image/tag/>, "Description").
pub(super) fn registry(image: &str) -> String {
    let host = image.split_once('/').map(|(host, _)| host);
    let host = host.filter(|host| host.contains(['.', ':']) || *host == "localhost");
    match host {
        None | Some("docker.io") => "registry-1.docker.io 443".to_owned(),
        Some(host) => match host.split_once(':') {
            Some((name, port)) => format!("{name} {port}"),
            None => format!("{host} 443"),
        },
    }
}

/// Looked at only where the image is not on the node: a failover needs no registry.
pub(super) fn reachable(it: &Inspection, _: &Site) -> Vec<Said> {
    let closed = it.words("registry").filter_map(|words| match words[..] {
        ["closed", host, port] => Some((host, port)),
        _ => None,
    });
    let proxy = it.one("docker-proxy");
    closed
        .map(|(host, port)| {
            let (found, command) = match (proxy, it.one("apt-proxy")) {
                (Some(proxy), _) => (
                    format!("Docker pulls through {proxy}, and {host} does not answer on port {port}"),
                    "docker info --format '{{.HTTPSProxy}} {{.NoProxy}}'   (there)".to_owned(),
                ),
                (None, Some(apt)) => (
                    format!("{host} does not answer on port {port}; apt uses the proxy {apt}, and Docker none"),
                    format!(
                        "printf '[Service]\\nEnvironment=HTTPS_PROXY={apt}\\n' | sudo install -D /dev/stdin \
                         /etc/systemd/system/docker.service.d/proxy.conf; then restart Docker   (there)"
                    ),
                ),
                (None, None) => (
                    format!("{host} does not answer on port {port}, and the image has to come from there"),
                    format!("curl -v https://{host}:{port}/v2/   (there); or load the image: docker load"),
                ),
            };
            (Level::Warning, found, Some(command))
        })
        .collect()
}

/// A proxy leads to the Internet, and seldom back into the own network.
pub(super) fn proxy(it: &Inspection, site: &Site) -> Vec<Said> {
    let (Some(proxy), Some(image)) = (it.one("docker-proxy"), site.image) else {
        return Vec::new();
    };
    let registry = registry(image);
    let host = registry.split(' ').next().unwrap_or_default();
    let is_near = match host.parse::<Ipv4Addr>() {
        Ok(address) => address.is_private(),
        Err(_) => !host.contains('.'),
    };
    let excepted = it.one("docker-no-proxy").unwrap_or_default();
    if !is_near || excepted.split(',').any(|entry| entry.trim() == host) {
        return Vec::new();
    }
    let found =
        format!("Docker asks the registry {host} through {proxy}: its NO_PROXY lacks {host}");
    let command = format!(
        "add {host} to NO_PROXY in /etc/systemd/system/docker.service.d, then restart Docker   (there)"
    );
    vec![(Level::Warning, found, Some(command))]
}
