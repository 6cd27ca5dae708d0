//! What is cib-gen's own in a CIB: if vars.yml no longer asks for it, it goes. All else stays.

use super::{Agent, Primitive};
use crate::vars::MOST_NODES;

/// The name of the fencing device for all nodes.
const OF_ALL: &str = "fencing";

/// The names that cib-gen gives to fencing devices: to one for all nodes, or to one for each.
pub(crate) fn devices() -> impl Iterator<Item = String> {
    let of_nodes = (1..=MOST_NODES).map(|n| format!("fencing-pbx0{n}"));
    std::iter::once(OF_ALL.to_owned()).chain(of_nodes)
}

pub(crate) fn is_device(id: &str) -> bool {
    devices().any(|device| device == id)
}

/// The names that cib-gen gives, or gave, to constraints.
pub(crate) const CONSTRAINTS: &[&str] = &[
    "portsip-together",
    "portsip-addresses",
    "portsip-source",
    "portsip-storage",
    "portsip-attributes",
    "portsip-voter-storage",
    "portsip-voter-attributes",
    "portsip-failures",
];

impl Primitive {
    /// Parameters that nobody but cib-gen writes, and that do harm where vars.yml no longer asks for them.
    pub(crate) fn harmful_when_left(&self) -> &'static [&'static str] {
        match &self.agent {
            // Without fencing, a start would take the volume from a node that still writes to it.
            Agent::Ocf {
                provider: "portsip",
                name: "awsebs",
            } => &["cluster_instances"],
            // The plug of another machine, which would be switched off in the place of the node.
            Agent::Stonith { .. } if self.id != OF_ALL => &["pcmk_host_map"],
            _ => &[],
        }
    }

    pub(crate) fn asks(&self, name: &str) -> bool {
        let mut parameters = self.parameters.iter();
        parameters.any(|parameter| parameter.name == name)
    }

    pub(crate) fn deletes(&self, name: &str) -> bool {
        self.harmful_when_left().contains(&name) && !self.asks(name)
    }
}
