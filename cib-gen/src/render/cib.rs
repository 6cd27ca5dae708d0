//! The cluster as CIB XML. Ids are those that pcs gives, so that either rendering can be applied over the
//! other.

use super::{
    DEFAULTS, WATCHDOG_TIMEOUT, action, check_level, constraint_option, heading, is_colocation,
    operation_id, operation_options, promoted_option,
};
use crate::cluster::{
    Agent, Ban, Cluster, Constraint, FailureRule, Operation, Primitive, Resource, Setting,
};
use crate::xml::Element;

/// Known to every Pacemaker since 2.1.0, and to 3.0. Nothing here is newer than 3.0.
pub(crate) const SCHEMA: &str = "pacemaker-3.7";

/// The feature set of Pacemaker 2.1.0. Without one, crm_simulate on this file would count failures as an
/// older Pacemaker did. A running cluster keeps its own.
const FEATURES: &str = "3.10.0";

/// How to load it; an XML comment must not hold two hyphens.
const LOAD: &str = "Load it on one node of a running cluster, as root:
     cib-gen -f cib vars.yml | cibadmin -M -c -o configuration -p
     It adds and changes; what it does not name (nodes, other resources) stays. A cluster whose
     configuration has an old schema needs this before: pcs cluster cib-upgrade";

/// The same where a watchdog fences: the file cannot see whether SBD runs.
const WATCHDOG: &str =
    "Until stonith-watchdog-timeout is set, nothing starts, since nothing could be fenced.
     It is not in this file: a node whose SBD does not run shuts Pacemaker down when it reads
     it. What sets it looks at SBD on every node first:
     cib-gen apply vars.yml";

pub fn cib(cluster: &Cluster) -> String {
    let mut notes = vec![heading(), LOAD.to_owned()];
    notes.extend((cluster.corosync.watchdog.iter()).map(|_| WATCHDOG.to_owned()));
    notes.extend(cluster.warnings.iter().cloned());
    let notes = notes.join("\n\n     ").replace("--", "- -");
    let cib = cib_element(cluster);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {notes} -->\n{cib}")
}

pub(crate) fn cib_element(cluster: &Cluster) -> Element {
    let properties = (cluster.properties.iter()).filter(|p| p.name != WATCHDOG_TIMEOUT);
    let properties = properties.map(|property| {
        // pcs takes twenty letters of a property's name.
        let short: String = property.name.chars().take(20).collect();
        nvpair(&format!("cib-bootstrap-options-{short}"), property)
    });
    let set = Element::new("cluster_property_set", &[("id", "cib-bootstrap-options")]);
    let section = |name: &str| Element::new(name, &[]);
    let configuration = section("configuration").with([
        section("crm_config").with([set.with(properties)]),
        // The cluster writes down its nodes itself.
        section("nodes"),
        section("resources").with(cluster.resources.iter().map(resource)),
        section("constraints")
            .with(cluster.bans.iter().map(ban))
            .with(cluster.failure_rules.iter().map(failure_rule))
            .with(cluster.constraints.iter().map(constraint)),
        section("rsc_defaults").with([nvset(
            "meta_attributes",
            DEFAULTS,
            &cluster.resource_defaults,
        )]),
    ]);
    let versions = [
        ("validate-with", SCHEMA),
        ("crm_feature_set", FEATURES),
        ("admin_epoch", "0"),
        ("epoch", "1"),
        ("num_updates", "0"),
    ];
    Element::new("cib", &versions).with([configuration, section("status")])
}

fn nvpair(id: &str, setting: &Setting) -> Element {
    let Setting { name, value, .. } = setting;
    Element::new("nvpair", &[("id", id), ("name", name), ("value", value)])
}

fn nvset(name: &str, id: &str, settings: &[Setting]) -> Element {
    let pairs = settings.iter();
    let pairs = pairs.map(|setting| nvpair(&format!("{id}-{}", setting.name), setting));
    Element::new(name, &[("id", id)]).with(pairs)
}

fn meta(id: &str, settings: &[Setting]) -> Option<Element> {
    let id = format!("{id}-meta_attributes");
    (!settings.is_empty()).then(|| nvset("meta_attributes", &id, settings))
}

fn resource(resource: &Resource) -> Element {
    match resource {
        Resource::Primitive(resource) => primitive(resource),
        Resource::Promotable(clone) => Element::new("clone", &[("id", clone.id)])
            .with([primitive(&clone.primitive)])
            .with(meta(clone.id, &clone.meta)),
    }
}

fn primitive(resource: &Primitive) -> Element {
    let id = &resource.id;
    let mut primitive = Element::new("primitive", &[("id", id)]);
    match &resource.agent {
        Agent::Ocf { provider, name } => {
            for (attribute, value) in [("class", "ocf"), ("provider", provider), ("type", name)] {
                primitive.set(attribute, value);
            }
        }
        Agent::Stonith { name } => {
            primitive.set("class", "stonith");
            primitive.set("type", name);
        }
    }
    let parameters = (!resource.parameters.is_empty()).then(|| {
        let id = format!("{id}-instance_attributes");
        nvset("instance_attributes", &id, &resource.parameters)
    });
    let operations = resource.operations.iter().map(|op| operation(id, op));
    primitive
        .with(parameters)
        .with([Element::new("operations", &[]).with(operations)])
        // After the operations, where pcs puts them.
        .with(meta(id, &resource.meta))
}

fn operation(resource: &str, operation: &Operation) -> Element {
    let id = operation_id(resource, operation);
    let (name, _) = action(operation.action);
    let mut op = Element::new("op", &[("id", &id), ("name", name)]);
    for (option, value) in operation_options(operation) {
        op.set(option, &value);
    }
    op.with(check_level(operation).map(|level| {
        let id = format!("{id}-instance_attributes");
        nvset("instance_attributes", &id, &[level])
    }))
}

fn constraint(constraint: &Constraint) -> Element {
    let name = if is_colocation(constraint.kind) {
        "rsc_colocation"
    } else {
        "rsc_order"
    };
    let (option, value) = constraint_option(constraint.kind);
    let sets = constraint.sets.iter().enumerate().map(|(n, set)| {
        // The ids that pcs gives.
        let id = match n {
            0 => format!("{}_set", constraint.id),
            n => format!("{}_set-{n}", constraint.id),
        };
        let mut element = Element::new("resource_set", &[("id", &id)]);
        if set.promoted {
            let (option, value) = promoted_option(constraint.kind);
            element.set(option, value);
        }
        let resources = set.resources.iter();
        element.with(resources.map(|id| Element::new("resource_ref", &[("id", id)])))
    });
    Element::new(name, &[("id", constraint.id), (option, &value)]).with(sets)
}

fn ban(ban: &Ban) -> Element {
    let attributes = [
        ("id", ban.id),
        ("rsc", ban.resource),
        ("node", &ban.node),
        ("score", "-INFINITY"),
        ("resource-discovery", "never"),
    ];
    Element::new("rsc_location", &attributes)
}

fn failure_rule(failures: &FailureRule) -> Element {
    let id = format!("{}-rule", failures.id);
    let score = format!("-{}", failures.score);
    let rule = [
        ("id", id.as_str()),
        ("role", "Promoted"),
        ("score", &score),
        ("boolean-op", "or"),
    ];
    let least = failures.failures.to_string();
    let expressions = failures.counts.iter().enumerate().map(|(n, count)| {
        // The ids that pcs gives.
        let id = match n {
            0 => format!("{id}-expr"),
            n => format!("{id}-expr-{n}"),
        };
        let expression = [
            ("id", id.as_str()),
            ("attribute", count),
            ("operation", "gte"),
            ("type", "number"),
            ("value", &least),
        ];
        Element::new("expression", &expression)
    });
    let location = [("id", failures.id), ("rsc", failures.resource)];
    Element::new("rsc_location", &location).with([Element::new("rule", &rule).with(expressions)])
}
