//! Asks EC2 everything about a site that `ha-ctl check` judges.

use std::time::Duration;

use cib_gen::ec2_facts::{Ec2Facts, ElasticIpAnswer, GoneInstance, NodeAnswer, Refusal, Way};
use cib_gen::nodes::Known;
use cib_gen::render::wanted_rules;
use cib_gen::site::Place;
use cib_gen::vars::{AwsVars, FencingAction, Topology};
use cib_gen::{Site, Vars};
use ec2::{
    Gone, ServerAnswers, ServerName, SiteFacts, describe_site, question_servers, question_site,
};

use super::warnings::{Trouble, trouble_of};
use super::{Error, ids, learn, runtime};

/// How long EC2 is asked for the facts, and after that for the rest.
const LIMIT: Duration = Duration::from_secs(4);

/// The facts. None on a LAN. Fails if the instances cannot be described.
pub(crate) fn ec2_facts(
    known: &mut Known,
    vars: &Vars,
    profile: Option<&str>,
) -> Result<Option<Ec2Facts>, Error> {
    let Topology::Aws(written) = &vars.topology else {
        return Ok(None);
    };
    let region = vars.region().or(known.region.as_ref()).cloned();
    let ids = ids(vars, written);
    let runtime = runtime()?;
    let facts = runtime.block_on(describe_site(region.as_ref(), profile, &ids, LIMIT));
    let facts = facts.map_err(Error::Facts)?;
    learn(known, &facts, false)?;
    let site = vars.resolve(known);
    let vip = match site.as_ref().map(|site| &site.place) {
        Ok(Place::Aws(aws)) => Some(aws.vip),
        _ => written.private_vip_address.as_ref().map(|vip| vip.value),
    };
    let action = vars.shared.fencing_action.as_ref();
    let starts = action.is_some_and(|action| action.value == FencingAction::Reboot);
    let asking = question_site(region.as_ref(), profile, &ids, &facts, vip, starts, LIMIT);
    let answers = runtime.block_on(asking).map_err(Error::Facts)?;
    let (mistakes, wanted) = match &site {
        Ok(site) => (None, rules(site)),
        Err(mistakes) => (Some(mistakes.to_string()), Vec::new()),
    };
    Ok(Some(Ec2Facts {
        region: facts.region.clone(),
        mistakes,
        vip,
        nodes: nodes(&facts),
        gone: gone(&facts),
        ways: ways(written, &facts),
        stop_protected: facts
            .checks
            .stop_protected
            .iter()
            .map(ToString::to_string)
            .collect(),
        elastic_ip: elastic_ip(&facts),
        wanted_rules: wanted,
        answers,
        not_looked_at: facts.checks.errors.iter().map(Refusal::from).collect(),
    }))
}

/// What EC2 says of instances that are to be extended servers. None on a LAN.
pub(crate) fn ec2_servers(
    known: &Known,
    vars: &Vars,
    profile: Option<&str>,
    servers: &[String],
) -> Result<Option<ServerAnswers>, Error> {
    let name = |text: &String| {
        let id = text.parse().map(ServerName::Id).ok();
        let address = || text.parse().map(ServerName::Address).ok();
        id.or_else(address)
            .ok_or_else(|| Error::Server(text.clone()))
    };
    let servers = servers.iter().map(name).collect::<Result<Vec<_>, _>>()?;
    let Topology::Aws(written) = &vars.topology else {
        return Ok(None);
    };
    let region = vars.region().or(known.region.as_ref());
    let nodes = ids(vars, written).instances;
    let asking = question_servers(region, profile, &nodes, &servers, LIMIT);
    runtime()?.block_on(asking).map(Some).map_err(Error::Facts)
}

/// None where the addresses of the VPC are not known.
fn rules(site: &Site) -> Vec<cib_gen::ec2_facts::WantedRule> {
    wanted_rules(site).unwrap_or_default()
}

fn nodes(facts: &SiteFacts) -> Vec<NodeAnswer> {
    let nodes = facts.nodes.iter().map(|node| NodeAnswer {
        id: node.instance_id.to_string(),
        hostname: node.hostname.clone(),
        address: node.private_ip,
        zone: node.zone.clone(),
        vpc: node.vpc_id.clone(),
        subnet: node.subnet_id.clone(),
        subnet_cidr: node.subnet_cidr.map(|cidr| cidr.to_string()),
    });
    nodes.collect()
}

fn gone(facts: &SiteFacts) -> Vec<GoneInstance> {
    let gone = facts.gone.iter().map(|(id, why)| GoneInstance {
        id: id.to_string(),
        terminated: *why == Gone::Terminated,
    });
    gone.collect()
}

fn ways(vars: &AwsVars, facts: &SiteFacts) -> Vec<(String, Way)> {
    let way = |node| match trouble_of(node, vars, facts) {
        None => Way::Own,
        Some(Trouble::Lent) => Way::Lent,
        Some(Trouble::Moves) => Way::Moves,
        Some(Trouble::NoWay) => Way::None,
    };
    let nodes = facts.nodes.iter();
    nodes
        .map(|node| (node.instance_id.to_string(), way(node)))
        .collect()
}

fn elastic_ip(facts: &SiteFacts) -> Result<ElasticIpAnswer, Refusal> {
    let found = facts.elastic_ip.as_ref().map_err(Refusal::from)?;
    let association = found.association.as_ref();
    let leads_to = association.and_then(|it| {
        let instance = it.instance.as_ref().map(ToString::to_string);
        instance.or(it.interface.as_ref().map(ToString::to_string))
    });
    Ok(ElasticIpAnswer {
        public: found.public,
        private: association.and_then(|it| it.private),
        leads_to,
    })
}
