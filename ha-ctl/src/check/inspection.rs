//! What `inspect.sh` printed on a node.

use std::time::Duration;

use cib_gen::ec2_facts::Ec2Facts;
use cib_gen::render::SAMPLE;

use super::Site;
use super::docker_checks::registry;
use crate::cluster::facts::is_installed;
use crate::commands::quoted;
use crate::reach::{Answer, Command};

/// What was found on one node: words and values, in the order in which they were printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    /// The node.
    pub node: String,
    lines: Vec<(String, String)>,
    /// By how many seconds its clock is before this machine's, and how exactly that is known.
    pub clock: Option<Clock>,
    /// What EC2 says of the site, asked on this node; none on a LAN.
    pub ec2: Option<Result<Ec2Facts, NoFacts>>,
}

/// Why a node has no facts of EC2.
#[derive(Debug, Clone, PartialEq)]
pub enum NoFacts {
    /// cib-gen is not on the node.
    NotInstalled,
    /// It said this.
    Failed(String),
}

/// A clock compared with this machine's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Seconds that it is ahead.
    pub ahead: f64,
    /// It may be as much more or less: nobody knows when in between it was read.
    pub uncertain: f64,
}

/// Looks at a node of a site.
pub fn inspect(node: &str, site: &Site) -> Command {
    let others = site.machines.iter().filter(|machine| machine.name != node);
    let others: Vec<&str> = others
        .filter_map(|machine| machine.address.as_deref())
        .collect();
    let script = format!(
        "image={} registry={} disk={} vip={} others={}\n{SAMPLE}\n{}",
        quoted(site.image.unwrap_or_default()),
        quoted(&site.image.map(registry).unwrap_or_default()),
        quoted(site.data_disk.unwrap_or_default()),
        quoted(&site.vip.map(|vip| vip.to_string()).unwrap_or_default()),
        quoted(&others.join(" ")),
        include_str!("inspect.sh")
    );
    let mut command = Command::look("looking at the node", script);
    // A second or two, but for a machine that is very busy. Half of an inspection would be worse than none.
    command.limit = Duration::from_secs(40);
    command
}

/// Has cib-gen ask EC2 on a node, as the agents ask: as root, and without the home of who logged in.
pub fn ask_ec2(vars: &str) -> Command {
    let script = "command -v cib-gen >/dev/null || exit 127\nenv -u HOME cib-gen ec2-facts -";
    let mut command = Command::look("asking EC2 on the node", script);
    command.stdin = Some(vars.to_owned().into());
    command.limit = Duration::from_secs(20);
    command
}

/// What cib-gen answered. None: this is no site on EC2.
pub(super) fn ec2_facts(answer: &Answer) -> Option<Result<Ec2Facts, NoFacts>> {
    match answer.status {
        0 => {}
        127 => return Some(Err(NoFacts::NotInstalled)),
        _ => return Some(Err(NoFacts::Failed(answer.said()))),
    }
    let facts: Result<Option<Ec2Facts>, _> = serde_json::from_str(&answer.stdout);
    match facts {
        Ok(facts) => facts.map(Ok),
        Err(error) => Some(Err(NoFacts::Failed(format!(
            "what cib-gen printed cannot be used: {error}"
        )))),
    }
}

impl Inspection {
    /// From what was printed between two moments of this machine's clock, in seconds.
    pub fn parse(node: &str, printed: &str, between: (f64, f64)) -> Inspection {
        let mut inspection = Inspection {
            node: node.to_owned(),
            lines: lines(printed),
            clock: None,
            ec2: None,
        };
        let read: Option<f64> = inspection.one("clock").and_then(|text| text.parse().ok());
        inspection.clock = read.map(|read| Clock {
            ahead: read - (between.0 + between.1) / 2.0,
            uncertain: (between.1 - between.0) / 2.0,
        });
        inspection
    }

    /// Whether the script has come to its end. What was cut short has seen nothing wrong in what it has not seen.
    pub fn is_complete(&self) -> bool {
        self.one("end").is_some()
    }

    /// The node that has an id in Corosync's configuration on this node.
    pub fn node_with_id(&self, id: &str) -> Option<&str> {
        self.words("node-id").find_map(|words| match words[..] {
            [known, name] if known == id => Some(name),
            _ => None,
        })
    }

    /// Whether Corosync's configuration on this node has one of the nodes of the site.
    pub fn has_cluster_of(&self, site: &Site) -> bool {
        self.all("cluster-node").any(|name| site.has(name))
    }

    /// Adds what else was printed.
    pub fn add(&mut self, printed: &str) {
        self.lines.extend(lines(printed));
    }

    /// Adds what a listener printed that ended at a moment of this machine's clock.
    pub fn add_heard(&mut self, printed: &str, end: f64) {
        self.add(printed);
        let seconds: Option<f64> = self.one("listened-for").and_then(|text| text.parse().ok());
        if let Some(seconds) = seconds {
            self.add(&format!("window {} {end}", end - seconds));
        }
    }

    /// Adds what cib-gen answered on the node.
    pub fn add_ec2(&mut self, answer: &Answer) {
        self.ec2 = ec2_facts(answer);
    }

    /// The first value of a word, if it is not empty.
    pub fn one<'a>(&'a self, word: &'a str) -> Option<&'a str> {
        self.all(word).find(|value| !value.is_empty())
    }

    /// All values of a word.
    pub fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter().filter(move |(known, _)| known == word);
        lines.map(|(_, value)| value.as_str())
    }

    /// All values of a word, split at blanks.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
        self.all(word)
            .map(|value| value.split_whitespace().collect())
    }

    /// The version of a package that is installed.
    pub fn package<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.words("package").find_map(|words| match words[..] {
            [known, status, version] if known == name && is_installed(status) => Some(version),
            _ => None,
        })
    }

    /// Whether a service is active, and whether it is started at boot.
    pub fn service<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a str)> {
        self.words("service").find_map(|words| match words[..] {
            // systemd 254 and later print it for a unit that they do not have.
            [known, active, "not-found"] if known == name => Some((active, "")),
            [known, active, enabled] if known == name => Some((active, enabled)),
            [known, active] if known == name => Some((active, "")),
            _ => None,
        })
    }
}

/// Each line is a word and its value.
fn lines(printed: &str) -> Vec<(String, String)> {
    let lines = printed.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(word, value)| (word.to_owned(), value.trim().to_owned()))
        .collect()
}
