//! What only a person can do, in the web portal, said when it is time for it.

use std::fmt::Write as _;

use crate::extend::{Cluster, Entry, KINDS};

/// Before a server is set up: its program looks for itself in the PBX by its name.
pub(super) fn before(entries: &[&Entry], cluster: &Cluster) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "first, in the portal (https://{}:{}, as system administrator), where it is not done yet:\n",
        cluster.vip, cluster.web_port
    );
    for entry in entries {
        let server = &entry.server;
        let public = server
            .public_address
            .map(|it| format!(", public address {it}"));
        let _ = writeln!(
            text,
            "  Servers > {} > Add: name {}, address {}{}",
            server.kind.menu(),
            server.name,
            server.address,
            public.unwrap_or_default()
        );
    }
    text
}

/// After servers were set up.
pub(super) fn after(entries: &[&Entry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut text = "next, in the portal:\n".to_owned();
    let addresses = entries.iter().flat_map(|it| {
        let server = &it.server;
        [Some(server.address), server.public_address]
            .into_iter()
            .flatten()
    });
    let addresses: Vec<String> = addresses.map(|it| it.to_string()).collect();
    let _ = writeln!(
        text,
        "  IP Blacklist: an allowed entry with a far expiry for {}. Without it the PBX limits how often a server may ask",
        addresses.join(", ")
    );
    for kind in KINDS {
        if entries.iter().any(|it| it.server.kind == kind) {
            let _ = writeln!(
                text,
                "  Servers > {menu}: wait until each is Online, then disable the default server",
                menu = kind.menu()
            );
        }
    }
    text
}

/// After servers were removed.
pub(super) fn after_removal(entries: &[&Entry]) -> String {
    let mut text = "next, in the portal:\n".to_owned();
    for entry in entries {
        let server = &entry.server;
        let _ = writeln!(
            text,
            "  Servers > {}: remove {}, and enable the default server if it was the last; IP Blacklist: remove the entry \
             for {}",
            server.kind.menu(),
            server.name,
            server.address
        );
    }
    text
}
