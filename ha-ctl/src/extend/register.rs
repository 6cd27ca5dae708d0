//! The list of the extended servers. Every node of the cluster has it, so that it survives any of them; the newest
//! counts. It holds no secret.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::server::{Server, Wanted, refused};
use crate::caller::{caller, now};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::Command;

/// Where it lies on every node. The data volume is no place for it: one node alone has it mounted.
pub const FILE: &str = "/etc/portsip/extended-servers.json";

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Grows with each change.
    pub counter: u64,
    /// When it was changed, which decides between two with the same counter.
    pub changed: String,
    /// By whom.
    pub by: String,
    /// The servers.
    pub servers: Vec<Entry>,
}

/// A server of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The server.
    #[serde(flatten)]
    pub server: Server,
    /// The directory of its data, on the server.
    pub data: String,
}

/// Which servers of the list are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those of one type.
    pub kind: Option<Kind>,
    /// The one with this address.
    pub address: Option<Ipv4Addr>,
}

impl Register {
    /// From a file.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn parse(text: &str) -> Result<Register, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The newest of several; an empty one where there is none.
    pub fn newest(all: impl IntoIterator<Item = Register>) -> Register {
        let all = all.into_iter();
        all.max_by(|a, b| (a.counter, &a.changed).cmp(&(b.counter, &b.changed)))
            .unwrap_or_default()
    }

    /// With other servers, as a newer one.
    pub fn with(&self, servers: Vec<Entry>) -> Register {
        Register {
            counter: self.counter + 1,
            changed: now(),
            by: caller(),
            servers,
        }
    }

    /// With servers added; those that are there with the same name and address take their place.
    pub fn adding(&self, entries: &[Entry]) -> Register {
        let mut servers = self.servers.clone();
        servers.retain(|known| entries.iter().all(|it| it.server.name != known.server.name));
        servers.extend(entries.iter().cloned());
        self.with(servers)
    }

    /// Without some servers.
    pub fn without(&self, entries: &[Entry]) -> Register {
        let servers = self.servers.iter();
        let rest =
            servers.filter(|known| entries.iter().all(|it| it.server.name != known.server.name));
        self.with(rest.cloned().collect())
    }

    /// The servers that are meant.
    ///
    /// # Errors
    /// There is none.
    pub fn select(&self, selection: Selection) -> Result<Vec<Entry>, Failure> {
        let meant = self.servers.iter().filter(|it| {
            selection.kind.is_none_or(|kind| it.server.kind == kind)
                && selection
                    .address
                    .is_none_or(|address| it.server.address == address)
        });
        let meant: Vec<Entry> = meant.cloned().collect();
        if !meant.is_empty() {
            return Ok(meant);
        }
        let kind = selection.kind.map(|kind| format!(" of the type {kind}"));
        let address = selection
            .address
            .map(|it| format!(" with the address {it}"));
        Err(Failure::failed(format!(
            "there is no extended server{}{}. Nothing was changed\n  help: ha-ctl extend list   shows all",
            kind.unwrap_or_default(),
            address.unwrap_or_default()
        )))
    }

    /// Refuses servers that contradict those of the list. One that is there as it was asked for is not refused: it is
    /// set up to its end.
    ///
    /// # Errors
    /// All contradictions, each with its place.
    pub fn accepts(&self, wanted: &[Wanted]) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        for Wanted { place, server } in wanted {
            for known in self.servers.iter().map(|it| &it.server) {
                let same = (known.name == server.name, known.address == server.address);
                let help = format!(
                    "ha-ctl extend rm -s {} -a {}   removes it first",
                    known.kind, known.address
                );
                match same {
                    (true, true) if known.kind != server.kind => mistakes.push(format!(
                        "{place}: {known} is a {} already, and a server has one role\n  help: {help}",
                        known.kind
                    )),
                    (true, false) => mistakes.push(format!(
                        "{place}: the name {} is taken by the server at {}\n  help: {help}",
                        server.name, known.address
                    )),
                    (false, true) => mistakes.push(format!(
                        "{place}: the address {} is that of {}, a {}\n  help: {help}",
                        server.address, known.name, known.kind
                    )),
                    _ => {}
                }
            }
        }
        refused(mistakes)
    }

    /// Writes it on a node, whole or not at all.
    pub fn write(&self) -> Command {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let file = quoted(FILE);
        Command::change(
            format!("write the list of the extended servers ({FILE})"),
            format!(
                "umask 077; mkdir -p -m 0755 /etc/portsip && cat >{file}.new && sync {file}.new && mv {file}.new {file}"
            ),
        )
        .reading(text + "\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::server::tests::server;
    use super::*;

    pub(crate) fn entry(kind: Kind, name: &str, address: &str) -> Entry {
        Entry {
            server: server(kind, name, address),
            data: format!("/var/lib/portsip/{kind}"),
        }
    }

    fn register() -> Register {
        Register::default().adding(&[
            entry(Kind::Media, "media-1", "10.0.0.1"),
            entry(Kind::Media, "media-2", "10.0.0.2"),
            entry(Kind::Ivr, "ivr-1", "10.0.0.3"),
        ])
    }

    fn wanted(kind: Kind, name: &str, address: &str) -> [Wanted; 1] {
        [Wanted {
            place: "the command line".to_owned(),
            server: server(kind, name, address),
        }]
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let text = serde_json::to_string(&register()).unwrap();
        assert_eq!(Register::parse(&text).unwrap(), register());
        assert!(text.contains(r#""type":"vr-server-only""#), "{text}");
        assert!(Register::parse("servers:").is_err());
    }

    #[test]
    fn the_newest_counts() {
        let old = register();
        let new = old.without(&old.servers[..1]);
        assert_eq!(new.counter, old.counter + 1);
        let newest = Register::newest([old.clone(), new.clone(), Register::default()]);
        assert_eq!(newest, new);
        assert_eq!(Register::newest([]), Register::default());
        // Two changes that did not know each other.
        let later = Register {
            changed: "9999-01-01 00:00:00Z".to_owned(),
            ..old.clone()
        };
        assert_eq!(Register::newest([later.clone(), old]), later);
    }

    #[test]
    fn servers_are_meant_by_type_or_address_or_both() {
        let names = |kind: Option<Kind>, address: Option<&str>| -> Vec<String> {
            let address = address.map(|it| it.parse().unwrap());
            let meant = register().select(Selection { kind, address });
            let meant = meant.unwrap_or_default().into_iter();
            meant.map(|it| it.server.name.into()).collect()
        };
        assert_eq!(names(None, None), ["media-1", "media-2", "ivr-1"]);
        assert_eq!(names(Some(Kind::Media), None), ["media-1", "media-2"]);
        assert_eq!(names(Some(Kind::Media), Some("10.0.0.2")), ["media-2"]);
        assert_eq!(names(None, Some("10.0.0.3")), ["ivr-1"]);
        assert!(names(Some(Kind::Media), Some("10.0.0.3")).is_empty());
        let none = register().select(Selection {
            kind: Some(Kind::Queue),
            address: None,
        });
        assert!(none.unwrap_err().text.contains("queue-server-only"));
    }

    #[test]
    fn a_server_that_is_there_is_accepted_and_what_contradicts_it_is_not() {
        let accepts = |wanted: &[Wanted]| register().accepts(wanted);
        assert!(accepts(&wanted(Kind::Media, "media-1", "10.0.0.1")).is_ok());
        assert!(accepts(&wanted(Kind::Queue, "queue-1", "10.0.0.9")).is_ok());
        for (wanted, said) in [
            (wanted(Kind::Queue, "media-1", "10.0.0.1"), "one role"),
            (
                wanted(Kind::Media, "media-1", "10.0.0.9"),
                "the name media-1 is taken",
            ),
            (
                wanted(Kind::Media, "media-9", "10.0.0.1"),
                "is that of media-1",
            ),
        ] {
            let refused = accepts(&wanted).unwrap_err();
            assert!(refused.text.contains(said), "{refused}");
        }
    }

    #[test]
    fn the_list_is_written_for_root_alone_and_is_no_argument() {
        let command = register().write();
        assert!(command.script.contains("umask 077"), "{}", command.script);
        assert!(!command.script.contains("media-1"), "{}", command.script);
    }
}
