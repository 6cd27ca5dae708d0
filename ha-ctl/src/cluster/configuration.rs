//! What of the cluster's configuration an operator has to know: notes of what is temporary, leftovers of moves, and
//! how long an operation may take.

use std::time::Duration;

use cib_gen::xml::{Element, Error};
use serde::Serialize;

use crate::commands::NOTES;

/// The parts of `cibadmin --query --scope configuration` that matter here.
#[derive(Debug, Clone)]
pub struct Configuration {
    root: Element,
}

/// A note of something temporary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What is temporary: `restart.pbx`.
    pub name: String,
    /// Who, since when, from where.
    pub text: String,
}

/// How long an operation may take that names no time (Pacemaker's default-action-timeout).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

impl Configuration {
    /// From what cibadmin printed.
    ///
    /// # Errors
    /// It is not what cibadmin prints.
    pub fn parse(xml: &str) -> Result<Configuration, Error> {
        let root = Element::parse_as(xml.trim(), "configuration")?;
        Ok(Configuration { root })
    }

    /// All notes.
    pub fn notes(&self) -> Vec<Note> {
        let sets = self.root.child("crm_config").into_iter();
        let sets = sets.flat_map(|config| config.children("cluster_property_set"));
        let pairs = sets
            .filter(|set| set.is("id", NOTES))
            .flat_map(|set| set.children("nvpair"));
        let note = |pair: &Element| {
            let text = |name| pair.get(name).unwrap_or_default().to_owned();
            Note {
                name: text("name"),
                text: text("value"),
            }
        };
        pairs.map(note).collect()
    }

    /// Constraints that `pcs resource move` and `ban`, or crm_resource, have left.
    pub fn leftovers(&self) -> Vec<String> {
        let constraints = self.root.child("constraints").into_iter();
        let constraints = constraints.flat_map(|list| &list.children);
        let ids = constraints.filter_map(|it| it.get("id"));
        let left = ids.filter(|id| id.starts_with("cli-ban-") || id.starts_with("cli-prefer-"));
        left.map(str::to_owned).collect()
    }

    /// How long an operation of a resource may take.
    pub fn timeout(&self, resource: &str, operation: &str) -> Duration {
        let all = self.root.all();
        let primitive = all
            .iter()
            .find(|it| it.name == "primitive" && it.is("id", resource));
        let operations = primitive.and_then(|it| it.child("operations"));
        let mut operations = operations.into_iter().flat_map(|it| it.children("op"));
        let operation = operations.find(|it| it.is("name", operation));
        let timeout = operation.and_then(|it| it.get("timeout"));
        timeout.and_then(seconds).unwrap_or(DEFAULT_TIMEOUT)
    }
}

/// `90`, `90s`, `2min` or `1500ms`.
fn seconds(text: &str) -> Option<Duration> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "" | "s" | "sec" => Some(Duration::from_secs(number)),
        "ms" | "msec" => Some(Duration::from_millis(number)),
        "m" | "min" => Some(Duration::from_secs(number * 60)),
        "h" | "hr" => Some(Duration::from_secs(number * 3600)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const XML: &str = r#"<configuration>
  <crm_config>
    <cluster_property_set id="cib-bootstrap-options"><nvpair id="a" name="stonith-enabled" value="true"/></cluster_property_set>
    <cluster_property_set id="portsip-ha-notes"><nvpair id="b" name="restart.pbx" value="ubuntu@ops since 05:00"/></cluster_property_set>
  </crm_config>
  <resources>
    <group id="g"><primitive id="pbx"><operations>
      <op name="stop" timeout="330s" interval="0s" id="c"/><op name="monitor" timeout="2min" interval="10s" id="d"/>
    </operations></primitive></group>
  </resources>
  <constraints>
    <rsc_location id="cli-ban-pbx-on-n1" rsc="pbx" role="Started" node="n1" score="-INFINITY"/>
    <rsc_colocation id="colocation-pbx" rsc="pbx" with-rsc="vip"/>
  </constraints>
</configuration>"#;

    #[test]
    fn notes_leftovers_and_times_are_found() {
        let configuration = Configuration::parse(XML).unwrap();
        let note = Note {
            name: "restart.pbx".to_owned(),
            text: "ubuntu@ops since 05:00".to_owned(),
        };
        assert_eq!(configuration.notes(), [note]);
        assert_eq!(configuration.leftovers(), ["cli-ban-pbx-on-n1"]);
        let timeout = |resource, operation| configuration.timeout(resource, operation).as_secs();
        assert_eq!(timeout("pbx", "stop"), 330);
        assert_eq!(timeout("pbx", "monitor"), 120);
        assert_eq!(timeout("pbx", "start"), 20);
        assert_eq!(timeout("other", "stop"), 20);
    }

    #[test]
    fn something_else_than_a_configuration_is_an_error() {
        assert!(Configuration::parse("<cib/>").is_err());
        assert!(Configuration::parse("").is_err());
    }
}
