//! One container of a compose project: what Docker and Compose's labels say of it.

use std::collections::BTreeMap;

use super::answer;
use super::condition::{Health, RunState};
use super::order::OrderError;
use super::signal;

const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// The image's own label, which a container inherits.
const VERSION: &str = "version";

/// How much of what a health check or a container wrote goes into an error.
const OUTPUT: usize = 200;

/// A container of the project, as one list request shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// Docker's id.
    pub(super) id: String,
    /// Its name, without the slash that Docker puts before it.
    pub(super) name: String,
    /// The service of the compose file.
    pub(super) service: String,
    /// When it was made, in seconds since 1970.
    pub(super) created: i64,
    /// The id of its image, which does not move as a tag does.
    pub(super) image: String,
    /// The label `version` of its image.
    pub(super) version: Option<String>,
    /// Whether it runs.
    pub(super) state: RunState,
    /// What its health check says.
    pub(super) health: Health,
    /// Docker's words for both, such as `Exited (137) 3 seconds ago`.
    pub(super) status: String,
    /// What must be there before it starts, or why that can't be read.
    pub(super) depends_on: Result<Vec<Dependency>, OrderError>,
    /// Made by `docker compose run`: no part of what the project is, but of what runs.
    pub(super) one_off: bool,
}

/// When Docker itself starts a container again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    /// Never.
    No,
    /// When it ends or the daemon starts, one way or another.
    Some,
}

/// What a container needs of another service before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The service.
    pub(super) service: String,
    /// What that must have reached.
    pub(super) condition: Condition,
}

/// The conditions of `depends_on` in a compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It was started.
    Started,
    /// Its health check passed.
    Healthy,
    /// It ended with code 0.
    CompletedSuccessfully,
}

impl Dependency {
    /// Reads Compose's label: `database:service_healthy:false,nats:service_started:true`.
    pub(super) fn parse_label(of: &str, label: &str) -> Result<Vec<Self>, OrderError> {
        label
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                let mut fields = part.split(':');
                let service = fields.next().unwrap_or_default();
                let condition = match fields.next() {
                    None | Some("" | "service_started") => Some(Condition::Started),
                    Some("service_healthy") => Some(Condition::Healthy),
                    Some("service_completed_successfully") => {
                        Some(Condition::CompletedSuccessfully)
                    }
                    Some(_) => None,
                };
                match condition {
                    Some(condition) if !service.is_empty() => Ok(Self {
                        service: service.to_owned(),
                        condition,
                    }),
                    _ => Err(OrderError::Label {
                        service: of.to_owned(),
                        part: part.to_owned(),
                    }),
                }
            })
            .collect()
    }
}

impl Container {
    /// What a list shows.
    pub(super) fn from_summary(summary: answer::Summary) -> Self {
        let labels = summary.labels.unwrap_or_default();
        let id = summary.id;
        let name = summary
            .names
            .and_then(|names| names.into_iter().next())
            .map_or_else(
                || id.clone(),
                |name| name.trim_start_matches('/').to_owned(),
            );
        let label = |key: &str, labels: &BTreeMap<String, String>| {
            labels.get(key).cloned().unwrap_or_default()
        };
        let service = match label(SERVICE, &labels) {
            empty if empty.is_empty() => name.clone(),
            service => service,
        };
        Self {
            depends_on: Dependency::parse_label(&service, &label(DEPENDS_ON, &labels)),
            one_off: label(ONE_OFF, &labels).eq_ignore_ascii_case("true"),
            version: labels.get(VERSION).cloned(),
            created: summary.created,
            image: summary.image_id,
            state: RunState::of(&summary.state),
            health: Health::in_text(&summary.status),
            status: summary.status,
            id,
            name,
            service,
        }
    }

    /// Whether the list says that it ended with code 0.
    pub(super) fn completed(&self) -> bool {
        self.state == RunState::Exited && self.status.starts_with("Exited (0)")
    }

    /// Whether its label says that it needs this service.
    pub(super) fn needs(&self, service: &str) -> bool {
        let mut needs = self.depends_on.iter().flatten();
        needs.any(|dependency| dependency.service == service)
    }
}

/// What only a look at one container shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inspection {
    pub(super) state: RunState,
    pub(super) health: Health,
    pub(super) exit_code: i64,
    pub(super) restart_policy: RestartPolicy,
    /// The number of the signal that tells it to stop.
    pub(super) stop_signal: i32,
    /// How many seconds it is to have then, if it says so; negative for as long as it takes.
    pub(super) stop_timeout: Option<i64>,
    /// The end of what the last health check wrote.
    pub(super) check_said: String,
}

impl Inspection {
    pub(super) fn from_answer(answer: answer::Inspected) -> Self {
        let state = answer.state;
        let policy = answer.host_config.restart_policy.and_then(|it| it.name);
        let health = state.health.unwrap_or_default();
        Self {
            state: RunState::of(&state.status),
            exit_code: state.exit_code,
            restart_policy: match policy.as_deref() {
                None | Some("" | "no") => RestartPolicy::No,
                Some(_) => RestartPolicy::Some,
            },
            stop_signal: signal::number_or_term(answer.config.stop_signal.as_deref()),
            stop_timeout: answer.config.stop_timeout,
            health: Health::of(&health.status),
            check_said: health
                .log
                .and_then(|log| log.into_iter().next_back())
                .and_then(|check| check.output)
                .map(|output| shortened(&output))
                .unwrap_or_default(),
        }
    }

    /// `, its last check said: ...`, or nothing if no check said anything.
    pub(super) fn last_check(&self) -> String {
        if self.check_said.is_empty() {
            String::new()
        } else {
            format!(", its last check said: {}", self.check_said)
        }
    }
}

/// The end of a text, on one line: the last thing said is what matters.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skip = line.chars().count().saturating_sub(OUTPUT);
    if skip == 0 {
        line
    } else {
        let end: String = line.chars().skip(skip).collect();
        format!("...{end}")
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
        let said = error.to_string();
        assert!(said.contains("gateway") && said.contains("nats:service_happy:false"));
    }

    #[test]
    fn containers_of_compose_run_are_told_apart() {
        let summary = |one_off: &str| answer::Summary {
            id: "1f".into(),
            names: Some(vec!["/portsip.nats".into()]),
            state: "exited".into(),
            status: "Exited (0) 2 hours ago".into(),
            labels: Some(BTreeMap::from([
                (ONE_OFF.to_owned(), one_off.to_owned()),
                (SERVICE.to_owned(), "nats".to_owned()),
                (VERSION.to_owned(), "22.4.0".to_owned()),
            ])),
            ..Default::default()
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
}
