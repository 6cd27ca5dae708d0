//! What the cluster says of itself: `crm_mon`'s XML, as far as the demo needs it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::world::Error;

/// The exit code of a resource that runs and is not as it should be.
const DEGRADED: &str = "190";

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
}

impl Status {
    /// Reads `crm_mon --output-as=xml -1`.
    ///
    /// # Errors
    /// When it is not XML.
    pub fn parse(xml: &str) -> Result<Self, Error> {
        let mut status = Self::default();
        let mut reader = Reader::from_str(xml);
        let mut inside_nodes = false;
        loop {
            match reader.read_event()? {
                Event::Start(element) => match element.name().as_ref() {
                    "nodes" => inside_nodes = true,
                    "node" if inside_nodes => status.node(&element)?,
                    "resource" => status.resource(&element)?,
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
                    "resource" => status.resource(&element)?,
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
                Event::End(element) if element.name().as_ref() == "nodes" => inside_nodes = false,
                Event::Eof => return Ok(status),
                _ => {}
            }
        }
    }

    /// The node on which every resource (but the fencing device) is started, if there is one.
    pub fn active(&self) -> Option<&str> {
        let mut resources = self.cluster_resources().peekable();
        let node = resources.peek()?.nodes.first()?;
        resources
            .all(|resource| resource.role == "Started" && resource.nodes == [node.clone()])
            .then_some(node.as_str())
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

    /// The resources that run services, in order: all but the fencing device.
    pub fn cluster_resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources
            .iter()
            .filter(|resource| !resource.agent.starts_with("stonith"))
    }

    fn node(&mut self, element: &BytesStart) -> Result<(), Error> {
        if attribute(element, "online")?.as_deref() == Some("true") {
            self.online.extend(attribute(element, "name")?);
        }
        Ok(())
    }

    fn resource(&mut self, element: &BytesStart) -> Result<(), Error> {
        self.resources.push(Resource {
            id: attribute(element, "id")?.unwrap_or_default(),
            agent: attribute(element, "resource_agent")?.unwrap_or_default(),
            role: attribute(element, "role")?.unwrap_or_default(),
            nodes: Vec::new(),
        });
        Ok(())
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
}
