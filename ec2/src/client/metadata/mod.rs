//! Instance metadata, version 2: what the instance knows of itself without asking EC2. Every path is written here
//! or in `role.rs`. An error is always of the kind `Unknown`: it says nothing about the resource.

mod role;
mod transport;

use std::cell::RefCell;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Error};

use crate::{AwsError, Deadline, ErrorKind, InstanceId, InterfaceId};
use transport::DirectConnector;

/// The time limit of all requests of one [`Metadata`]. The service runs on the instance's own host and answers
/// within a millisecond.
const TIME_LIMIT: Duration = Duration::from_secs(2);
const ENDPOINT: &str = "http://169.254.169.254";
const TOKEN_TTL_SECONDS: &str = "60";

/// The metadata service, with a token.
#[derive(Debug)]
pub struct Metadata {
    agent: Agent,
    endpoint: String,
    token: RefCell<String>,
}

/// Each call fails if the service does not answer.
impl Metadata {
    /// Gets a token. `AWS_EC2_METADATA_SERVICE_ENDPOINT` names another endpoint, as for the SDK.
    pub fn connect() -> Result<Self, AwsError> {
        Self::connect_until(Instant::now() + TIME_LIMIT)
    }

    /// As [`Metadata::connect`], and no request takes longer than until `deadline`.
    pub fn connect_by(deadline: Deadline) -> Result<Self, AwsError> {
        Self::connect_until(deadline.at_most(TIME_LIMIT).end())
    }

    fn connect_until(until: Instant) -> Result<Self, AwsError> {
        let endpoint = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_default();
        let endpoint = match endpoint.trim_end_matches('/') {
            "" => ENDPOINT.to_owned(),
            endpoint => endpoint.to_owned(),
        };
        // A proxy would answer with the metadata of its own instance.
        let left = until.saturating_duration_since(Instant::now());
        let config = Agent::config_builder()
            .proxy(None)
            // The resolver alone would wait as long as the C library does. Zero would be no limit.
            .timeout_resolve(Some(left.max(Duration::from_millis(1))))
            .build();
        let connector = DirectConnector { until };
        let metadata = Self {
            agent: Agent::with_parts(config, connector, DefaultResolver::default()),
            endpoint,
            token: RefCell::default(),
        };
        metadata.fetch_token()?;
        Ok(metadata)
    }

    pub fn instance_id(&self) -> Result<InstanceId, AwsError> {
        self.id("instance-id", InstanceId::from_answer)
    }

    pub fn region(&self) -> Result<String, AwsError> {
        self.get("placement/region")
    }

    pub fn zone(&self) -> Result<String, AwsError> {
        self.get("placement/availability-zone")
    }

    pub fn interface(&self) -> Result<Interface<'_>, AwsError> {
        Ok(Interface {
            mac: self.get("mac")?,
            metadata: self,
        })
    }

    /// The network interface with this MAC address.
    pub fn interface_of(&self, mac: String) -> Interface<'_> {
        let metadata = self;
        Interface { mac, metadata }
    }

    fn fetch_token(&self) -> Result<(), AwsError> {
        let url = format!("{}/latest/api/token", self.endpoint);
        let request = self.agent.put(&url);
        let token = request
            .header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_SECONDS)
            .send_empty()
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .map_err(|error| self.no_answer("get a token", &error))?;
        *self.token.borrow_mut() = token;
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String, AwsError> {
        let missing = || unusable(path, "the instance metadata has no such item (404)");
        self.find(path)?.ok_or_else(missing)
    }

    /// An item that is an id, in whatever form EC2 writes it.
    fn id<T>(&self, path: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, AwsError> {
        let empty = || unusable(path, "the instance metadata has an empty item");
        read(&self.get(path)?).ok_or_else(empty)
    }

    /// An item, or `None` if there is none at this path.
    fn find(&self, path: &str) -> Result<Option<String>, AwsError> {
        let url = format!("{}/latest/meta-data/{path}", self.endpoint);
        let mut answer = self.request(&url);
        // The token is not valid any more: the service was restarted, or the instance moved to another host.
        if matches!(answer, Err(Error::StatusCode(401))) {
            self.fetch_token()?;
            answer = self.request(&url);
        }
        match answer {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(Error::StatusCode(404)) => Ok(None),
            Err(error) => Err(self.no_answer(&format!("read {path}"), &error)),
        }
    }

    fn request(&self, url: &str) -> Result<String, Error> {
        let token = self.token.borrow();
        let request = self.agent.get(url);
        let answer = request.header("X-aws-ec2-metadata-token", token.as_str());
        answer.call()?.body_mut().read_to_string()
    }

    fn no_answer(&self, operation: &str, error: &Error) -> AwsError {
        let what = match error {
            Error::StatusCode(403) => {
                "answers 403: is it turned off for this instance (HttpEndpoint)?".to_owned()
            }
            Error::StatusCode(status) => format!("answers {status}"),
            Error::Timeout(_) => "gives no answer in time".to_owned(),
            Error::Io(error) => format!("cannot be asked: {error}"),
            other => format!("cannot be asked: {other}"),
        };
        let operation = format!("{operation} at {}", self.endpoint);
        let cause = format!("the instance metadata {what}");
        AwsError::new(ErrorKind::Unknown, operation, cause)
    }
}

/// An item whose value is of no use.
fn unusable(path: &str, cause: &str) -> AwsError {
    AwsError::new(ErrorKind::Unknown, format!("read {path}"), cause)
}

fn parse<T: FromStr<Err: Display>>(path: &str, text: &str) -> Result<T, AwsError> {
    text.parse().map_err(|error| {
        let cause = format!("the instance metadata has `{text}`, which cannot be read: {error}");
        unusable(path, &cause)
    })
}

#[derive(Debug)]
pub struct Interface<'a> {
    mac: String,
    metadata: &'a Metadata,
}

/// Each call fails if the service does not answer.
impl Interface<'_> {
    fn path(&self, item: &str) -> String {
        format!("network/interfaces/macs/{}/{item}", self.mac)
    }

    pub fn id(&self) -> Result<InterfaceId, AwsError> {
        let path = self.path("interface-id");
        self.metadata.id(&path, InterfaceId::from_answer)
    }

    pub fn primary(&self) -> Result<Ipv4Addr, AwsError> {
        let path = self.path("local-ipv4s");
        let addresses = self.metadata.get(&path)?;
        // EC2 lists the primary address first.
        parse(&path, addresses.lines().next().unwrap_or_default())
    }

    pub fn subnet(&self) -> Result<Ipv4Net, AwsError> {
        let path = self.path("subnet-ipv4-cidr-block");
        parse(&path, &self.metadata.get(&path)?)
    }

    pub fn has(&self, address: Ipv4Addr) -> Result<bool, AwsError> {
        let addresses = self.metadata.get(&self.path("local-ipv4s"))?;
        Ok(lists(&addresses, address))
    }

    /// Whether the public address `public`, or some public address, is associated with `private`.
    pub fn associates(
        &self,
        public: Option<Ipv4Addr>,
        private: Ipv4Addr,
    ) -> Result<bool, AwsError> {
        let associations = self.path("ipv4-associations/");
        let publics = match public {
            Some(public) => public.to_string(),
            // If nothing is associated, this item does not exist.
            None => self.metadata.find(&associations)?.unwrap_or_default(),
        };
        for public in publics.lines() {
            let path = format!("{associations}{}", public.trim());
            let privates = self.metadata.find(&path)?.unwrap_or_default();
            if lists(&privates, private) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a whole line is the address: 10.0.0.10 begins with 10.0.0.1.
fn lists(lines: &str, address: Ipv4Addr) -> bool {
    lines.lines().any(|line| line.trim().parse() == Ok(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_whole_line() {
        let lines = "172.31.16.133\n172.31.16.130\n";
        assert!(lists(lines, Ipv4Addr::new(172, 31, 16, 130)));
        assert!(!lists(lines, Ipv4Addr::new(172, 31, 16, 13)));
        assert!(!lists("", Ipv4Addr::new(172, 31, 16, 13)));
    }
}
