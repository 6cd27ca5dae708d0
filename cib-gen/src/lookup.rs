//! What EC2 knows of the site: names, addresses, interfaces, subnet, account, region; and what it
//! knows that a person should be told.

mod change_volume;
mod ec2_facts;
mod warnings;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use cib_gen::Vars;
use cib_gen::cli::Format;
use cib_gen::ids::{InstanceId, Malformed, NodeName};
use cib_gen::nodes::{FoundAddress, FoundVolume, Known, NotInRegion};
use cib_gen::vars::{AwsFencingWord, AwsVars, Topology};
use ec2::{Attachable, AwsError, ErrorKind, SiteFacts, SiteIds, describe_site};

pub(crate) use change_volume::{enlarge_volume, keep_volume, may_keep_volume, restore_volume};
pub(crate) use ec2_facts::{ec2_facts, ec2_servers};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "could not ask EC2 for what the file does not say: {0}\n  \
         help: write into the file what EC2 would be asked for: pbx01_hostname, pbx01_private_ip and so on for \
         each node, private_vip_address and eip_address. Or give names and addresses of the nodes with --nodes. \
         On a node of the cluster, /etc/corosync/corosync.conf has them, and `sudo pcs stonith config` shows \
         which node each instance is. With --offline EC2 is not asked. --region names the region to ask"
    )]
    Ec2(#[from] AwsError),
    #[error("could not ask EC2 about the site: {0}")]
    Facts(AwsError),
    #[error("this is a LAN site: its data is on DRBD, and not on a volume of EC2")]
    NoVolume,
    #[error("the volume was not made larger: {0}{help}", help = help_for_volume(.0))]
    Volume(AwsError),
    #[error("the snapshot: {0}{help}", help = help_for_volume(.0))]
    Snapshot(AwsError),
    #[error("the volume from the snapshot: {0}{help}", help = help_for_volume(.0))]
    Restore(AwsError),
    #[error(
        "EC2 in {region} has no instance for {nodes}\n  \
         help: start another instance in place of a terminated one, which never comes back and cannot be \
         fenced, and write its id into the file (README, \"Replacing a node\"). An id that EC2 does not \
         know was terminated more than an hour ago, or it is of another region or account, or \
         misspelt: --region and --profile say where and as whom to ask. With --offline and --nodes \
         EC2 is not asked"
    )]
    Gone { region: String, nodes: String },
    #[error("`{0}` is neither the id of an instance nor an IPv4 address")]
    Server(String),
    #[error("EC2's answer about {about} cannot be used: {reason}")]
    Answer { about: String, reason: String },
    #[error("could not start the runtime for the request to EC2: {0}")]
    Runtime(#[from] std::io::Error),
}

fn help_for_volume(error: &AwsError) -> &'static str {
    match (error.kind, error.code.as_deref()) {
        (ErrorKind::Forbidden, _) => {
            "\n  help: it takes an operator's credentials, with the rights of `cib-gen --format iam-policy-operator vars.yml`, \
             which name the volume: after a way back to another one, that policy anew (docs/aws.md, \"The operator's \
             policy\"). The nodes' role does not have these rights. --profile chooses the credentials"
        }
        (_, Some("IncorrectModificationState")) => {
            "\n  help: EC2 still optimizes the volume after the last change of its size. The state is in: aws ec2 \
             describe-volumes-modifications"
        }
        (_, Some("VolumeModificationRateExceeded")) => {
            "\n  help: EC2 allows four modifications of a volume in 24 hours"
        }
        (_, Some("ConcurrentSnapshotLimitExceeded" | "SnapshotCreationPerVolumeRateExceeded")) => {
            "\n  help: other snapshots of the volume are being made. Again when they are completed: aws ec2 \
             describe-snapshots"
        }
        _ => "",
    }
}

/// How long EC2 is asked: for what the rendering needs, and where it needs nothing.
const LIMIT: Duration = Duration::from_secs(8);
const LIMIT_OF_CHECKS: Duration = Duration::from_secs(6);

/// Asks EC2 for what vars.yml and the options do not say and the rendering needs, and whether it knows what they do
/// say; adds its answers to what is known. A rendering that configures a cluster has EC2 asked in any case, but
/// needs no answer if nothing is missing. The region is asked that vars.yml names, else that of the options, else
/// that of the AWS configuration. What comes back is for a person to read.
pub(crate) fn look_up(
    known: &mut Known,
    vars: &Vars,
    profile: Option<&str>,
    format: Format,
) -> Result<Vec<String>, Error> {
    let Topology::Aws(written) = &vars.topology else {
        return Ok(Vec::new());
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
    let needed = nodes || narrows || addresses;
    if !needed && !matches!(format, Format::Pcs | Format::Cib) {
        return Ok(Vec::new());
    }
    let limit = if needed { LIMIT } else { LIMIT_OF_CHECKS };
    let region = vars.region().or(known.region.as_ref());
    let ids = ids(vars, written);
    let asking = describe_site(region, profile, &ids, limit);
    let facts = match runtime()?.block_on(asking) {
        Ok(facts) => facts,
        Err(error) if needed => return Err(error.into()),
        Err(error) => {
            return Ok(vec![format!(
                "NOTE: not looked at: whether EC2 knows the volume and the Elastic IP, whether fencing may stop the \
                 instances, and whether each has a way to EC2 after that: {error}. The output is complete. With \
                 --offline EC2 is not asked"
            )]);
        }
    };
    let instances = vars.instances();
    let mut said = Vec::new();
    if !facts.gone.is_empty() {
        let (nodes, region) = (warnings::gone(&instances, &facts), facts.region.clone());
        if needed {
            return Err(Error::Gone { region, nodes });
        }
        said.push(format!(
            "WARNING: EC2 in {region} has no instance for {nodes}. It cannot be fenced: replace the node \
             (README, \"Replacing a node\")"
        ));
    }
    said.extend(warnings::of(&instances, written, &facts));
    learn(known, &facts, addresses)?;
    // The output must not depend on whether EC2 answered, where no answer is needed.
    if needed {
        if let Some(account) = facts.account {
            known.account = Some(checked(&"the owner of the instances", &account)?);
        }
        if known.region.is_none() {
            known.region = Some(checked(&"the region", &facts.region)?);
        }
    }
    Ok(said)
}

/// Adds to what is known. Fails if an answer cannot be used, or if `addresses` are needed and EC2 does not tell the
/// Elastic IP's.
fn learn(known: &mut Known, facts: &SiteFacts, addresses: bool) -> Result<(), Error> {
    for node in &facts.nodes {
        checked::<NodeName>(&node.instance_id, &node.hostname)?;
    }
    known.found.clone_from(&facts.nodes);
    let not_there = |error: &AwsError| {
        let is_unknown_id = error.kind == ErrorKind::NotFound;
        is_unknown_id.then(|| NotInRegion(facts.region.clone()))
    };
    known.elastic_ip = match &facts.elastic_ip {
        Ok(address) => address.public.map(|public| {
            let private = address.association.as_ref().and_then(|a| a.private);
            Ok(FoundAddress { public, private })
        }),
        Err(error) if addresses && error.kind != ErrorKind::NotFound => {
            return Err(error.clone().into());
        }
        Err(error) => not_there(error).map(Err),
    };
    known.volume = match &facts.volume {
        Ok(volume) => Some(Ok(FoundVolume {
            zone: volume.zone.clone(),
            multi_attach: volume.multi_attach,
            lost: volume.state == Attachable::Never,
        })),
        Err(error) => not_there(error).map(Err),
    };
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build()
}

/// What EC2 is asked for.
fn ids<'a>(vars: &Vars, written: &'a AwsVars) -> SiteIds<'a> {
    // The same id twice is a mistake that is shown later. The answer is in this order.
    let mut seen = BTreeSet::new();
    let mut instances = vars.instances();
    instances.retain(|id| seen.insert(id.clone()));
    let fencing = written.fencing.as_ref().map(|fencing| fencing.value);
    SiteIds {
        instances,
        allocation: &written.eip_allocation_id.value,
        volume: &written.ebs_volume_id.value,
        fenced: fencing.is_none_or(|word| word == AwsFencingWord::Aws),
    }
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
