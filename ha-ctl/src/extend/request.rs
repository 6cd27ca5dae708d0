//! The servers that `extend run` is asked for: on the command line, as options that repeat, or in a file.

use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

use cib_gen::ids::InstanceId;
use serde::Deserialize;
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::kind::Kind;
use super::server::{Name, address, refused};
use crate::exit::Failure;

/// A server that was asked for, and where: `server 2 on the command line`, `servers.yml, line 7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it was asked for.
    pub place: String,
    /// What it does.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// Its machine.
    pub at: At,
    /// The address that telephones on the Internet reach it at.
    pub public_address: Option<Ipv4Addr>,
}

/// How a machine is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// By its own address.
    Address(Ipv4Addr),
    /// By the id of the EC2 instance that it is.
    Instance(String),
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            At::Address(address) => address.fmt(f),
            At::Instance(id) => f.write_str(id),
        }
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        if !text.starts_with("i-") {
            return address(text).map(At::Address);
        }
        match text.parse::<InstanceId>() {
            Ok(id) => Ok(At::Instance(id.to_string())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// An option that says something about one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `-s`.
    Type,
    /// `-n`.
    Name,
    /// `-a`.
    Address,
    /// `-A`.
    PublicAddress,
}

/// All of them.
pub const FIELDS: [Field; 4] = [
    Field::Type,
    Field::Name,
    Field::Address,
    Field::PublicAddress,
];

impl Field {
    /// The option, as it is typed.
    pub fn option(self) -> &'static str {
        match self {
            Field::Type => "-s",
            Field::Name => "-n",
            Field::Address => "-a",
            Field::PublicAddress => "-A",
        }
    }

    /// The key in a file.
    fn key(self) -> &'static str {
        match self {
            Field::Type => "type",
            Field::Name => "name",
            Field::Address => "address",
            Field::PublicAddress => "public_address",
        }
    }
}

/// What was said of one server, before any of it is understood.
#[derive(Debug, Default)]
struct Given {
    values: Vec<(Field, String)>,
}

impl Given {
    fn get(&self, field: Field) -> Option<&str> {
        let mut values = self.values.iter();
        values
            .find(|(known, _)| *known == field)
            .map(|(_, value)| value.as_str())
    }

    /// The server, or everything that is wrong with it. `word` says how a field is called where it was given.
    fn request(
        &self,
        place: &str,
        word: impl Fn(Field) -> &'static str,
    ) -> Result<Request, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut needed = |field| match self.get(field) {
            Some(value) => value,
            None => {
                mistakes.push(format!("{} is missing", word(field)));
                ""
            }
        };
        let (kind, name) = (needed(Field::Type), needed(Field::Name));
        let own = needed(Field::Address);
        let kind = understood(kind, str::parse::<Kind>, &mut mistakes);
        let name = understood(name, str::parse, &mut mistakes);
        let at = understood(own, str::parse::<At>, &mut mistakes);
        let public = self.get(Field::PublicAddress).unwrap_or_default();
        let public: Option<Ipv4Addr> = understood(public, address, &mut mistakes);
        match (kind, name, at) {
            (Some(kind), Some(name), Some(at)) if mistakes.is_empty() => Ok(Request {
                place: place.to_owned(),
                kind,
                name,
                at,
                public_address: public,
            }),
            _ => Err(mistakes),
        }
    }
}

/// What a text means; a text that is not there has been complained of before.
fn understood<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    mistakes: &mut Vec<String>,
) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    parse(text).map_err(|mistake| mistakes.push(mistake)).ok()
}

/// The servers of a command line. A server ends where an option comes that it has already.
///
/// # Errors
/// What is missing or wrong, with the number of the server.
pub fn of_options(options: &[(Field, String)]) -> Result<Vec<Request>, Failure> {
    let mut given: Vec<Given> = Vec::new();
    for (field, value) in options {
        match given.last_mut().filter(|last| last.get(*field).is_none()) {
            Some(last) => last.values.push((*field, value.clone())),
            None => given.push(Given {
                values: vec![(*field, value.clone())],
            }),
        }
    }
    let count = given.len();
    let places = (1..).map(|number| match count {
        1 => "the command line".to_owned(),
        _ => format!("server {number} of the command line"),
    });
    all(places.zip(given), Field::option)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    servers: Vec<Spanned<Item>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    address: Option<String>,
    public_address: Option<String>,
}

/// The servers of a file.
///
/// # Errors
/// It cannot be read, or what is missing or wrong, with the line.
pub fn of_file(file: &Path) -> Result<Vec<Request>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!(
            "could not read --from {}: {error}. Nothing was changed",
            file.display()
        ))
    })?;
    of_text(&file.display().to_string(), &text)
}

fn of_text(file: &str, text: &str) -> Result<Vec<Request>, Failure> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        // No file of servers has anchors, and a few lines of them can stand for gigabytes.
        budget: serde_saphyr::budget! { max_aliases: 0, max_anchors: 0, max_depth: 8, max_nodes: 4096 },
        with_snippet: false,
    };
    let document: Document =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            Failure::usage(format!(
                "{file}: {error}. Nothing was changed\n  help: the file has a list `servers:`, each with `type`, `name`, \
                 `address` and, if it has one, `public_address`"
            ))
        })?;
    let given = document.servers.into_iter().map(|item| {
        let place = format!("{file}, line {}", item.referenced.line());
        let item = item.value;
        let values = [
            (Field::Type, item.kind),
            (Field::Name, item.name),
            (Field::Address, item.address),
            (Field::PublicAddress, item.public_address),
        ];
        let values = values
            .into_iter()
            .filter_map(|(field, value)| Some((field, value?)));
        (
            place,
            Given {
                values: values.collect(),
            },
        )
    });
    all(given, Field::key)
}

fn all(
    given: impl Iterator<Item = (String, Given)>,
    word: impl Fn(Field) -> &'static str,
) -> Result<Vec<Request>, Failure> {
    let (mut wanted, mut mistakes) = (Vec::new(), Vec::new());
    for (place, given) in given {
        match given.request(&place, &word) {
            Ok(request) => wanted.push(request),
            Err(wrong) => {
                mistakes.extend(wrong.into_iter().map(|wrong| format!("{place}: {wrong}")));
            }
        }
    }
    refused(mistakes)?;
    if wanted.is_empty() {
        return Err(Failure::usage(
            "which server? Nothing was changed\n  help: ha-ctl extend run -s TYPE -n NAME -a ADDRESS (on AWS, an instance id will do), or --from \
             servers.yml",
        ));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn options(words: &[&str]) -> Result<Vec<Request>, Failure> {
        let field = |word: &str| FIELDS.into_iter().find(|it| it.option() == word);
        let pairs = words.chunks(2);
        let options: Vec<(Field, String)> = pairs
            .map(|pair| (field(pair[0]).unwrap(), pair[1].to_owned()))
            .collect();
        of_options(&options)
    }

    #[test]
    fn options_that_repeat_are_several_servers() {
        let wanted = options(&[
            "-s",
            "media-server-only",
            "-n",
            "media-server-1",
            "-a",
            "192.168.1.21",
            "-A",
            "104.101.137.60",
            "-s",
            "ivr-server-only",
            "-n",
            "vr-server-1",
            "-a",
            "192.168.1.24",
        ])
        .unwrap();
        let kinds: Vec<Kind> = wanted.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, [Kind::Media, Kind::Ivr]);
        let public = wanted[0].public_address;
        assert_eq!(public, Some("104.101.137.60".parse().unwrap()));
        assert_eq!(wanted[1].public_address, None);
        assert_eq!(wanted[1].place, "server 2 of the command line");
    }

    #[test]
    fn what_is_missing_is_said_with_its_place() {
        let refused = options(&[
            "-s",
            "media-server-only",
            "-n",
            "media-server-1",
            "-s",
            "queue",
            "-n",
            "a b",
            "-a",
            "127.0.0.1",
        ]);
        let text = refused.unwrap_err().text;
        for said in [
            "server 1 of the command line: -a is missing",
            "server 2 of the command line: `queue` is no type",
            "server 2 of the command line: `a b` cannot be the name",
            "server 2 of the command line: no server can have the address 127.0.0.1",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(options(&[]).unwrap_err().text.starts_with("which server?"));
    }

    #[test]
    fn a_file_has_the_same_and_its_mistakes_have_lines() {
        let text = "servers:\n  - type: queue-server-only\n    name: queue-server-1\n    address: 192.168.1.22\n  - type: \
                    vr-server-only\n    name: vr-server-1\n";
        let refused = of_text("servers.yml", text).unwrap_err().text;
        assert!(
            refused.starts_with("servers.yml, line 5: address is missing"),
            "{refused}"
        );
        let right = format!("{text}    address: 192.168.1.24\n");
        let wanted = of_text("servers.yml", &right).unwrap();
        assert_eq!(wanted.len(), 2);
        assert_eq!(wanted[1].kind, Kind::Ivr);
        let instance = right.replace("192.168.1.24", "i-0c41d7a6be35f9021");
        let wanted = of_text("servers.yml", &instance).unwrap();
        assert_eq!(wanted[1].at, At::Instance("i-0c41d7a6be35f9021".to_owned()));
        let unknown = of_text("servers.yml", &format!("{right}    role: x\n"));
        assert!(
            unknown.unwrap_err().text.contains("role"),
            "an unknown key is refused"
        );
    }
}
