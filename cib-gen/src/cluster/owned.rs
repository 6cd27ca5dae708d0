//! What is cib-gen's own in a CIB: if vars.yml no longer asks for it, it goes.

use super::{Agent, Primitive};
use crate::vars::MOST_NODES;

/// What a device is told of the nodes: one of the two.
const HOSTS: &[&str] = &["pcmk_host_list", "pcmk_host_map"];

/// The names that cib-gen gives to fencing devices: to one for all nodes, or to one for each.
pub(crate) fn devices() -> impl Iterator<Item = String> {
    let of_nodes = (1..=MOST_NODES).map(|n| format!("fencing-pbx0{n}"));
    std::iter::once("fencing".to_owned()).chain(of_nodes)
}

/// Whether a fencing device bears such a name.
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
];

impl Primitive {
    /// Parameters that another vars.yml would have cib-gen write for the same agent. A region is none of
    /// them: where it is not known, it may still be the right one.
    pub(crate) fn optional_parameters(&self) -> &'static [&'static str] {
        match &self.agent {
            Agent::Ocf { provider, name } => match (*provider, *name) {
                ("portsip", "awsebs") => &["cluster_instances", "device"],
                ("portsip", "pbx") => &["sip_transport", "sip_port", "web_port"],
                ("heartbeat", "IPaddr2" | "IPsrcaddr") => &["cidr_netmask"],
                _ => &[],
            },
            Agent::Stonith { .. } => HOSTS,
        }
    }

    /// Whether all parameters come from vars.yml: those of a fence agent that it names. What somebody
    /// has told Pacemaker about the device stays.
    pub(crate) fn has_only_what_is_asked_for(&self) -> bool {
        match &self.agent {
            Agent::Ocf { .. } => false,
            Agent::Stonith { name } => name != "fence_aws",
        }
    }

    /// Whether a parameter is there because an earlier vars.yml asked for it.
    pub(crate) fn no_longer_asks(&self, name: &str) -> bool {
        let asks = self
            .parameters
            .iter()
            .any(|parameter| parameter.name == name);
        let was_asked = self.optional_parameters().contains(&name)
            || self.has_only_what_is_asked_for() && !name.starts_with("pcmk_");
        was_asked && !asks
    }
}
