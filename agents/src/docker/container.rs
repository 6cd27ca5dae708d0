//! One container of a compose project: what Docker and Compose's labels say of it.

use std::collections::HashMap;
use std::fmt;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, HealthStatusEnum, RestartPolicyNameEnum,
};

use super::order::OrderError;

const SERVICE: &str = "com.docker.compose.service";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
const ONE_OFF: &str = "com.docker.compose.oneoff";

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

/// Docker's state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Ended, and Docker is about to start it again.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed completely.
    Dead,
    /// Ending.
    Stopping,
    /// A state that we do not know.
    Unknown,
}

impl RunState {
    /// Whether processes of it exist or may exist in a moment.
    pub(super) fn is_live(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Restarting | Self::Stopping | Self::Unknown => {
                true
            }
            Self::Created | Self::Exited | Self::Removing | Self::Dead => false,
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "was never started",
            Self::Running => "runs",
            Self::Paused => "is paused",
            Self::Restarting => "is restarted again and again",
            Self::Exited => "has ended",
            Self::Removing => "is being removed",
            Self::Dead => "is dead",
            Self::Stopping => "is stopping",
            Self::Unknown => "is in an unknown state",
        })
    }
}

/// What a container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It has none.
    None,
    /// No check has passed yet.
    Starting,
    /// The last check passed.
    Healthy,
    /// As many checks failed as make it unhealthy.
    Unhealthy,
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
    pub(super) fn from_summary(summary: ContainerSummary) -> Self {
        let labels = summary.labels.unwrap_or_default();
        let id = summary.id.unwrap_or_default();
        let name = summary
            .names
            .and_then(|names| names.into_iter().next())
            .map_or_else(
                || id.clone(),
                |name| name.trim_start_matches('/').to_owned(),
            );
        let label = |key: &str, labels: &HashMap<String, String>| {
            labels.get(key).cloned().unwrap_or_default()
        };
        let service = match label(SERVICE, &labels) {
            empty if empty.is_empty() => name.clone(),
            service => service,
        };
        let status = summary.status.unwrap_or_default();
        Self {
            depends_on: Dependency::parse_label(&service, &label(DEPENDS_ON, &labels)),
            one_off: label(ONE_OFF, &labels).eq_ignore_ascii_case("true"),
            state: summary
                .state
                .map_or(RunState::Unknown, |state| match state {
                    ContainerSummaryStateEnum::CREATED => RunState::Created,
                    ContainerSummaryStateEnum::RUNNING => RunState::Running,
                    ContainerSummaryStateEnum::PAUSED => RunState::Paused,
                    ContainerSummaryStateEnum::RESTARTING => RunState::Restarting,
                    ContainerSummaryStateEnum::EXITED => RunState::Exited,
                    ContainerSummaryStateEnum::REMOVING => RunState::Removing,
                    ContainerSummaryStateEnum::DEAD => RunState::Dead,
                    ContainerSummaryStateEnum::STOPPING => RunState::Stopping,
                    ContainerSummaryStateEnum::EMPTY => RunState::Unknown,
                }),
            health: health_in(&status),
            id,
            name,
            service,
            status,
        }
    }

    /// Whether the list says that it ended with code 0.
    pub(super) fn completed(&self) -> bool {
        self.state == RunState::Exited && self.status.starts_with("Exited (0)")
    }
}

/// Reads the health from the text `Up 5 seconds (healthy)`. A list has a field for it only since version 1.52 of
/// the API (Docker 29).
fn health_in(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else if status.ends_with("(health: starting)") {
        Health::Starting
    } else {
        Health::None
    }
}

/// What only a look at one container shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inspection {
    pub(super) state: RunState,
    pub(super) health: Health,
    pub(super) exit_code: i64,
    pub(super) restart_policy: RestartPolicy,
    /// The end of what the last health check wrote.
    pub(super) check_said: String,
}

impl Inspection {
    pub(super) fn from_answer(answer: ContainerInspectResponse) -> Self {
        let state = answer.state.unwrap_or_default();
        let policy = answer
            .host_config
            .and_then(|host| host.restart_policy)
            .and_then(|policy| policy.name);
        Self {
            state: run_state(&state),
            exit_code: state.exit_code.unwrap_or_default(),
            restart_policy: match policy {
                None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO) => {
                    RestartPolicy::No
                }
                Some(_) => RestartPolicy::Some,
            },
            health: state
                .health
                .as_ref()
                .and_then(|health| health.status)
                .map_or(Health::None, |status| match status {
                    HealthStatusEnum::STARTING => Health::Starting,
                    HealthStatusEnum::HEALTHY => Health::Healthy,
                    HealthStatusEnum::UNHEALTHY => Health::Unhealthy,
                    HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => Health::None,
                }),
            check_said: state
                .health
                .and_then(|health| health.log)
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

fn run_state(state: &ContainerState) -> RunState {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => RunState::Created,
        Some(ContainerStateStatusEnum::RUNNING) => RunState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => RunState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => RunState::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => RunState::Removing,
        Some(ContainerStateStatusEnum::EXITED) => RunState::Exited,
        Some(ContainerStateStatusEnum::DEAD) => RunState::Dead,
        Some(ContainerStateStatusEnum::STOPPING) => RunState::Stopping,
        Some(ContainerStateStatusEnum::EMPTY) | None => RunState::Unknown,
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
    fn health_is_read_from_the_status_text() {
        for (text, health) in [
            ("Up 5 seconds (healthy)", Health::Healthy),
            ("Up 5 minutes (unhealthy)", Health::Unhealthy),
            ("Up Less than a second (health: starting)", Health::Starting),
            ("Up 5 seconds", Health::None),
            ("Up 5 seconds (Paused)", Health::None),
            ("Exited (137) 3 seconds ago", Health::None),
        ] {
            assert_eq!(health_in(text), health, "{text}");
        }
    }

    #[test]
    fn containers_of_compose_run_are_told_apart() {
        let summary = |one_off: &str| ContainerSummary {
            id: Some("1f".into()),
            names: Some(vec!["/portsip.nats".into()]),
            state: Some(ContainerSummaryStateEnum::EXITED),
            status: Some("Exited (0) 2 hours ago".into()),
            labels: Some(HashMap::from([
                (ONE_OFF.to_owned(), one_off.to_owned()),
                (SERVICE.to_owned(), "nats".to_owned()),
            ])),
            ..Default::default()
        };
        assert!(Container::from_summary(summary("True")).one_off);
        let container = Container::from_summary(summary("False"));
        assert!(!container.one_off);
        assert_eq!(container.name, "portsip.nats");
        assert_eq!(container.service, "nats");
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
