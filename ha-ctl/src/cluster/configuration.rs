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

/// An instance of EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its region, where the fencing device has it.
    pub region: Option<String>,
}

/// How long an operation may take that names no time (Pacemaker's default-action-timeout).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// Pacemaker's default for the property of this name.
const STONITH_TIMEOUT: Duration = Duration::from_secs(60);

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

    /// Whether a node is only there to vote: a constraint keeps a resource away from it for good. One of `pcs resource
    /// ban` is meant for a while, and a fencing device never runs where it fences.
    pub fn runs_nothing_on(&self, node: &str) -> bool {
        let all = self.root.all();
        let is_fencing = |id: &str| {
            let mut primitives = all
                .iter()
                .filter(|it| it.name == "primitive" && it.is("id", id));
            primitives.any(|it| it.is("class", "stonith"))
        };
        let mut constraints = all.iter().filter(|it| it.name == "rsc_location");
        constraints.any(|it| {
            let id = it.get("id").unwrap_or_default();
            it.is("node", node)
                && it.is("score", "-INFINITY")
                && !id.starts_with("cli-")
                && !is_fencing(it.get("rsc").unwrap_or_default())
        })
    }

    /// The instance that a node is on EC2, as fence_aws knows it.
    pub fn instance(&self, node: &str) -> Option<Instance> {
        let all = self.root.all();
        let mut devices = all.iter().filter(|it| it.is("type", "fence_aws"));
        devices.find_map(|device| {
            let pairs = device.all();
            let pairs = pairs.iter().filter(|it| it.name == "nvpair");
            let value = |name| pairs.clone().find(|it| it.is("name", name))?.get("value");
            // `NODE:INSTANCE;NODE:INSTANCE`
            let mut hosts = value("pcmk_host_map")?.split(';');
            let id = hosts.find_map(|host| host.trim().strip_prefix(node)?.strip_prefix(':'))?;
            Some(Instance {
                id: id.to_owned(),
                region: value("region").map(str::to_owned),
            })
        })
    }

    /// A parameter of a resource.
    pub fn parameter(&self, resource: &str, name: &str) -> Option<String> {
        let all = self.root.all();
        let mut primitives = all.iter().filter(|it| it.name == "primitive");
        let primitive = primitives.find(|it| it.is("id", resource))?;
        let sets = primitive.children("instance_attributes");
        let pairs = sets.flat_map(|set| set.children("nvpair"));
        let mut pairs = pairs.filter(|pair| pair.is("name", name));
        pairs.find_map(|pair| pair.get("value").map(str::to_owned))
    }

    /// How long it may take to stop a resource, or to start it: a primitive, or the primitives of a group or a clone,
    /// one after the other, with what a promotable clone has to do before or after.
    pub fn time(&self, resource: &str, begin: Begin) -> Duration {
        let all = self.root.all();
        let named = all.iter().find(|it| {
            it.is("id", resource)
                && ["primitive", "group", "clone", "master"].contains(&it.name.as_str())
        });
        let below = named.map(|it| it.all()).unwrap_or_default();
        let primitives = below.into_iter().filter(|it| it.name == "primitive");
        let of_each = primitives.map(|primitive| {
            let declared = |name| timeout(primitive, name);
            let (first, second) = match begin {
                Begin::Stop => (declared("stop"), declared("demote")),
                Begin::Start => (declared("start"), declared("promote")),
            };
            first.unwrap_or(DEFAULT_TIMEOUT) + second.unwrap_or_default()
        });
        let times: Vec<Duration> = of_each.collect();
        match times.is_empty() {
            true => DEFAULT_TIMEOUT,
            false => times.into_iter().sum(),
        }
    }

    /// How long fencing a node may take: what follows where a resource does not stop.
    pub fn fencing(&self) -> Duration {
        let all = self.root.all();
        let pairs = || all.iter().filter(|it| it.name == "nvpair");
        let value = |pair: &&&Element| pair.get("value").and_then(seconds);
        if pairs().any(|it| it.is("name", "stonith-enabled") && it.is("value", "false")) {
            return Duration::ZERO;
        }
        const LIMITS: [&str; 4] = [
            "stonith-timeout",
            "stonith-watchdog-timeout",
            "pcmk_off_timeout",
            "pcmk_reboot_timeout",
        ];
        let limits = pairs().filter(|it| it.get("name").is_some_and(|name| LIMITS.contains(&name)));
        let longest = limits.filter_map(|it| value(&it)).max();
        longest.unwrap_or_default().max(STONITH_TIMEOUT)
    }
}

/// What is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// A start, and a promotion where there is one.
    Start,
    /// A stop, and a demotion before it.
    Stop,
}

/// The timeout that a primitive has for an operation.
fn timeout(primitive: &Element, operation: &str) -> Option<Duration> {
    let operations = primitive.child("operations")?;
    let mut operations = operations.children("op");
    operations.find(|it| it.is("name", operation)).map(|it| {
        it.get("timeout")
            .and_then(seconds)
            .unwrap_or(DEFAULT_TIMEOUT)
    })
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
        let time = |resource, begin| configuration.time(resource, begin).as_secs();
        assert_eq!(time("pbx", Begin::Stop), 330);
        assert_eq!(time("pbx", Begin::Start), 20);
        assert_eq!(time("g", Begin::Stop), 330);
        assert_eq!(time("other", Begin::Stop), 20);
        assert_eq!(configuration.fencing().as_secs(), 60);
    }

    #[test]
    fn a_clone_takes_as_long_as_its_primitive_and_fencing_as_long_as_its_device() {
        let xml = r#"<configuration>
          <crm_config><cluster_property_set id="p"><nvpair id="a" name="stonith-timeout" value="360s"/></cluster_property_set></crm_config>
          <resources>
            <clone id="drbd_devpath-clone"><primitive id="drbd_devpath"><operations>
              <op name="stop" timeout="100s" id="c"/><op name="demote" timeout="90s" id="d"/>
              <op name="start" timeout="240" id="e"/><op name="promote" timeout="90" id="f"/>
            </operations></primitive></clone>
            <primitive id="fencing" class="stonith"><instance_attributes id="i">
              <nvpair id="g" name="pcmk_reboot_timeout" value="720s"/></instance_attributes></primitive>
          </resources></configuration>"#;
        let configuration = Configuration::parse(xml).unwrap();
        let time = |begin| configuration.time("drbd_devpath-clone", begin).as_secs();
        assert_eq!(time(Begin::Stop), 190);
        assert_eq!(time(Begin::Start), 330);
        assert_eq!(configuration.fencing().as_secs(), 720);
        let off = xml.replace(
            "name=\"stonith-timeout\" value=\"360s\"",
            "name=\"stonith-enabled\" value=\"false\"",
        );
        let configuration = Configuration::parse(&off).unwrap();
        assert_eq!(configuration.fencing(), Duration::ZERO);
    }

    #[test]
    fn a_node_that_only_votes_is_told_from_one_that_is_banned_for_a_while() {
        let xml = r#"<configuration><resources>
            <primitive id="fencing-pbx01" class="stonith"/><primitive id="pbx" class="ocf"/></resources><constraints>
            <rsc_location id="portsip-voter-storage" rsc="drbd_devpath-clone" node="pbx03" score="-INFINITY"/>
            <rsc_location id="cli-ban-pbx-on-pbx02" rsc="pbx" node="pbx02" score="-INFINITY"/>
            <rsc_location id="location-fencing" rsc="fencing-pbx01" node="pbx01" score="-INFINITY"/>
            </constraints></configuration>"#;
        let configuration = Configuration::parse(xml).unwrap();
        let votes = ["pbx01", "pbx02", "pbx03"].map(|node| configuration.runs_nothing_on(node));
        assert_eq!(votes, [false, false, true]);
    }

    #[test]
    fn fence_aws_knows_the_instances() {
        let xml = r#"<configuration><resources>
            <primitive id="fencing" class="stonith" type="fence_aws"><instance_attributes id="i">
            <nvpair id="a" name="region" value="us-west-1"/>
            <nvpair id="b" name="pcmk_host_map" value="n1:i-1;n12:i-12"/></instance_attributes></primitive>
            </resources></configuration>"#;
        let configuration = Configuration::parse(xml).unwrap();
        let instance = configuration.instance("n12").unwrap();
        assert_eq!(instance.id, "i-12");
        assert_eq!(instance.region.as_deref(), Some("us-west-1"));
        assert_eq!(configuration.instance("n2"), None);
        assert_eq!(Configuration::parse(XML).unwrap().instance("n1"), None);
    }

    #[test]
    fn something_else_than_a_configuration_is_an_error() {
        assert!(Configuration::parse("<cib/>").is_err());
        assert!(Configuration::parse("").is_err());
    }
}
