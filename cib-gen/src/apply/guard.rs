//! The guard before a change: Pacemaker's own scheduler looks at the cluster without the change and with it.
//! What runs must go on running, and what vars.yml asks for must be able to start.

use super::changes::in_words;
use super::constraints::is_foreign;
use super::{Plan, Takeover, effects, takeover};
use crate::cluster::{Cluster, Resource};
use crate::scheduler::{Action, Instance, Scheduler, Transition};
use crate::xml::Element;

/// What the scheduler says of a plan.
#[derive(Debug)]
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
        let is_found = |ran: &Instance| live.before.iter().any(|now| same_place(now, ran));
        let not_found = (without.before.iter())
            .filter(|ran| !is_found(ran))
            .map(|ran| {
                format!(
                    "{} ran on {} ({}), and its probe does not find it there",
                    ran.resource,
                    node(ran),
                    ran.role
                )
            });
        let stops = disturbances(with, live)
            .into_iter()
            .map(|action| format!("Pacemaker would {action}"));
        not_found.chain(stops).collect()
    }
}

fn same_place(a: &Instance, b: &Instance) -> bool {
    a.resource == b.resource && a.node == b.node && a.role == b.role
}

fn node(instance: &Instance) -> &str {
    instance.node.as_deref().unwrap_or("no node")
}

/// The actions that only the second transition has and that take something away from its node.
fn disturbances<'a>(without: &Transition, with: &'a Transition) -> Vec<&'a Action> {
    let takes_away = |action: &&Action| match action {
        Action::Operation { operation, .. } => {
            matches!(operation.as_str(), "stop" | "demote" | "migrate_to")
        }
        Action::Fence { .. } => true,
    };
    let new = with
        .actions
        .iter()
        .filter(|action| !without.actions.contains(action));
    new.filter(takes_away).collect()
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
    let mut faults = contradictions(scheduler, cluster, &plan.new)?;
    if !plan.has_status() || plan.is_empty() {
        return Ok(Judgement {
            transitions: None,
            faults,
        });
    }
    let without = scheduler.ask(&plan.old.to_string(), &[])?;
    let outcome = match &plan.takeover {
        None => plan.new.clone(),
        Some(takeover) => after_probes(scheduler, takeover, &plan.new, &without.before)?,
    };
    let with = scheduler.ask(&outcome.to_string(), &[])?;
    for instance in running(&without.before) {
        let goes_on = |all: &[Instance]| {
            running(all)
                .any(|after| after.resource == instance.resource && after.role == instance.role)
        };
        let is_kept = plan
            .new
            .all()
            .iter()
            .any(|e| e.name == "primitive" && e.is("id", &instance.resource));
        if is_kept && goes_on(&without.after) && !goes_on(&with.after) {
            let effects = effects::effects(&without, &with).join("\n    ");
            faults.push(format!(
                "{} runs ({} on {}), and would not run after the change. Pacemaker says:\n    {effects}",
                instance.resource,
                instance.role,
                node(instance)
            ));
        }
    }
    let transitions = Some((without, with));
    Ok(Judgement {
        transitions,
        faults,
    })
}

/// The CIB after a takeover whose probes find everything as it ran. One probe after the other: crm_simulate ends
/// its transition at a result that it did not expect.
fn after_probes<S: Scheduler>(
    scheduler: &S,
    takeover: &Takeover,
    new: &Element,
    ran: &[Instance],
) -> Result<Element, S::Error> {
    let mut cib = new.clone();
    let configuration = takeover.begin(cib.child_or_new("configuration"));
    *cib.child_or_new("configuration") = configuration;
    for instance in ran.iter().filter(|instance| takeover.probes(instance)) {
        let before = takeover::before_probe(&cib, instance).to_string();
        let probed = scheduler.ask(&before, &[takeover::successful_probe(instance)])?;
        // If what crm_simulate left cannot be read, more restarts are foretold, not fewer.
        cib = Element::parse_as(&probed.cib, "cib").unwrap_or(cib);
    }
    Ok(takeover.end(&cib))
}

fn running(instances: &[Instance]) -> impl Iterator<Item = &Instance> {
    instances
        .iter()
        .filter(|i| matches!(i.role.as_str(), "Started" | "Promoted"))
}

/// The foreign constraints with which something of ours cannot start that starts without them.
fn contradictions<S: Scheduler>(
    scheduler: &S,
    cluster: &Cluster,
    cib: &Element,
) -> Result<Vec<String>, S::Error> {
    let is_foreign = |constraint: &Element| is_foreign(cluster, constraint);
    let keeping = |keep: &dyn Fn(&Element) -> bool| {
        let mut cib = fresh(cluster, cib);
        let constraints = cib
            .child_or_new("configuration")
            .child_or_new("constraints");
        constraints
            .children
            .retain(|constraint| !is_foreign(constraint) || keep(constraint));
        cib
    };
    let foreign: Vec<Element> = (cib.all().into_iter())
        .filter(|element| element.name.starts_with("rsc_") && is_foreign(element))
        .cloned()
        .collect();
    if foreign.is_empty() {
        return Ok(Vec::new());
    }
    let ours = keeping(&|_| false);
    let expected = started(&scheduler.ask(&ours.to_string(), &[])?);
    let stopped = |cib: Element| -> Result<Vec<String>, S::Error> {
        let started = started(&scheduler.ask(&cib.to_string(), &[])?);
        Ok(expected
            .iter()
            .filter(|id| !started.contains(id))
            .cloned()
            .collect())
    };
    let all = stopped(keeping(&|_| true))?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    for one in &foreign {
        let stopped = stopped(keeping(&|constraint| constraint == one))?;
        if !stopped.is_empty() {
            faults.push(contradiction(&[one], &stopped));
        }
    }
    if faults.is_empty() {
        faults.push(contradiction(&foreign.iter().collect::<Vec<_>>(), &all));
    }
    Ok(faults)
}

fn contradiction(constraints: &[&Element], stopped: &[String]) -> String {
    let ids: Vec<&str> = constraints.iter().filter_map(|c| c.get("id")).collect();
    let words: Vec<String> = constraints
        .iter()
        .map(|c| format!("{} ({})", c.get("id").unwrap_or_default(), in_words(c)))
        .collect();
    let does = if ids.len() == 1 {
        "contradicts"
    } else {
        "together contradict"
    };
    format!(
        "constraint {} {does} the constraints of cib-gen: {} would never start\n  help: sudo pcs constraint \
         delete {}",
        words.join(", "),
        stopped.join(", "),
        ids.join(" ")
    )
}

/// The resources that run somewhere; a promotable one counts where it is promoted.
fn started(transition: &Transition) -> Vec<String> {
    let mut ids: Vec<String> = running(&transition.after)
        .map(|i| {
            format!(
                "{}{}",
                i.resource,
                if i.role == "Promoted" {
                    " (promoted)"
                } else {
                    ""
                }
            )
        })
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The CIB with all nodes online and nothing started. Node attributes are kept, since rules may test them.
fn fresh(cluster: &Cluster, cib: &Element) -> Element {
    let mut cib = cib.clone();
    cib.set("have-quorum", "1");
    let configuration = cib.child_or_new("configuration");
    if cluster.corosync.watchdog.is_some() {
        let set = configuration
            .child_or_new("crm_config")
            .child_or_new("cluster_property_set");
        if !set
            .children
            .iter()
            .any(|pair| pair.is("name", "have-watchdog"))
        {
            let pair = [
                ("id", "guard-watchdog"),
                ("name", "have-watchdog"),
                ("value", "true"),
            ];
            set.children.push(Element::new("nvpair", &pair));
        }
    }
    let nodes = configuration.child_or_new("nodes");
    if nodes.children.is_empty() {
        let members = cluster.corosync.nodes.iter().enumerate();
        nodes.children = members
            .map(|(n, member)| {
                Element::new(
                    "node",
                    &[("id", &(n + 1).to_string()), ("uname", &member.name)],
                )
            })
            .collect();
    }
    let nodes = nodes.children.clone();
    let promotable = (cluster.resources.iter()).filter_map(|resource| match resource {
        Resource::Promotable(promotable) => Some(format!("master-{}", promotable.primitive.id)),
        Resource::Primitive(_) => None,
    });
    let promotable: Vec<String> = promotable.collect();
    let status = cib.child_or_new("status");
    let old = std::mem::take(&mut status.children);
    status.children = nodes
        .iter()
        .filter_map(|node| {
            let (id, name) = (node.get("id")?, node.get("uname")?);
            let mut state = Element::new(
                "node_state",
                &[
                    ("id", id),
                    ("uname", name),
                    ("in_ccm", "true"),
                    ("crmd", "online"),
                    ("join", "member"),
                    ("expected", "member"),
                ],
            );
            let mut attributes = old
                .iter()
                .find(|state| state.is("id", id))
                .and_then(|state| state.child("transient_attributes"))
                .cloned()
                .unwrap_or_else(|| Element::new("transient_attributes", &[("id", id)]));
            let set = attributes.child_or("instance_attributes", || {
                Element::new("instance_attributes", &[("id", &format!("status-{id}"))])
            });
            let is_failure =
                |name: &str| name.starts_with("fail-count-") || name.starts_with("last-failure-");
            set.children
                .retain(|pair| !pair.get("name").is_some_and(is_failure));
            for name in &promotable {
                if !set.children.iter().any(|pair| pair.is("name", name)) {
                    // What ocf:linbit:drbd says of a copy that is up to date.
                    let pair = [
                        ("id", &*format!("status-{id}-{name}")),
                        ("name", name),
                        ("value", "10000"),
                    ];
                    set.children.push(Element::new("nvpair", &pair));
                }
            }
            state.children.push(
                Element::new("lrm", &[("id", id)]).with([Element::new("lrm_resources", &[])]),
            );
            state.children.push(attributes);
            Some(state)
        })
        .collect();
    cib
}
