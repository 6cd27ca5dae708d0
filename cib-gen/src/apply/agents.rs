//! Which of our agents have to be asked before a change: whether they could run with their new parameters. Pure: the
//! command runs what is asked.

use super::Plan;
use super::changes::{Values, values};
use super::commands::{self, Invocation};
use super::merge::{agent_of, find};
use super::pairs::section;

/// The parameter of the agent `pbx` that it compares with its containers.
const PBX_ADDRESS: &str = "ip_address";

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The resource.
    pub resource: String,
    /// The agent, as people write it.
    pub agent: String,
    /// The command that asks it on this node.
    pub command: Invocation,
}

/// The note where the agents are not asked.
pub fn not_asked(questions: &[Question]) -> Option<String> {
    let ids: Vec<&str> = questions.iter().map(|it| it.resource.as_str()).collect();
    (!ids.is_empty()).then(|| {
        format!(
            "the agents were not asked whether they could run so, because the CIB is one of a file: {}",
            ids.join(", ")
        )
    })
}

impl Question {
    /// The note where the agent of this node has nothing against it, but the other nodes have what it looked at too.
    pub fn of_other_nodes(&self) -> Option<String> {
        (self.agent == "ocf:portsip:pbx").then(|| {
            format!(
                "{}: only the containers of this node were looked at. Before this change, on every other node:\n    \
                 sudo {}",
                self.resource, self.command
            )
        })
    }
}

impl Plan {
    /// A question for each resource of our own agents that is new, or of which the agent or a parameter changes.
    pub fn questions(&self) -> Vec<Question> {
        let [old, new] =
            [&self.old, &self.new].map(|cib| section(section(cib, "configuration"), "resources"));
        let parameters = |of| -> Values { values(of, "instance_attributes") };
        let ours = new.all().into_iter();
        let ours = ours.filter(|it| it.name == "primitive" && it.is("provider", "portsip"));
        let changed = ours.filter_map(|it| {
            let id = it.get("id")?;
            let now = (agent_of(it), parameters(it));
            let before = find(old, id).map(|old| (agent_of(old), parameters(old)));
            let name = it.get("type")?;
            (before.as_ref() != Some(&now)).then(|| {
                let (agent, mut asked) = now;
                // Where its address does not change, the PBX works with the address that its containers have.
                let address = asked.get(PBX_ADDRESS);
                if before.is_some_and(|(_, old)| {
                    old.get(PBX_ADDRESS).is_none_or(|old| Some(old) == address)
                }) {
                    asked.remove(PBX_ADDRESS);
                }
                Question {
                    resource: id.to_owned(),
                    command: commands::validate(name, &asked),
                    agent,
                }
            })
        });
        changed.collect()
    }
}
