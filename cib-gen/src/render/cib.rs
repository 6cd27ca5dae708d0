//! The cluster as CIB XML. Ids are those that pcs gives, so that either rendering can be
//! applied over the other.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{
    DEFAULTS, WATCHDOG_TIMEOUT, action, check_level, constraint_option, heading, is_colocation,
    operation_id, operation_options, promoted_option,
};
use crate::cluster::{Agent, Cluster, Constraint, Primitive, Promotable, Resource, Setting};

/// Known to every Pacemaker since 2.1.0, and to 3.0. Nothing here is newer than 3.0.
pub(crate) const SCHEMA: &str = "pacemaker-3.7";

/// The feature set of Pacemaker 2.1.0. Without one, crm_simulate on this file would take it
/// for one of a Pacemaker that counted failures in another way. A running cluster keeps its own.
const FEATURES: &str = "3.10.0";

/// How to load it; an XML comment must not hold two hyphens.
const LOAD: &str = "Load it on one node of a running cluster, as root:
     cib-gen -f cib vars.yml | cibadmin -M -c -o configuration -p
     It adds and changes; what it does not name (nodes, other resources) stays. A cluster whose
     configuration has an old schema needs this before: pcs cluster cib-upgrade";

/// The same where a watchdog fences: the file can not see whether SBD runs.
const WATCHDOG: &str =
    "Until stonith-watchdog-timeout is set, nothing starts, since nothing could be fenced.
     It is not in this file: a node whose SBD does not run shuts Pacemaker down when it reads
     it. What sets it looks at SBD on every node first:
     cib-gen vars.yml | sh";

/// The XML.
///
/// # Errors
/// None in practice: it writes into memory.
pub fn cib(cluster: &Cluster) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut notes = vec![heading(), LOAD.to_owned()];
    notes.extend(
        cluster
            .corosync
            .watchdog
            .is_some()
            .then(|| WATCHDOG.to_owned()),
    );
    notes.extend(cluster.warnings.iter().cloned());
    let notes = notes.join("\n\n     ").replace("--", "- -");
    xml.write_event(Event::Comment(BytesText::from_escaped(format!(
        " {notes} "
    ))))?;
    xml.create_element("cib")
        .with_attributes([
            ("validate-with", SCHEMA),
            ("crm_feature_set", FEATURES),
            ("admin_epoch", "0"),
            ("epoch", "1"),
            ("num_updates", "0"),
        ])
        .write_inner_content(|xml| {
            xml.create_element("configuration")
                .write_inner_content(|xml| configuration(xml, cluster))?;
            xml.create_element("status").write_empty()?;
            Ok(())
        })?;
    xml.write_event(Event::Eof)?;
    let mut text = String::from_utf8(xml.into_inner()).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

type Xml = Writer<Vec<u8>>;

fn configuration(xml: &mut Xml, cluster: &Cluster) -> io::Result<()> {
    let properties: Vec<Setting> = (cluster.properties.iter())
        .filter(|property| property.name != WATCHDOG_TIMEOUT)
        .cloned()
        .collect();
    xml.create_element("crm_config")
        .write_inner_content(|xml| {
            nvset(
                xml,
                "cluster_property_set",
                "cib-bootstrap-options",
                &properties,
            )
        })?;
    // The cluster writes down its nodes itself.
    xml.create_element("nodes").write_empty()?;
    xml.create_element("resources").write_inner_content(|xml| {
        cluster
            .resources
            .iter()
            .try_for_each(|resource| match resource {
                Resource::Primitive(resource) => primitive(xml, resource),
                Resource::Promotable(resource) => clone(xml, resource),
            })
    })?;
    xml.create_element("constraints")
        .write_inner_content(|xml| {
            cluster
                .constraints
                .iter()
                .try_for_each(|c| constraint(xml, c))
        })?;
    xml.create_element("rsc_defaults")
        .write_inner_content(|xml| {
            nvset(xml, "meta_attributes", DEFAULTS, &cluster.resource_defaults)
        })?;
    Ok(())
}

fn nvset(xml: &mut Xml, element: &str, id: &str, settings: &[Setting]) -> io::Result<()> {
    xml.create_element(element)
        .with_attribute(("id", id))
        .write_inner_content(|xml| {
            for setting in settings {
                let name: String = match element {
                    // Of these pcs takes twenty letters.
                    "cluster_property_set" => setting.name.chars().take(20).collect(),
                    _ => setting.name.clone(),
                };
                let id = format!("{id}-{name}");
                xml.create_element("nvpair")
                    .with_attributes([
                        ("id", id.as_str()),
                        ("name", &setting.name),
                        ("value", &setting.value),
                    ])
                    .write_empty()?;
            }
            Ok(())
        })?;
    Ok(())
}

fn clone(xml: &mut Xml, clone: &Promotable) -> io::Result<()> {
    xml.create_element("clone")
        .with_attribute(("id", clone.id))
        .write_inner_content(|xml| {
            primitive(xml, &clone.primitive)?;
            meta(xml, clone.id, &clone.meta)
        })?;
    Ok(())
}

/// Meta attributes, if there are any.
fn meta(xml: &mut Xml, id: &str, settings: &[Setting]) -> io::Result<()> {
    if settings.is_empty() {
        return Ok(());
    }
    nvset(
        xml,
        "meta_attributes",
        &format!("{id}-meta_attributes"),
        settings,
    )
}

fn primitive(xml: &mut Xml, resource: &Primitive) -> io::Result<()> {
    let class = match &resource.agent {
        Agent::Ocf { provider, name } => {
            vec![("class", "ocf"), ("provider", *provider), ("type", *name)]
        }
        Agent::Stonith { name } => vec![("class", "stonith"), ("type", name.as_str())],
    };
    xml.create_element("primitive")
        .with_attribute(("id", resource.id.as_str()))
        .with_attributes(class)
        .write_inner_content(|xml| {
            if !resource.parameters.is_empty() {
                let id = format!("{}-instance_attributes", resource.id);
                nvset(xml, "instance_attributes", &id, &resource.parameters)?;
            }
            xml.create_element("operations")
                .write_inner_content(|xml| operations(xml, resource))?;
            // Where pcs puts them.
            meta(xml, &resource.id, &resource.meta)
        })?;
    Ok(())
}

fn operations(xml: &mut Xml, resource: &Primitive) -> io::Result<()> {
    for operation in &resource.operations {
        let id = operation_id(&resource.id, operation);
        let (name, _) = action(operation.action);
        let mut op = xml
            .create_element("op")
            .with_attributes([("id", id.as_str()), ("name", name)]);
        for (option, value) in operation_options(operation) {
            op = op.with_attribute((option, value.as_str()));
        }
        match check_level(operation) {
            None => op.write_empty()?,
            Some((name, value)) => op.write_inner_content(|xml| {
                let level = [Setting {
                    name: name.to_owned(),
                    value,
                    why: None,
                }];
                nvset(
                    xml,
                    "instance_attributes",
                    &format!("{id}-instance_attributes"),
                    &level,
                )
            })?,
        };
    }
    Ok(())
}

fn constraint(xml: &mut Xml, constraint: &Constraint) -> io::Result<()> {
    let element = if is_colocation(constraint.kind) {
        "rsc_colocation"
    } else {
        "rsc_order"
    };
    let (option, value) = constraint_option(constraint.kind);
    xml.create_element(element)
        .with_attributes([("id", constraint.id), (option, value.as_str())])
        .write_inner_content(|xml| {
            for (n, set) in constraint.sets.iter().enumerate() {
                // The ids that pcs gives.
                let id = match n {
                    0 => format!("{}_set", constraint.id),
                    n => format!("{}_set-{n}", constraint.id),
                };
                let mut element = xml
                    .create_element("resource_set")
                    .with_attribute(("id", id.as_str()));
                if set.promoted {
                    element = element.with_attribute(promoted_option(constraint.kind));
                }
                element.write_inner_content(|xml| {
                    for id in &set.resources {
                        xml.create_element("resource_ref")
                            .with_attribute(("id", *id))
                            .write_empty()?;
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    Ok(())
}
