//! What EC2 knows of the instances: names, addresses, subnet, region.

use cib_gen::Vars;
use cib_gen::cli::Format;
use cib_gen::ids::{Malformed, Region};
use cib_gen::nodes::{FoundNode, Known};
use portsip_ha_agents::aws::{self, AwsError, describe_nodes};

/// EC2 could not be asked, or its answer could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It did not answer, or refused to.
    #[error(
        "could not ask EC2 for the names and addresses of the nodes: {0}\n  \
         They can also be given with --nodes or written into the file (pbx01_hostname, \
         pbx01_private_ip, ...); then EC2 is not asked. --region names the region to ask."
    )]
    Ec2(#[from] AwsError),
    /// It answered what can not be.
    #[error("EC2 says of {about}: {reason}")]
    Answer {
        /// Of which instance.
        about: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime that carries the requests.
    #[error("could not begin to ask EC2: {0}")]
    Runtime(#[from] std::io::Error),
}

impl Error {
    fn answer(about: impl ToString, reason: impl ToString) -> Self {
        Error::Answer {
            about: about.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Asks EC2 for what vars.yml and the options do not say and the rendering needs, and adds what
/// it says to what is known. The region is asked that vars.yml names, else that of the options,
/// else that of the AWS configuration.
pub(crate) fn look_up(
    known: &mut Known,
    vars: &Vars,
    profile: Option<&str>,
    _format: Format,
) -> Result<(), Error> {
    let instances = vars.instances();
    if instances.is_empty() || !vars.lacks_nodes() || !known.given.is_empty() {
        return Ok(());
    }
    let written = vars.region();
    let region = written.or(known.region.as_ref()).map(Region::to_string);
    // The same id twice is a mistake that is shown later; EC2 would refuse the question.
    let mut ids = Vec::<aws::InstanceId>::new();
    for instance in &instances {
        let id = (instance.to_string())
            .parse()
            .map_err(|e: aws::Malformed| Error::answer(instance, e))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let facts = runtime.block_on(describe_nodes(region.as_deref(), profile, &ids))?;
    for node in facts {
        let malformed = |e: Malformed| Error::answer(&node.instance_id, e);
        known.found.push(FoundNode {
            instance: node.instance_id.to_string().parse().map_err(malformed)?,
            name: node.hostname.parse().map_err(malformed)?,
            address: node.private_ip,
            secondary: Vec::new(),
            interface: None,
            subnet: node.subnet_cidr,
        });
        if known.region.is_none() {
            known.region = Some(node.region.parse().map_err(malformed)?);
        }
    }
    Ok(())
}
