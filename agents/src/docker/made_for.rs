//! For which address and which data the containers were made. `docker compose create` copies both into them once: a
//! change of the resource's parameters changes no container.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::{Result, few};
use super::members::is_required;
use super::{Plan, Project};

/// Where the vendor's containers have the data of the PBX and of the database.
const DATA: [&str; 3] = [
    "/var/lib/portsip",
    "/var/lib/portsip/pbx",
    "/var/lib/postgresql/data",
];

/// What an inspection of one container shows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MadeFor {
    /// The variable `IP_ADDRESS`, if it is an address.
    address: Option<Ipv4Addr>,
    data: Vec<Source>,
}

/// What is mounted where a container has the data.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Directory(PathBuf),
    /// A volume, which may be a name for a directory.
    Volume(String),
}

impl MadeFor {
    /// Reads `GET /containers/ID/json`.
    pub(super) fn from_answer(answer: &Value) -> Self {
        let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
        let variables = list(&answer["Config"]["Env"]);
        let mut variables = variables.iter().filter_map(Value::as_str);
        let address = variables.find_map(|it| it.strip_prefix("IP_ADDRESS="));
        let mounts = list(&answer["Mounts"]);
        let is_data = |it: &&Value| DATA.iter().any(|data| it["Destination"] == *data);
        let source = |it: &Value| match it["Type"].as_str()? {
            "bind" => Some(Source::Directory(it["Source"].as_str()?.into())),
            "volume" => Some(Source::Volume(it["Name"].as_str()?.to_owned())),
            _ => None,
        };
        Self {
            address: address.and_then(|it| it.parse().ok()),
            data: mounts.iter().filter(is_data).filter_map(source).collect(),
        }
    }
}

impl Plan {
    /// The vendor's containers and what they were made for.
    fn made_for(&self) -> impl Iterator<Item = (&String, &MadeFor)> {
        let all = self.containers.iter().zip(&self.found);
        let vendors = all.filter(|(it, _)| is_required(&it.service));
        vendors.map(|(it, found)| (&it.name, &found.made_for))
    }

    /// What differs if containers were made for another address.
    pub(crate) fn other_address(&self, wanted: Option<Ipv4Addr>) -> Option<OtherAddress> {
        let wanted = wanted?;
        let others = self.made_for().filter_map(|(name, made)| {
            let other = made.address.filter(|it| *it != wanted)?;
            Some((name, other))
        });
        let others: Vec<_> = others.collect();
        let (_, other) = others.first()?;
        let names: Vec<_> = others.iter().map(|(name, _)| name).collect();
        Some(OtherAddress {
            may_lead_here: others.iter().all(|(_, other)| !other.is_private()),
            message: format!(
                "IP_ADDRESS is {other} in the containers, and ip_address of the resource is {wanted} ({}); help: write \
                 IP_ADDRESS={wanted} into the project's .env, {AGAIN}",
                few(&names, ", ")
            ),
        })
    }
}

/// The containers were made for another address than the resource has.
#[derive(Debug)]
pub(crate) struct OtherAddress {
    /// Whether it is a public address. That may be the one which leads to the address of the resource, such as an
    /// Elastic IP, and the PBX may be meant to name it.
    pub(crate) may_lead_here: bool,
    pub(crate) message: String,
}

/// What has to be done on every node.
const AGAIN: &str = "and while the PBX is stopped, on every node: \
    sudo docker compose --project-directory /etc/portsip/pbx create --force-recreate";

impl Project {
    /// What is wrong if containers were made for data in another directory than `wanted`. `is_there` says whether a
    /// directory is of the data there.
    pub(crate) async fn other_data(
        &self,
        plan: &Plan,
        wanted: &Path,
        is_there: impl Fn(&Path) -> bool,
    ) -> Result<Option<String>> {
        let mut others: BTreeMap<PathBuf, Vec<&String>> = BTreeMap::new();
        let mut volumes = BTreeMap::new();
        for (name, made) in plan.made_for() {
            for source in &made.data {
                let directory = match source {
                    Source::Directory(path) => Some(path.clone()),
                    Source::Volume(volume) => {
                        if !volumes.contains_key(volume) {
                            let bound = self.engine.directory_of_volume(volume).await?;
                            volumes.insert(volume.clone(), bound);
                        }
                        volumes[volume].clone()
                    }
                };
                if let Some(other) = directory.filter(|it| !is_there(it)) {
                    others.entry(other).or_default().push(name);
                }
            }
        }
        let Some((other, names)) = others.iter().next() else {
            return Ok(None);
        };
        let mut how = AGAIN.to_owned();
        let volumes: Vec<String> = volumes
            .into_iter()
            .filter(|(_, it)| it.as_ref().is_some_and(|it| others.contains_key(it)))
            .map(|(name, _)| name)
            .collect();
        if !volumes.is_empty() {
            how = format!(
                "and while the PBX is stopped, on every node: sudo docker compose --project-directory \
                 /etc/portsip/pbx rm --force; sudo docker volume rm {}; sudo docker compose --project-directory \
                 /etc/portsip/pbx create",
                volumes.join(" ")
            );
        }
        let (wanted, other) = (wanted.display(), other.display());
        Ok(Some(format!(
            "the containers have their data in {other}, which is not below data_path of the resource, {wanted} ({}); \
             help: write PBX_DATA={wanted} into the project's .env, {how}",
            few(names, ", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_and_the_mounts_of_the_data_are_read() {
        let answer = serde_json::json!({
            "Config": { "Env": ["PATH=/bin", "IP_ADDRESS=172.31.16.130"] },
            "Mounts": [
                { "Type": "bind", "Source": "/srv/pbx", "Destination": "/var/lib/portsip/pbx" },
                { "Type": "bind", "Source": "/etc/key", "Destination": "/run/secrets/key" },
                { "Type": "volume", "Name": "db", "Source": "/x", "Destination": "/var/lib/postgresql/data" },
                { "Type": "tmpfs", "Destination": "/var/lib/portsip" },
            ],
        });
        let made = MadeFor {
            address: Some(Ipv4Addr::new(172, 31, 16, 130)),
            data: vec![
                Source::Directory("/srv/pbx".into()),
                Source::Volume("db".into()),
            ],
        };
        assert_eq!(MadeFor::from_answer(&answer), made);
    }

    #[test]
    fn what_is_no_address_is_not_compared() {
        for environment in [
            serde_json::json!(null),
            serde_json::json!(["IP_ADDRESS=", "OTHER_IP_ADDRESS=10.0.0.1"]),
            serde_json::json!(["IP_ADDRESS=pbx.example.com"]),
        ] {
            let answer = serde_json::json!({ "Config": { "Env": environment } });
            assert_eq!(MadeFor::from_answer(&answer), MadeFor::default());
        }
    }
}
