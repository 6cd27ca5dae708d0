//! The instance metadata service, version 2: what one instance learns about itself at
//! 169.254.169.254. Who asks is decided by the interface that a request comes in on, by the lab.
//!
//! Source: EC2 User Guide, "Use the Instance Metadata Service", "Instance metadata categories".
//! The addresses are those that the VPC delivers, which are behind the API's answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::connection::Connections;
use crate::ec2::ids::InstanceId;
use crate::ec2::{Ec2, Identity, MetadataFault, OWNER, OwnInterface, locked, random};
use crate::site;

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
/// Six hours.
const LONGEST_TTL: u64 = 21_600;

struct Service {
    ec2: Arc<Ec2>,
    instance: String,
    tokens: Mutex<BTreeMap<String, Instant>>,
}

/// The service as the instance `instance_id` sees it.
pub fn router(ec2: Arc<Ec2>, instance_id: &str) -> axum::Router {
    let service = Service {
        ec2,
        instance: instance_id.to_owned(),
        tokens: Mutex::default(),
    };
    axum::Router::new()
        .fallback(answer)
        .with_state(Arc::new(service))
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    let reads = request.method() == Method::GET;
    let struck = service.ec2.metadata_request(&service.instance, reads);
    let fault = struck.map(|struck| struck.fault);
    let as_of = struck
        .filter(|struck| struck.fault == MetadataFault::StaleAddresses)
        .map(|struck| struck.since);
    let late = struck.map(|struck| struck.by).unwrap_or_default();
    match fault {
        Some(MetadataFault::Down) => return Connections::reset(request.extensions()),
        Some(MetadataFault::Hanging) => return std::future::pending().await,
        Some(MetadataFault::Unavailable) => return refusal(StatusCode::SERVICE_UNAVAILABLE),
        Some(MetadataFault::TurnedOff) => return refusal(StatusCode::FORBIDDEN),
        Some(MetadataFault::Slow) => tokio::time::sleep(late).await,
        Some(MetadataFault::TokenVoid | MetadataFault::StaleAddresses) | None => {}
    }
    let (headers, path) = (request.headers(), request.uri().path());
    let outcome = match *request.method() {
        Method::PUT if path == "/latest/api/token" => service.token(headers),
        Method::GET => {
            if fault == Some(MetadataFault::TokenVoid) {
                service.void_token(headers);
            }
            service.get(headers, path, as_of)
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    };
    match outcome {
        Ok(response) => response,
        Err(status) => refusal(status),
    }
}

impl Service {
    /// `PUT /latest/api/token`: 400 without a valid lifetime, 403 through a proxy.
    fn token(&self, headers: &HeaderMap) -> Result<Response, StatusCode> {
        if headers.contains_key("x-forwarded-for") {
            return Err(StatusCode::FORBIDDEN);
        }
        let ttl: u64 = headers
            .get(TTL)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .filter(|ttl| (1..=LONGEST_TTL).contains(ttl))
            .ok_or(StatusCode::BAD_REQUEST)?;
        let token = random(56);
        let now = Instant::now();
        let mut tokens = locked(&self.tokens);
        tokens.retain(|_, end| *end > now);
        tokens.insert(token.clone(), now + Duration::from_secs(ttl));
        let mut response = text(token);
        response.headers_mut().insert(TTL, ttl.into());
        Ok(response)
    }

    fn void_token(&self, headers: &HeaderMap) {
        if let Some(token) = headers.get(TOKEN).and_then(|token| token.to_str().ok()) {
            locked(&self.tokens).remove(token);
        }
    }

    /// `GET`: version 2 only, so 401 without a token or with one that has ended.
    fn get(
        &self,
        headers: &HeaderMap,
        path: &str,
        as_of: Option<Instant>,
    ) -> Result<Response, StatusCode> {
        let token = headers
            .get(TOKEN)
            .and_then(|token| token.to_str().ok())
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let valid = locked(&self.tokens)
            .get(token)
            .is_some_and(|end| *end > Instant::now());
        if !valid {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let (version, rest) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""));
        if version.is_empty() {
            return Ok(text(VERSIONS.join("\n")));
        }
        if !VERSIONS.contains(&version) {
            return Err(StatusCode::NOT_FOUND);
        }
        let tree = self.tree(as_of).ok_or(StatusCode::NOT_FOUND)?;
        let rest = without_double_slashes(rest);
        tree.get(&rest)
            .cloned()
            .or_else(|| listing(&tree, &rest))
            .map(text)
            .ok_or(StatusCode::NOT_FOUND)
    }

    /// Every document there is, by path. Directories are what is between the slashes.
    fn tree(&self, as_of: Option<Instant>) -> Option<BTreeMap<String, String>> {
        let id = InstanceId::parse(&self.instance).ok()?;
        let own = self.ec2.identity(&id, as_of)?;
        let mut tree = BTreeMap::from([
            document("meta-data/instance-id", &self.instance),
            document("meta-data/placement/region", site::REGION),
            document("meta-data/placement/availability-zone", site::ZONE),
            document("meta-data/mac", own.primary.mac),
            document("meta-data/local-hostname", &own.hostname),
            document("meta-data/hostname", &own.hostname),
            document("meta-data/services/domain", "amazonaws.com"),
            document("meta-data/services/partition", "aws"),
        ]);
        if let Some(primary) = own.primary.private.first() {
            tree.extend([document("meta-data/local-ipv4", &primary.to_string())]);
            let public = own
                .primary
                .public
                .iter()
                .find(|(_, private)| private == primary);
            tree.extend(
                public.map(|(public, _)| document("meta-data/public-ipv4", &public.to_string())),
            );
        }
        let interfaces = std::iter::once(&own.primary).chain(&own.others);
        for (index, interface) in interfaces.enumerate() {
            tree.extend(interface_documents(&own, interface, index));
        }
        tree.extend(self.role_documents(&id));
        tree.extend([document(
            "dynamic/instance-identity/document",
            &self.identity_document(&own),
        )]);
        Some(tree)
    }

    fn role_documents(&self, id: &InstanceId) -> [(String, String); 2] {
        let issued = self.ec2.role_credentials(id);
        // Without fractions of a second, as EC2 writes them: not every client reads more.
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let moment = |at| OffsetDateTime::from(at).format(format).unwrap_or_default();
        let role = json!({
            "Code": "Success",
            "LastUpdated": moment(issued.issued),
            "Type": "AWS-HMAC",
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret,
            "Token": issued.token,
            "Expiration": moment(issued.expires),
        });
        let info = json!({
            "Code": "Success",
            "LastUpdated": moment(issued.issued),
            "InstanceProfileArn": format!("arn:aws:iam::{}:instance-profile/{}", OWNER, site::ROLE),
        });
        [
            (
                format!("meta-data/iam/security-credentials/{}", site::ROLE),
                format!("{role:#}"),
            ),
            document("meta-data/iam/info", &format!("{info:#}")),
        ]
    }

    fn identity_document(&self, own: &Identity) -> String {
        let launched = OffsetDateTime::from(own.launched);
        let document = json!({
            "accountId": OWNER,
            "architecture": "x86_64",
            "availabilityZone": site::ZONE,
            "imageId": "ami-0d53d72369335a9d6",
            "instanceId": self.instance,
            "instanceType": "c5.xlarge",
            "pendingTime": launched.format(&Rfc3339).unwrap_or_default(),
            "privateIp": own.primary.private.first().map(ToString::to_string),
            "region": site::REGION,
            "version": "2017-09-30",
        });
        format!("{document:#}")
    }
}

/// `meta-data/network/interfaces/macs/MAC/...`.
fn interface_documents(
    own: &Identity,
    interface: &OwnInterface,
    index: usize,
) -> Vec<(String, String)> {
    let lines =
        |addresses: &mut dyn Iterator<Item = String>| addresses.collect::<Vec<_>>().join("\n");
    let mut documents = vec![
        ("interface-id", interface.id.to_string()),
        ("mac", interface.mac.to_owned()),
        ("device-number", index.to_string()),
        ("local-hostname", interface.hostname.clone()),
        (
            "local-ipv4s",
            lines(&mut interface.private.iter().map(ToString::to_string)),
        ),
        ("owner-id", OWNER.to_owned()),
        ("subnet-id", own.subnet.clone()),
        ("subnet-ipv4-cidr-block", own.subnet_cidr.clone()),
        ("vpc-id", site::VPC_ID.to_owned()),
    ];
    if !interface.public.is_empty() {
        let publics = lines(
            &mut interface
                .public
                .iter()
                .map(|(public, _)| public.to_string()),
        );
        documents.push(("public-ipv4s", publics));
    }
    let directory = format!("meta-data/network/interfaces/macs/{}", interface.mac);
    let mut tree: Vec<_> = documents
        .into_iter()
        .map(|(name, value)| (format!("{directory}/{name}"), value))
        .collect();
    tree.extend(interface.public.iter().map(|(public, private)| {
        let path = format!("{directory}/ipv4-associations/{public}");
        (path, private.to_string())
    }));
    tree
}

/// The versions that are answered: today's, under the names that clients use.
const VERSIONS: [&str; 3] = ["2016-09-02", "2021-07-15", "latest"];

/// A name from a listing ends in a slash, and clients put another behind it; upstream's awseip does
/// (`macs/${MAC}/local-ipv4s`), and works on EC2.
fn without_double_slashes(path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.join("/")
}

fn document(path: &str, value: &str) -> (String, String) {
    (path.to_owned(), value.to_owned())
}

/// The entries of a directory, a line each; those that are directories end in a slash.
fn listing(tree: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let directory = match path.trim_end_matches('/') {
        "" => String::new(),
        name => format!("{name}/"),
    };
    let entries: BTreeSet<String> = tree
        .keys()
        .filter_map(|path| path.strip_prefix(&directory))
        .map(|rest| match rest.split_once('/') {
            // `/latest/` lists `dynamic` and `meta-data` without a slash.
            Some((name, _)) if directory.is_empty() => name.to_owned(),
            Some((name, _)) => format!("{name}/"),
            None => rest.to_owned(),
        })
        .collect();
    (!entries.is_empty()).then(|| entries.into_iter().collect::<Vec<_>>().join("\n"))
}

fn text(body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    let plain = header::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn refusal(status: StatusCode) -> Response {
    let mut response = text(format!("{status}\n"));
    *response.status_mut() = status;
    response
}
