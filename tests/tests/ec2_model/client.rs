//! The model on a loopback port, and a client: HTTP by hand, Signature Version 4 written
//! independently of the model's.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use lab::ec2::{Ec2, Timing, server};
use lab::{imds, site};
use quick_xml::Reader;
use quick_xml::events::Event;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::record::Record;

pub(crate) const N1: &str = site::INSTANCES[0].host.id;
pub(crate) const N2: &str = site::INSTANCES[1].host.id;
pub(crate) const ENI1: &str = site::INSTANCES[0].eni;
pub(crate) const ENI2: &str = site::INSTANCES[1].eni;
pub(crate) const VOLUME: &str = site::VOLUME_ID;
const KEY: (&str, &str) = ("AKIDLAB", "secret");
/// Longer than any answer takes.
const LONG: Duration = Duration::from_secs(10);

/// The model and its site.
pub(crate) struct Site {
    pub ec2: Arc<Ec2>,
    pub(crate) world: Arc<Record>,
    api: SocketAddr,
    metadata: SocketAddr,
    end: Option<tokio::sync::oneshot::Sender<()>>,
}

/// A key to sign with.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Signer {
    /// The site's own key.
    fn administrator() -> Self {
        Self {
            id: KEY.0.to_owned(),
            secret: KEY.1.to_owned(),
            token: None,
        }
    }
}

/// An answer of either service.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// What EC2 refused with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: String,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Xml(pub(crate) String);

impl Xml {
    /// The texts of all elements with this name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let mut reader = Reader::from_str(&self.0);
        let mut found = Vec::new();
        loop {
            match reader.read_event().expect("answers are well-formed XML") {
                Event::Start(start) if start.name().as_ref() == name => {
                    let text = reader.read_text(start.name()).unwrap();
                    found.push(text.as_ref().to_owned());
                }
                Event::Eof => return found,
                _ => {}
            }
        }
    }

    /// The text of the first element with this name.
    pub(crate) fn one(&self, name: &str) -> String {
        let mut all = self.all(name);
        assert!(!all.is_empty(), "no <{name}> in {}", self.0);
        all.swap_remove(0)
    }
}

impl Site {
    /// With transitions that last long enough to be looked at, on a busy machine too.
    pub(crate) fn new() -> Self {
        Self::with(Self::timing())
    }

    pub(crate) fn timing() -> Timing {
        let moment = Duration::from_millis(250);
        Timing {
            attach: moment,
            detach: moment,
            detach_stopped: moment,
            address: moment,
            forced_stop: moment,
            stop: moment,
            start: moment,
            modify: moment,
            optimize: moment,
            snapshot: 4 * moment,
            later_snapshot: moment,
            create_volume: moment,
            ..Timing::fast()
        }
    }

    pub(crate) fn with(timing: Timing) -> Self {
        let world = Arc::new(Record::new());
        let api = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let metadata = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (api_address, metadata_address) =
            (api.local_addr().unwrap(), metadata.local_addr().unwrap());
        let (end, ended) = tokio::sync::oneshot::channel();
        let (made, ec2) = std::sync::mpsc::channel();
        let its_world = world.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let ec2 = Ec2::new(timing, its_world);
                ec2.add_access_key(KEY.0, KEY.1);
                drop(tokio::spawn(server::serve_plain(api, ec2.router())));
                let of_n1 = imds::router(ec2.clone(), N1);
                drop(tokio::spawn(server::serve_plain(metadata, of_n1)));
                made.send(ec2).unwrap();
                drop(ended.await);
            });
            runtime.shutdown_background();
        });
        Self {
            ec2: ec2.recv().unwrap(),
            world,
            api: api_address,
            metadata: metadata_address,
            end: Some(end),
        }
    }

    /// A signed call.
    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Xml, Refused> {
        self.call_as(Some(&Signer::administrator()), action, parameters)
    }

    pub(crate) fn call_as(
        &self,
        signer: Option<&Signer>,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Xml, Refused> {
        answer_of(self.send(signer, action, parameters, LONG).unwrap())
    }

    /// A call with the credentials that the metadata service hands out on n1.
    pub(crate) fn call_as_n1(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Xml, Refused> {
        let path = format!("meta-data/iam/security-credentials/{}", site::ROLE);
        let role: serde_json::Value = serde_json::from_str(&self.document(&path).unwrap()).unwrap();
        let field = |name: &str| role[name].as_str().unwrap().to_owned();
        let n1 = Signer {
            id: field("AccessKeyId"),
            secret: field("SecretAccessKey"),
            token: Some(field("Token")),
        };
        self.call_as(Some(&n1), action, parameters)
    }

    /// What the connection itself came to, for a client that waits so long.
    pub(crate) fn unanswered(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        patience: Duration,
    ) -> std::io::ErrorKind {
        match self.send(Some(&Signer::administrator()), action, parameters, patience) {
            Ok(response) => panic!("{action} was answered: {response:?}"),
            Err(error) => error.kind(),
        }
    }

    fn send(
        &self,
        signer: Option<&Signer>,
        action: &str,
        parameters: &[(&str, &str)],
        patience: Duration,
    ) -> std::io::Result<Response> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("Action", action), ("Version", "2016-11-15")]);
        form.extend_pairs(parameters);
        let body = form.finish();
        let headers = signer.map_or_else(String::new, |signer| self.signed(signer, &body));
        exchange(self.api, ("POST", "/"), &headers, &body, patience)
    }

    /// What the call was refused with; it must not succeed.
    pub(crate) fn refused(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        match self.call(action, parameters) {
            Ok(xml) => panic!("{action} {parameters:?} was not refused: {}", xml.0),
            Err(refused) => refused.code,
        }
    }

    /// The call must succeed.
    pub(crate) fn ok(&self, action: &str, parameters: &[(&str, &str)]) -> Xml {
        match self.call(action, parameters) {
            Ok(xml) => xml,
            Err(refused) => panic!("{action} {parameters:?} was refused: {refused:?}"),
        }
    }

    /// A request to the metadata service of n1.
    pub(crate) fn metadata(&self, method: &str, path: &str, headers: &str) -> Response {
        self.metadata_within(LONG, method, path, headers).unwrap()
    }

    /// The same for a client that waits so long.
    pub(crate) fn metadata_within(
        &self,
        patience: Duration,
        method: &str,
        path: &str,
        headers: &str,
    ) -> std::io::Result<Response> {
        exchange(self.metadata, (method, path), headers, "", patience)
    }

    /// A document of n1's metadata, or its status.
    pub(crate) fn document(&self, path: &str) -> Result<String, u16> {
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
        let token = self.metadata("PUT", "/latest/api/token", ttl).body;
        let token = format!("X-aws-ec2-metadata-token: {token}\r\n");
        let response = self.metadata("GET", &format!("/latest/{path}"), &token);
        match response.status {
            200 => Ok(response.body),
            status => Err(status),
        }
    }

    pub(crate) fn instance_state(&self, instance: &str) -> String {
        let xml = self.ok("DescribeInstances", &[("InstanceId.1", instance)]);
        Xml(format!("<s>{}</s>", xml.one("instanceState"))).one("name")
    }

    /// `available`, or the attachment's state and the instance.
    pub(crate) fn volume(&self, volume: &str) -> (String, Option<String>) {
        let xml = self.ok("DescribeVolumes", &[("VolumeId.1", volume)]);
        match xml.all("attachmentSet").first() {
            Some(set) if !set.is_empty() => {
                let set = Xml(format!("<s>{set}</s>"));
                assert_eq!(
                    Xml(xml.0.replace(&set.0[3..set.0.len() - 4], "")).one("status"),
                    "in-use"
                );
                (set.one("status"), Some(set.one("instanceId")))
            }
            _ => (xml.one("status"), None),
        }
    }

    pub(crate) fn attach(&self, instance: &str) {
        let parameters = [
            ("VolumeId", VOLUME),
            ("InstanceId", instance),
            ("Device", "/dev/sdf"),
        ];
        self.ok("AttachVolume", &parameters);
        let attached = ("attached".to_owned(), Some(instance.to_owned()));
        wait("the volume is attached", || self.volume(VOLUME) == attached);
        if self.instance_state(instance) == "running" {
            wait("the device appears", || {
                self.world.has_device(instance, VOLUME)
            });
        }
    }

    pub(crate) fn stop(&self, instance: &str) {
        self.ok(
            "StopInstances",
            &[("InstanceId.1", instance), ("Force", "true")],
        );
        wait("the instance is stopped", || {
            self.instance_state(instance) == "stopped"
        });
    }

    pub(crate) fn assign(&self, interface: &str, address: &str) {
        let parameters = [
            ("NetworkInterfaceId", interface),
            ("PrivateIpAddress.1", address),
            ("AllowReassignment", "true"),
        ];
        self.ok("AssignPrivateIpAddresses", &parameters);
    }

    /// Headers as Signature Version 4 wants them.
    fn signed(&self, signer: &Signer, body: &str) -> String {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let now = OffsetDateTime::from(SystemTime::now())
            .format(format)
            .unwrap();
        let day = &now[..8];
        let mut headers = vec![("host", self.api.to_string()), ("x-amz-date", now.clone())];
        if let Some(token) = &signer.token {
            headers.push(("x-amz-security-token", token.clone()));
        }
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = "POST\n/\n\n".to_owned();
        for (name, value) in &headers {
            writeln!(canonical, "{name}:{value}").unwrap();
        }
        write!(canonical, "\n{names}\n{}", sha256(body)).unwrap();
        let scope = [day, site::REGION, "ec2", "aws4_request"];
        let scope_text = scope.join("/");
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{now}\n{scope_text}\n{}",
            sha256(&canonical)
        );
        let mut key = format!("AWS4{}", signer.secret).into_bytes();
        for part in scope.iter().copied().chain([to_sign.as_str()]) {
            key = sign(&Key::new(HMAC_SHA256, &key), part.as_bytes())
                .as_ref()
                .to_vec();
        }
        let mut text = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={}/{scope_text}, SignedHeaders={names}, Signature={}\r\n",
            signer.id,
            hex(&key)
        );
        for (name, value) in &headers[1..] {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text.push_str("User-Agent: model-test/1.0 of/the (lab)\r\n");
        text
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.end.take().map(|end| end.send(()));
    }
}

/// Waits for a condition; a test fails with what it waited for.
pub(crate) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited 10 s in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn answer_of(response: Response) -> Result<Xml, Refused> {
    let xml = Xml(response.body);
    match response.status {
        200 => Ok(xml),
        status => Err(Refused {
            status,
            code: xml.one("Code"),
        }),
    }
}

fn exchange(
    to: SocketAddr,
    (method, path): (&str, &str),
    headers: &str,
    body: &str,
    patience: Duration,
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(patience))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Response {
        status,
        body: body.to_owned(),
    })
}

fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
