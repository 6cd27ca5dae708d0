//! One container of a compose project: what Docker's list, an inspection and Compose's labels say about it. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::made_for::MadeFor;
use super::run_state::{Health, RunState};
use super::signal;

const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// The image's own label, which a container inherits.
const VERSION: &str = "version";
/// How many characters of the output of a health check or a container go into an error.
const OUTPUT: usize = 200;

/// A container of the project, as one list request shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) id: String,
    /// Without the slash that Docker puts before it.
    pub(super) name: String,
    /// The service of the compose file.
    pub(super) service: String,
    /// When it was created, in seconds since 1970.
    pub(super) created: i64,
    /// The id of its image, which does not move as a tag does.
    pub(super) image: String,
    /// The label `version` of its image.
    pub(super) version: Option<String>,
    pub(super) state: RunState,
    pub(super) health: Health,
    pub(super) status: String,
    /// The services that it needs, or why the label cannot be read.
    pub(super) depends_on: Result<Vec<Dependency>, String>,
    /// Whether `docker compose run` created it. Such a container is not part of the PBX, but may use the data.
    pub(super) one_off: bool,
}

/// What a container needs of another service before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) service: String,
    pub(super) condition: Condition,
}

/// The conditions of `depends_on` in a compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Started,
    /// Its health check passed.
    Healthy,
    /// It ended with code 0.
    CompletedSuccessfully,
}

impl Dependency {
    /// Reads Compose's label: `database:service_healthy:false,nats:service_started:true`.
    pub(super) fn parse_label(of: &str, label: &str) -> Result<Vec<Self>, String> {
        let parts = label.split(',').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty());
        let parse = |part: &str| {
            let mut fields = part.split(':');
            let service = fields.next().filter(|service| !service.is_empty())?;
            let condition = match fields.next() {
                None | Some("" | "service_started") => Condition::Started,
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                Some(_) => return None,
            };
            let service = service.to_owned();
            Some(Self { service, condition })
        };
        let unknown =
            |part| format!("the label {DEPENDS_ON} of service {of} has an unknown part: `{part}`");
        let parsed = parts.map(|part| parse(part).ok_or_else(|| unknown(part)));
        parsed.collect()
    }
}

/// One entry of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary {
    id: String,
    names: Option<Vec<String>>,
    created: Option<i64>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    labels: Option<Labels>,
    state: Option<String>,
    status: Option<String>,
}

pub(super) type Labels = BTreeMap<String, String>;

impl Container {
    pub(super) fn from_summary(summary: Summary) -> Self {
        let name = summary.names.and_then(|names| names.into_iter().next());
        let labels = summary.labels.unwrap_or_default();
        let status = summary.status.unwrap_or_default();
        Self {
            created: summary.created.unwrap_or_default(),
            image: summary.image_id.unwrap_or_default(),
            state: RunState::of(&summary.state.unwrap_or_default()),
            health: Health::in_text(&status),
            status,
            ..Self::from_labels(&summary.id, name.as_deref(), &labels)
        }
    }

    /// What the labels say. Nothing is known about the state.
    pub(super) fn from_labels(id: &str, name: Option<&str>, labels: &Labels) -> Self {
        let label = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
        let name = name.unwrap_or(id).trim_start_matches('/');
        let service = match label(SERVICE) {
            "" => name,
            service => service,
        };
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            service: service.to_owned(),
            created: 0,
            image: String::new(),
            version: labels.get(VERSION).cloned(),
            state: RunState::Unknown(String::new()),
            health: Health::None,
            status: String::new(),
            depends_on: Dependency::parse_label(service, label(DEPENDS_ON)),
            one_off: label(ONE_OFF).eq_ignore_ascii_case("true"),
        }
    }

    /// Whether the list says that it ended with code 0.
    pub(super) fn completed(&self) -> bool {
        self.state == RunState::Exited && self.status.starts_with("Exited (0)")
    }

    /// What its label says that it needs; nothing if the label cannot be read.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.depends_on.iter().flatten()
    }
}

/// What only an inspection of one container shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inspection {
    pub(super) state: RunState,
    pub(super) health: Health,
    pub(super) exit_code: i64,
    /// The number of its first process, 0 if it has none.
    pub(super) process: i64,
    /// Whether its restart policy lets Docker start it again.
    pub(super) restarts: bool,
    /// The number of its stop signal.
    pub(super) stop_signal: i32,
    /// How many seconds it has to end after the stop signal, if it says so; negative for no limit.
    pub(super) stop_timeout: Option<i64>,
    pub(super) made_for: MadeFor,
    /// `, its last check said: ...`, or nothing if no check wrote anything.
    pub(super) last_check: String,
}

impl Inspection {
    /// Reads `GET /containers/ID/json`. A field that is missing, or of another type, counts as empty.
    pub(super) fn from_answer(answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (state, config) = (&answer["State"], &answer["Config"]);
        let checks = state["Health"]["Log"].as_array();
        let last_check = checks.and_then(|checks| checks.last());
        let policy = text(&answer["HostConfig"]["RestartPolicy"]["Name"]);
        Self {
            state: RunState::of(&text(&state["Status"])),
            health: Health::of(&text(&state["Health"]["Status"])),
            exit_code: state["ExitCode"].as_i64().unwrap_or_default(),
            process: state["Pid"].as_i64().unwrap_or_default(),
            restarts: !matches!(policy.as_str(), "" | "no"),
            stop_signal: signal::number_or_term(config["StopSignal"].as_str()),
            stop_timeout: config["StopTimeout"].as_i64(),
            made_for: MadeFor::from_answer(answer),
            last_check: last_check
                .map(|check| shortened(&text(&check["Output"])))
                .filter(|output| !output.is_empty())
                .map_or_else(String::new, |it| format!(", its last check said: {it}")),
        }
    }

    /// Whether it has ended, and Docker has not noticed it yet.
    pub(super) fn has_ended_unnoticed(&self) -> bool {
        let process = Path::new("/proc").join(self.process.to_string());
        self.state == RunState::Running && self.process > 0 && !process.exists()
    }
}

/// The end of a text, on one line: the last words tell what went wrong.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count().saturating_sub(OUTPUT) {
        0 => line,
        skip => format!("...{}", line.chars().skip(skip).collect::<String>()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_compose_is_read() {
        let read = Dependency::parse_label(
            "gateway",
            "database:service_healthy:false,nats:service_started:true,initdt:service_completed_successfully:false,old",
        );
        let read: Vec<_> = read
            .unwrap()
            .into_iter()
            .map(|dependency| (dependency.service, dependency.condition))
            .collect();
        assert_eq!(
            read,
            [
                ("database".to_owned(), Condition::Healthy),
                ("nats".to_owned(), Condition::Started),
                ("initdt".to_owned(), Condition::CompletedSuccessfully),
                ("old".to_owned(), Condition::Started),
            ]
        );
        assert_eq!(Dependency::parse_label("nats", "").unwrap(), []);
    }

    #[test]
    fn a_condition_that_is_not_known_is_an_error_that_names_the_service() {
        let error = Dependency::parse_label("gateway", "nats:service_happy:false").unwrap_err();
        assert!(error.contains("gateway") && error.contains("nats:service_happy:false"));
    }

    #[test]
    fn containers_of_compose_run_are_told_apart() {
        let summary = |one_off: &str| {
            let entry = serde_json::json!({
                "Id": "1f",
                "Names": ["/portsip.nats"],
                "State": "exited",
                "Status": "Exited (0) 2 hours ago",
                "Labels": { ONE_OFF: one_off, SERVICE: "nats", VERSION: "22.4.0" },
            });
            serde_json::from_value(entry).unwrap()
        };
        assert!(Container::from_summary(summary("True")).one_off);
        let container = Container::from_summary(summary("False"));
        assert!(!container.one_off);
        assert_eq!(container.name, "portsip.nats");
        assert_eq!(container.service, "nats");
        assert_eq!(container.version.as_deref(), Some("22.4.0"));
        assert!(container.completed());
    }

    #[test]
    fn of_a_long_check_output_the_end_is_kept() {
        let text = format!("{}\n  refused", "x".repeat(500));
        let short = shortened(&text);
        assert!(short.starts_with("...x") && short.ends_with("x refused"));
        assert_eq!(short.chars().count(), OUTPUT + 3);
        assert_eq!(shortened("it\nis"), "it is");
    }

    #[test]
    fn words_that_no_docker_of_today_says_are_read() {
        let answer = serde_json::json!({
            "State": { "Status": "hibernating", "Health": { "Status": "tired", "Log": null } },
            "HostConfig": { "RestartPolicy": { "Name": "sometimes" } },
            "Config": { "StopTimeout": null },
        });
        let found = Inspection::from_answer(&answer);
        assert_eq!(found.state, RunState::Unknown("hibernating".into()));
        assert_eq!(found.health, Health::Unknown("tired".into()));
        assert!(found.restarts);
        let entry =
            r#"{"Id":"1f","State":"hibernating","Health":{"Status":"tired"},"Labels":null}"#;
        let read = Container::from_summary(serde_json::from_str(entry).unwrap());
        assert_eq!(read.state, RunState::Unknown("hibernating".into()));
    }

    #[test]
    fn an_answer_without_a_state_is_that_of_a_container_that_may_run() {
        let found = Inspection::from_answer(&serde_json::json!({}));
        assert!(found.state.is_live());
    }
}
