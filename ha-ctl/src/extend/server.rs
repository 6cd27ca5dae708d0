//! One extended server as a person names it, and what several may not have in common.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use crate::exit::Failure;

/// The name of a server: it is in the command line of the program there, and in the portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

/// The longest name.
const LONGEST: usize = 63;

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let begins = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        match begins && text.len() <= LONGEST && text.chars().all(allowed) {
            true => Ok(Name(text.to_owned())),
            false => Err(format!(
                "`{text}` cannot be the name of a server: a name has letters without accents, digits, and - _ . in it, \
                 begins with a letter or a digit, and has at most {LONGEST} of them"
            )),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        text.parse()
    }
}

/// An extended server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What it does. A server has one role.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its name, which the portal has too.
    pub name: Name,
    /// Its own address.
    pub address: Ipv4Addr,
    /// The address that telephones on the Internet reach it at. The portal has to know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub public_address: Option<Ipv4Addr>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// An address that a server can have.
///
/// # Errors
/// It is none.
pub(crate) fn address(text: &str) -> Result<Ipv4Addr, String> {
    let address = text
        .parse::<Ipv4Addr>()
        .map_err(|_| format!("`{text}` is no IPv4 address, such as 192.168.1.21"))?;
    let unusable = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_link_local();
    match unusable {
        true => Err(format!("no server can have the address {address}")),
        false => Ok(address),
    }
}

/// A server that was asked for, with its addresses, and where: `server 2 on the command line`, `servers.yml, line 7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it was asked for.
    pub place: String,
    /// The server.
    pub server: Server,
}

/// Refuses servers that were asked for together and contradict each other.
///
/// # Errors
/// All contradictions, each with both places.
pub(super) fn distinct(wanted: &[Wanted]) -> Result<(), Failure> {
    let mut mistakes = Vec::new();
    for (n, later) in wanted.iter().enumerate() {
        for earlier in &wanted[..n] {
            let (a, b) = (&earlier.server, &later.server);
            if a.name == b.name {
                mistakes.push(format!(
                    "{}: {} has the name {} already",
                    later.place, earlier.place, b.name
                ));
            }
            if a.address == b.address {
                mistakes.push(format!(
                    "{}: {} has the address {} already, and a server has one role",
                    later.place, earlier.place, b.address
                ));
            }
        }
    }
    refused(mistakes)
}

/// One failure of all mistakes in what was asked for.
///
/// # Errors
/// There are some.
pub(crate) fn refused(mistakes: Vec<String>) -> Result<(), Failure> {
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "{}\nNothing was changed",
            mistakes.join("\nerror: ")
        ))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn server(kind: Kind, name: &str, address: &str) -> Server {
        Server {
            kind,
            name: name.parse().unwrap(),
            address: address.parse().unwrap(),
            public_address: None,
        }
    }

    fn wanted(place: &str, name: &str, address: &str) -> Wanted {
        Wanted {
            place: place.to_owned(),
            server: server(Kind::Media, name, address),
        }
    }

    #[test]
    fn a_name_is_one_word_of_a_command_line() {
        for name in ["media-server-1", "ivr.2", "3"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "-n", "a b", "a;reboot", "$(id)", "é", &"a".repeat(64)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }

    #[test]
    fn an_address_that_no_server_can_have_is_refused() {
        assert!(address("192.168.1.21").is_ok());
        for text in ["", "pbx01", "127.0.0.1", "0.0.0.0", "224.0.0.1", "::1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_addresses_that_come_twice_are_refused_with_both_places() {
        let one = wanted("server 1", "media-1", "10.0.0.1");
        assert!(distinct(&[one.clone(), wanted("server 2", "media-2", "10.0.0.2")]).is_ok());
        let refused = distinct(&[one, wanted("server 2", "media-1", "10.0.0.1")]).unwrap_err();
        assert_eq!(
            refused.text,
            "server 2: server 1 has the name media-1 already\nerror: server 2: server 1 has the address 10.0.0.1 \
             already, and a server has one role\nNothing was changed"
        );
    }
}
