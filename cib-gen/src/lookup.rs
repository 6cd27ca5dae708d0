//! What EC2 knows of the site: names, addresses, interfaces, subnet, account, region; and what it
//! knows that a person should be told.

mod warnings;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use cib_gen::Vars;
use cib_gen::cli::Format;
use cib_gen::ids::{InstanceId, Malformed, NodeName};
use cib_gen::nodes::{FoundAddress, Known};
use cib_gen::vars::{AwsFencingWord, AwsVars, Topology};
use ec2::{AwsError, SiteFacts, describe_site};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "could not ask EC2 for what the file does not say: {0}\n  \
         help: give names and addresses of the nodes with --nodes, or write them into the file \
         (pbx01_hostname, pbx01_private_ip, ..., private_vip_address, eip_address); with --offline \
         EC2 is not asked. --region names the region to ask"
    )]
    Ec2(#[from] AwsError),
    #[error(
        "EC2 in {region} has no instance for {nodes}\n  \
         help: start another instance in place of a terminated one, which never comes back and cannot be \
         fenced, and write its id into the file (README, \"Replacing a node\"). An id that EC2 does not \
         know was terminated more than an hour ago, or it is of another region or account, or \
         misspelt: --region and --profile say where and as whom to ask. With --offline and --nodes \
         EC2 is not asked"
    )]
    Gone { region: String, nodes: String },
    #[error("EC2's answer about {about} cannot be used: {reason}")]
    Answer { about: String, reason: String },
    #[error("could not start the runtime for the request to EC2: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Asks EC2 for what vars.yml and the options do not say and the rendering needs, and adds what
/// it says to what is known. The region is asked that vars.yml names, else that of the options,
/// else that of the AWS configuration. What comes back is for a person to read; nothing comes back
/// where EC2 did not have to be asked.
pub(crate) fn look_up(
    known: &mut Known,
    vars: &Vars,
    profile: Option<&str>,
    format: Format,
) -> Result<Option<Vec<String>>, Error> {
    let Topology::Aws(written) = &vars.topology else {
        return Ok(None);
    };
    let (nodes, addresses) = (
        vars.lacks_nodes() && known.given.is_empty(),
        vars.lacks_addresses(),
    );
    let narrows = match format {
        Format::IamPolicy => true,
        Format::SecurityGroup => written.vpc_cidr.is_none() && vars.shared.subnet_cidr.is_none(),
        _ => false,
    };
    if !(nodes || narrows || addresses) {
        return Ok(None);
    }
    let facts = runtime()?.block_on(ask(known, vars, written, profile, addresses))?;
    let instances = vars.instances();
    if !facts.gone.is_empty() {
        return Err(Error::Gone {
            nodes: warnings::gone(&instances, &facts),
            region: facts.region,
        });
    }
    let warnings = warnings::of(&instances, written, &facts);
    for node in &facts.nodes {
        checked::<NodeName>(&node.instance_id, &node.hostname)?;
    }
    known.found = facts.nodes;
    known.elastic_ip = facts.elastic_ip.and_then(|address| {
        Some(FoundAddress {
            public: address.public?,
            private: address.association.and_then(|a| a.private),
        })
    });
    if let Some(account) = facts.account {
        known.account = Some(checked(&"the owner of the instances", &account)?);
    }
    if known.region.is_none() {
        known.region = Some(checked(&"the region", &facts.region)?);
    }
    Ok(Some(warnings))
}

/// The same warnings where nothing has to be looked up: EC2 may be away, and then nothing is missing but
/// these.
pub(crate) fn look_for_hindrances(
    known: &Known,
    vars: &Vars,
    profile: Option<&str>,
) -> Vec<String> {
    let Topology::Aws(written) = &vars.topology else {
        return Vec::new();
    };
    let asking =
        async { tokio::time::timeout(LONGEST, ask(known, vars, written, profile, false)).await };
    let instances = vars.instances();
    let why = match runtime().map(|runtime| runtime.block_on(asking)) {
        Ok(Ok(Ok(facts))) if facts.gone.is_empty() => {
            return warnings::of(&instances, written, &facts);
        }
        Ok(Ok(Ok(facts))) => {
            let gone = warnings::gone(&instances, &facts);
            return vec![format!(
                "WARNING: EC2 in {} has no instance for {gone}. It cannot be fenced: replace the node \
                 (README, \"Replacing a node\")",
                facts.region
            )];
        }
        // Without the help for a user who needs the answer.
        Ok(Ok(Err(Error::Ec2(error)))) => error.to_string(),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(_)) => format!("EC2 did not answer within {} s", LONGEST.as_secs()),
        Err(error) => error.to_string(),
    };
    vec![format!(
        "NOTE: not looked at: whether fencing may stop the instances, and whether each has a way to EC2 \
         after that: {why}. The output is complete. With --offline EC2 is not asked"
    )]
}

/// How long EC2 is asked where a person does not need the answer.
const LONGEST: Duration = Duration::from_secs(6);

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build()
}

/// Asks EC2 for the instances, and for the Elastic IP where its address is not known.
async fn ask(
    known: &Known,
    vars: &Vars,
    written: &AwsVars,
    profile: Option<&str>,
    addresses: bool,
) -> Result<SiteFacts, Error> {
    let region = vars.region().or(known.region.as_ref());
    // The same id twice is a mistake that is shown later. The answer is in this order.
    let mut seen = BTreeSet::new();
    let mut ids = vars.instances();
    ids.retain(|id| seen.insert(id.clone()));
    let allocation = addresses.then_some(&written.eip_allocation_id.value);
    let fencing = written.fencing.as_ref().map(|fencing| fencing.value);
    let fenced = fencing.is_none_or(|word| word == AwsFencingWord::Aws);
    Ok(describe_site(region, profile, &ids, allocation, fenced).await?)
}

/// An instance as a person knows it: `pbx02 (i-03411641c37513049)`.
fn named(instances: &[InstanceId], id: &str) -> String {
    match instances.iter().position(|node| node.to_string() == id) {
        Some(n) => format!("pbx0{} ({id})", n + 1),
        None => id.to_owned(),
    }
}

fn checked<T: FromStr<Err: Into<Malformed>>>(
    about: &impl ToString,
    text: &str,
) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| Error::Answer {
        about: about.to_string(),
        reason: error.into().to_string(),
    })
}
