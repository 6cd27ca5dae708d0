//! What the cluster says of itself: `crm_mon`'s XML, as far as the demo needs it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::world::Error;

/// The exit code of a resource that runs and is not as it should be.
const DEGRADED: &str = "190";
/// What shows DRBD's state as a node attribute: it serves nobody, and runs on any node.
const SHOWS_ONLY: &str = "ocf:linbit:drbd-attr";

/// The cluster's nodes and resources.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Status {
    /// Nodes that are online.
    pub online: Vec<String>,
    /// Resources in the cluster's order, with the nodes on which they are started.
    pub resources: Vec<Resource>,
    /// Failed operations, as crm_mon names them.
    pub failures: Vec<String>,
    /// Operations that said "it runs, but": crm_mon lists them among the failed ones, and Pacemaker does
    /// nothing about them.
    pub degraded: Vec<String>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: String,
    /// Its agent, `ocf:portsip:awseip`.
    pub agent: String,
    /// `Started`, `Stopped` and so on.
    pub role: String,
    /// Where it is active.
    pub nodes: Vec<String>,
    /// Whether it is a copy of a clone; the promoted one is in use.
    pub cloned: bool,
}

impl Status {
    /// Reads `crm_mon --output-as=xml -1`.
    ///
    /// # Errors
    /// When it is not XML.
    pub fn parse(xml: &str) -> Result<Self, Error> {
        let mut status = Self::default();
        let mut reader = Reader::from_str(xml);
        let (mut inside_nodes, mut inside_clone) = (false, false);
        loop {
            match reader.read_event()? {
                Event::Start(element) => match element.name().as_ref() {
                    "nodes" => inside_nodes = true,
                    "node" if inside_nodes => status.node(&element)?,
                    "clone" => inside_clone = true,
                    "resource" => status.resource(&element, inside_clone)?,
                    _ => {}
                },
                Event::Empty(element) => match element.name().as_ref() {
                    "node" if inside_nodes => status.node(&element)?,
                    "node" => {
                        if let (Some(resource), Some(name)) =
                            (status.resources.last_mut(), attribute(&element, "name")?)
                        {
                            resource.nodes.push(name);
                        }
                    }
                    "resource" => status.resource(&element, inside_clone)?,
                    "failure" => {
                        let what = attribute(&element, "op_key")?.unwrap_or_default();
                        let on = attribute(&element, "node")?.unwrap_or_default();
                        let why = attribute(&element, "exitreason")?.unwrap_or_default();
                        let code = attribute(&element, "exitcode")?;
                        let list = if code.as_deref() == Some(DEGRADED) {
                            &mut status.degraded
                        } else {
                            &mut status.failures
                        };
                        list.push(format!("{what} on {on}: {why}"));
                    }
                    _ => {}
                },
                Event::End(element) => match element.name().as_ref() {
                    "nodes" => inside_nodes = false,
                    "clone" => inside_clone = false,
                    _ => {}
                },
                Event::Eof => return Ok(status),
                _ => {}
            }
        }
    }

    /// The node on which every resource (but the fencing device) is started, and what is cloned promoted, if
    /// there is one.
    pub fn active(&self) -> Option<&str> {
        let mut resources = self.cluster_resources().peekable();
        let node = resources.peek()?.nodes.first()?;
        let started = resources
            .all(|resource| resource.role == "Started" && resource.nodes == [node.clone()]);
        let mut copies = self.resources.iter().filter(|copy| copy.cloned).peekable();
        let promoted = copies.peek().is_none() || copies.any(|copy| copy.promoted_on(node));
        (started && promoted).then_some(node.as_str())
    }

    /// Whether every fencing device is started, so that a node can be fenced.
    pub fn can_fence(&self) -> bool {
        let mut devices = self
            .resources
            .iter()
            .filter(|resource| resource.agent.starts_with("stonith"))
            .peekable();
        devices.peek().is_some() && devices.all(|device| device.role == "Started")
    }

    /// The resources that run services, in order: neither the fencing device nor copies of a clone.
    pub fn cluster_resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| {
            !resource.cloned
                && !resource.agent.starts_with("stonith")
                && resource.agent != SHOWS_ONLY
        })
    }

    fn node(&mut self, element: &BytesStart) -> Result<(), Error> {
        if attribute(element, "online")?.as_deref() == Some("true") {
            self.online.extend(attribute(element, "name")?);
        }
        Ok(())
    }

    fn resource(&mut self, element: &BytesStart, cloned: bool) -> Result<(), Error> {
        self.resources.push(Resource {
            id: attribute(element, "id")?.unwrap_or_default(),
            agent: attribute(element, "resource_agent")?.unwrap_or_default(),
            role: attribute(element, "role")?.unwrap_or_default(),
            nodes: Vec::new(),
            cloned,
        });
        Ok(())
    }
}

impl Resource {
    /// Whether this copy is the promoted one, and is there. Pacemaker 2 built with the old names says `Master`.
    pub fn promoted_on(&self, node: &str) -> bool {
        ["Promoted", "Master"].contains(&self.role.as_str()) && self.nodes == [node]
    }
}

fn attribute(element: &BytesStart, name: &str) -> Result<Option<String>, Error> {
    let Some(attribute) = element.try_get_attribute(name)? else {
        return Ok(None);
    };
    Ok(Some(
        attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)?
            .into_owned(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(second: &str) -> Status {
        Status::parse(&format!(
            r#"<pacemaker-result><nodes>
                 <node name="n1" online="true"/><node name="n2" online="false"/></nodes>
               <resources>
                 <resource id="fencing" resource_agent="stonith:fence_aws" role="Started"><node name="n2"/></resource>
                 <resource id="eip" resource_agent="ocf:portsip:awseip" role="Started"><node name="n1"/></resource>
                 {second}
               </resources></pacemaker-result>"#
        ))
        .unwrap()
    }

    #[test]
    fn the_active_node_runs_everything_but_the_fencing_device() {
        let pbx = r#"<resource id="pbx" resource_agent="ocf:portsip:pbx" role="Started"><node name="n1"/></resource>"#;
        let status = status(pbx);
        assert_eq!(status.online, ["n1"]);
        assert_eq!(status.active(), Some("n1"));
        assert!(status.can_fence());
    }

    #[test]
    fn there_is_no_active_node_while_a_resource_is_stopped_or_elsewhere() {
        let stopped = r#"<resource id="pbx" resource_agent="ocf:portsip:pbx" role="Stopped"/>"#;
        assert_eq!(status(stopped).active(), None);
        let elsewhere = r#"<resource id="pbx" resource_agent="ocf:portsip:pbx" role="Started"><node name="n2"/></resource>"#;
        assert_eq!(status(elsewhere).active(), None);
    }

    #[test]
    fn the_active_node_has_the_promoted_copy() {
        let with = |promoted: &str| {
            let copy = |role, node| {
                format!(
                    r#"<resource id="drbd" resource_agent="ocf:linbit:drbd" role="{role}"><node name="{node}"/></resource>"#
                )
            };
            let role = |node| {
                if node == promoted {
                    "Promoted"
                } else {
                    "Unpromoted"
                }
            };
            let copies = ["n1", "n2"].map(|node| copy(role(node), node)).concat();
            let shown = r#"<resource id="attr" resource_agent="ocf:linbit:drbd-attr" role="Started"><node name="n2"/></resource>"#;
            status(&format!("<clone id=\"c\">{copies}</clone>{shown}"))
        };
        assert_eq!(with("n1").active(), Some("n1"));
        assert_eq!(with("n2").active(), None);
        assert_eq!(with("nowhere").active(), None);
    }
}
