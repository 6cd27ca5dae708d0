//! The guard before a change: Pacemaker's own scheduler looks at the cluster without the change and with it.
//! What runs must go on running, and what vars.yml asks for must be able to start.

use std::collections::BTreeSet;

use super::changes::in_words;
use super::constraints::is_foreign;
use super::merge::find;
use super::pairs::section;
use super::unmanaged::managed;
use super::{Plan, Takeover, effects, takeover};
use crate::cluster::{Cluster, Resource};
use crate::scheduler::{Action, Instance, Scheduler, Transition};
use crate::simulate::state;
use crate::xml::Element;

/// What the scheduler says of a plan.
#[derive(Debug, Default)]
pub struct Judgement {
    /// What Pacemaker does without the change, and with it. None where the CIB does not say what runs.
    pub transitions: Option<(Transition, Transition)>,
    /// Why the change must not be made.
    pub faults: Vec<String>,
}

impl Judgement {
    /// Whether anything that runs is stopped, restarted, moved or fenced.
    pub fn disturbs(&self) -> bool {
        let transitions = self.transitions.as_ref();
        transitions.is_some_and(|(without, with)| !disturbances(without, with).is_empty())
    }

    /// Why a takeover must not end, with `live` as what the scheduler does after the probes.
    pub fn unexpected(&self, live: &Transition) -> Vec<String> {
        let Some((without, with)) = &self.transitions else {
            return Vec::new();
        };
        let mut why = Vec::new();
        for ran in &without.before {
            let mut found = live
                .before
                .iter()
                .filter(|now| now.resource == ran.resource);
            if !found.any(|now| now.node == ran.node && now.role == ran.role) {
                let Instance { resource, role, .. } = ran;
                let node = node(ran);
                why.push(format!(
                    "{resource} ran on {node} ({role}), and its probe does not find it there"
                ));
            }
        }
        let stops = disturbances(with, live).into_iter();
        why.extend(stops.map(|action| format!("Pacemaker would {action}")));
        why
    }
}

fn node(instance: &Instance) -> &str {
    instance.node.as_deref().unwrap_or("no node")
}

/// The actions that only the second transition has and that take something away from its node.
fn disturbances<'a>(without: &Transition, with: &'a Transition) -> Vec<&'a Action> {
    let mut actions = effects::added(without, with);
    actions.retain(|action| match action {
        Action::Operation { operation, .. } => {
            matches!(operation.as_str(), "stop" | "demote" | "migrate_to")
        }
        Action::Fence { .. } => true,
    });
    actions
}

/// A CIB as it is judged: without maintenance mode, whoever has set it, and with everything managed.
pub fn as_managed(cib: &Element) -> Element {
    managed(&takeover::end(cib)).0
}

/// Asks the scheduler about a plan. Without a status it is only asked whether everything can start.
///
/// # Errors
/// The scheduler could not be asked.
pub fn judge<S: Scheduler>(
    scheduler: &S,
    cluster: &Cluster,
    plan: &Plan,
) -> Result<Judgement, S::Error> {
    let new = as_managed(&plan.new);
    let mut judgement = Judgement {
        transitions: None,
        faults: contradictions(scheduler, cluster, &new)?,
    };
    if !plan.has_status() || plan.is_empty() {
        return Ok(judgement);
    }
    let without = scheduler.ask(&as_managed(&plan.old).to_string(), &[])?;
    let outcome = match &plan.takeover {
        None => new,
        Some(takeover) => after_probes(scheduler, takeover, new, &without.before)?,
    };
    let with = scheduler.ask(&outcome.to_string(), &[])?;
    for ran in running(&without.before) {
        let Instance { resource, role, .. } = ran;
        let goes_on = |all: &[Instance]| {
            running(all).any(|now| now.resource == *resource && now.role == *role)
        };
        let is_kept = find(&plan.new, resource).is_some();
        if is_kept && goes_on(&without.after) && !goes_on(&with.after) {
            judgement.faults.push(format!(
                "{resource} runs ({role} on {}), and would not run after the change. Pacemaker says:\n    {}",
                node(ran),
                effects::effects(&without, &with).join("\n    ")
            ));
        }
    }
    judgement.transitions = Some((without, with));
    Ok(judgement)
}

/// The CIB after a takeover whose probes find everything as it ran. One probe after the other: crm_simulate ends
/// its transition at a result that it did not expect.
fn after_probes<S: Scheduler>(
    scheduler: &S,
    takeover: &Takeover,
    mut cib: Element,
    ran: &[Instance],
) -> Result<Element, S::Error> {
    let configuration = cib.child_or_new("configuration");
    *configuration = takeover.begin(configuration);
    for instance in ran
        .iter()
        .filter(|ran| takeover.probed.contains(&ran.resource))
    {
        let before = takeover::before_probe(&cib, instance).to_string();
        let probed = scheduler.ask(&before, &[takeover::successful_probe(instance)])?;
        // If what crm_simulate left cannot be read, more restarts are foretold, not fewer.
        cib = Element::parse_as(&probed.cib, "cib").unwrap_or(cib);
    }
    Ok(takeover::end(&cib))
}

fn running(instances: &[Instance]) -> impl Iterator<Item = &Instance> {
    let runs = |role: &str| matches!(role, "Started" | "Promoted");
    instances.iter().filter(move |i| runs(&i.role))
}

/// The foreign constraints with which something of ours cannot start that starts without them.
fn contradictions<S: Scheduler>(
    scheduler: &S,
    cluster: &Cluster,
    cib: &Element,
) -> Result<Vec<String>, S::Error> {
    let constraints = section(section(cib, "configuration"), "constraints")
        .children
        .iter();
    let foreign: Vec<&Element> = constraints.filter(|one| is_foreign(cluster, one)).collect();
    if foreign.is_empty() {
        return Ok(Vec::new());
    }
    let promotable = cluster.resources.iter().filter_map(|resource| match resource {
        Resource::Promotable(promotable) => Some(promotable.primitive.id.as_str()),
        Resource::Primitive(_) => None,
    });
    let promotable: Vec<&str> = promotable.collect();
    let starts_with = |kept: &[&Element]| {
        let mut cib = state::fresh(cluster, Some(cib));
        cib.each(&mut |element| state::add_promotion_scores(element, &promotable));
        let configuration = cib.child_or_new("configuration");
        let constraints = &mut configuration.child_or_new("constraints").children;
        constraints.retain(|one| !is_foreign(cluster, one) || kept.contains(&one));
        scheduler.ask(&cib.to_string(), &[]).map(|t| started(&t))
    };
    let expected = starts_with(&[])?;
    let stopped = |kept: &[&Element]| starts_with(kept).map(|starts| &expected - &starts);
    let all = stopped(&foreign)?;
    let mut faults = Vec::new();
    if all.is_empty() {
        return Ok(faults);
    }
    for one in &foreign {
        let stopped = stopped(&[one])?;
        if !stopped.is_empty() {
            faults.push(contradiction(&[one], stopped));
        }
    }
    if faults.is_empty() {
        faults.push(contradiction(&foreign, all));
    }
    Ok(faults)
}

fn contradiction(constraints: &[&Element], stopped: BTreeSet<String>) -> String {
    let ids: Vec<&str> = constraints.iter().filter_map(|c| c.get("id")).collect();
    let words = ids.iter().zip(constraints);
    let words = words.map(|(id, constraint)| format!("{id} ({})", in_words(constraint)));
    let does = if ids.len() == 1 {
        "contradicts"
    } else {
        "together contradict"
    };
    format!(
        "constraint {} {does} the constraints of cib-gen: {} would never start\n  help: sudo pcs constraint \
         delete {}",
        Vec::from_iter(words).join(", "),
        Vec::from_iter(stopped).join(", "),
        ids.join(" ")
    )
}

/// The resources that run somewhere; a promotable one counts where it is promoted.
fn started(transition: &Transition) -> BTreeSet<String> {
    let started = |i: &Instance| match i.role.as_str() {
        "Promoted" => format!("{} (promoted)", i.resource),
        _ => i.resource.clone(),
    };
    running(&transition.after).map(started).collect()
}
