//! Instance metadata, version 2: what the instance knows of itself without asking EC2.
//! Every path is spelled here and nowhere else.

mod role;
mod transport;

use std::cell::RefCell;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;

use super::error::AwsError;
use super::ids::{InstanceId, InterfaceId};
use crate::error::ErrorKind;
use crate::deadline::Deadline;
use transport::Direct;

/// The service is on the machine that the instance runs on. An answer takes a millisecond; what takes
/// this long will not come. For all that is asked of one [`Metadata`]: nothing can be done meanwhile.
const ANSWER: Duration = Duration::from_secs(2);
/// A limit of zero would be none.
const SHORTEST: Duration = Duration::from_millis(1);
const ADDRESS: &str = "http://169.254.169.254";
const TOKEN_SECONDS: &str = "60";

/// The metadata service with a token for it.
#[derive(Debug)]
pub struct Metadata {
    agent: Agent,
    base: String,
    token: RefCell<String>,
    /// When it is given up.
    until: Instant,
}

impl Metadata {
    /// Gets a token. `AWS_EC2_METADATA_SERVICE_ENDPOINT` names another service than the usual, as for the SDK.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn connect() -> Result<Self, AwsError> {
        Self::connect_until(Instant::now() + ANSWER)
    }

    /// The same, but nothing is waited for longer than until `deadline`.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn connect_by(deadline: Deadline) -> Result<Self, AwsError> {
        Self::connect_until(deadline.at_most(ANSWER).end())
    }

    fn connect_until(until: Instant) -> Result<Self, AwsError> {
        let base = std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .ok()
            .filter(|base| !base.is_empty())
            .map_or_else(
                || ADDRESS.to_owned(),
                |base| base.trim_end_matches('/').to_owned(),
            );
        // An answer that comes through a proxy is of the proxy's instance.
        let config = Agent::config_builder().proxy(None).build();
        let agent = Agent::with_parts(config, Direct { until }, DefaultResolver::default());
        let metadata = Self {
            agent,
            base,
            token: RefCell::default(),
            until,
        };
        metadata.fetch_token()?;
        Ok(metadata)
    }

    fn fetch_token(&self) -> Result<(), AwsError> {
        let url = format!("{}/latest/api/token", self.base);
        let token = self
            .agent
            .put(&url)
            .config()
            .timeout_global(Some(self.left()))
            .build()
            .header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS)
            .send_empty()
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .map_err(|error| self.no_answer("get a token", &error))?;
        *self.token.borrow_mut() = token;
        Ok(())
    }

    fn left(&self) -> Duration {
        self.until
            .saturating_duration_since(Instant::now())
            .max(SHORTEST)
    }

    /// The instance that this is.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn instance_id(&self) -> Result<InstanceId, AwsError> {
        self.id("instance-id", InstanceId::from_answer)
    }

    /// The region that it runs in.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn region(&self) -> Result<String, AwsError> {
        self.get("placement/region")
    }

    /// The availability zone that it runs in.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn zone(&self) -> Result<String, AwsError> {
        self.get("placement/availability-zone")
    }

    /// The primary network interface.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
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

    fn get(&self, path: &str) -> Result<String, AwsError> {
        self.find(path)?.ok_or_else(|| {
            AwsError::new(
                ErrorKind::Unknown,
                format!("read {path}"),
                "the instance metadata has no such item (404)",
            )
        })
    }

    /// An id, which is as EC2 likes to write it.
    fn id<T>(&self, path: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, AwsError> {
        of(&self.get(path)?).ok_or_else(|| {
            let doing = format!("read {path}");
            AwsError::new(
                ErrorKind::Unknown,
                doing,
                "the instance metadata has an empty item",
            )
        })
    }

    fn parsed<T: FromStr<Err: Display>>(&self, path: &str) -> Result<T, AwsError> {
        self.read(path, &self.get(path)?)
    }

    fn read<T: FromStr<Err: Display>>(&self, path: &str, text: &str) -> Result<T, AwsError> {
        text.parse().map_err(|error: T::Err| {
            AwsError::new(
                ErrorKind::Unknown,
                format!("read {path}"),
                format!("the instance metadata says something strange: {error}"),
            )
        })
    }

    /// An item, or `None` if there is none of that name.
    fn find(&self, path: &str) -> Result<Option<String>, AwsError> {
        let url = format!("{}/latest/meta-data/{path}", self.base);
        let mut answer = self.ask(&url);
        // The service has forgotten the token: it was started again, or the instance has moved.
        if matches!(answer, Err(ureq::Error::StatusCode(401))) {
            self.fetch_token()?;
            answer = self.ask(&url);
        }
        match answer {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => match kind(&error) {
                ErrorKind::NotFound => Ok(None),
                _ => Err(self.no_answer(&format!("read {path}"), &error)),
            },
        }
    }

    /// Nothing is learned about what was asked for. Nor is anything of a service that does not even give a
    /// token, whatever it says.
    fn no_answer(&self, doing: &str, error: &ureq::Error) -> AwsError {
        let said = match error {
            ureq::Error::StatusCode(403) => {
                "the instance metadata answers 403: is it turned off for this instance (HttpEndpoint)?"
                    .to_owned()
            }
            ureq::Error::StatusCode(status) => format!("the instance metadata answers {status}"),
            ureq::Error::Timeout(_) => "the instance metadata gives no answer in time".to_owned(),
            ureq::Error::Io(error) => format!("the instance metadata can not be asked: {error}"),
            other => format!("the instance metadata can not be asked: {other}"),
        };
        AwsError::new(ErrorKind::Unknown, format!("{doing} at {}", self.base), said)
    }

    fn ask(&self, url: &str) -> Result<String, ureq::Error> {
        self.agent
            .get(url)
            .config()
            .timeout_global(Some(self.left()))
            .build()
            .header("X-aws-ec2-metadata-token", self.token.borrow().as_str())
            .call()
            .and_then(|mut answer| answer.body_mut().read_to_string())
    }
}

/// A network interface as the metadata shows it.
#[derive(Debug)]
pub struct Interface<'a> {
    mac: String,
    metadata: &'a Metadata,
}

impl Interface<'_> {
    fn path(&self, item: &str) -> String {
        format!("network/interfaces/macs/{}/{item}", self.mac)
    }

    /// Its id.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn id(&self) -> Result<InterfaceId, AwsError> {
        self.metadata
            .id(&self.path("interface-id"), InterfaceId::from_answer)
    }

    /// Its primary private address.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn primary(&self) -> Result<Ipv4Addr, AwsError> {
        // EC2 lists the primary address first.
        let addresses = self.metadata.get(&self.path("local-ipv4s"))?;
        let first = addresses.lines().next().unwrap_or_default();
        self.metadata.read(&self.path("local-ipv4s"), first)
    }

    /// The addresses of its subnet.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn subnet(&self) -> Result<Ipv4Net, AwsError> {
        self.metadata.parsed(&self.path("subnet-ipv4-cidr-block"))
    }

    /// Whether `address` is one of its private addresses.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn has(&self, address: Ipv4Addr) -> Result<bool, AwsError> {
        let addresses = self.metadata.get(&self.path("local-ipv4s"))?;
        Ok(lists(&addresses, address))
    }

    /// Whether the public address `public`, or some public address, is associated with `private`.
    ///
    /// # Errors
    /// `Unknown` when the service gives no answer.
    pub fn associates(
        &self,
        public: Option<Ipv4Addr>,
        private: Ipv4Addr,
    ) -> Result<bool, AwsError> {
        let associations = self.path("ipv4-associations/");
        let publics = match public {
            Some(public) => public.to_string(),
            // No association at all is no item.
            None => self.metadata.find(&associations)?.unwrap_or_default(),
        };
        for public in publics.lines() {
            let privates = self
                .metadata
                .find(&format!("{associations}{}", public.trim()))?;
            if privates.is_some_and(|privates| lists(&privates, private)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a line is the address: the whole line, since 10.0.0.1 begins 10.0.0.10.
fn lists(lines: &str, address: Ipv4Addr) -> bool {
    lines.lines().any(|line| line.trim().parse() == Ok(address))
}

fn kind(error: &ureq::Error) -> ErrorKind {
    ErrorKind::from_metadata_status(match error {
        ureq::Error::StatusCode(status) => Some(*status),
        _ => None,
    })
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
