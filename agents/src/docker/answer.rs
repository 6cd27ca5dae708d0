//! What Docker's answers hold, as far as it is asked for. Every word that another version of Docker may
//! change, such as a state, is read as text. <https://docs.docker.com/reference/api/engine/>

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET /version`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) api_version: String,
    /// The oldest version of the API that is understood.
    #[serde(default, rename = "MinAPIVersion")]
    pub(super) min_api_version: Option<String>,
}

/// One of `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary {
    pub(super) id: String,
    #[serde(default)]
    pub(super) names: Option<Vec<String>>,
    /// Seconds since 1970.
    #[serde(default)]
    pub(super) created: i64,
    #[serde(default, rename = "ImageID")]
    pub(super) image_id: String,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) status: String,
}

/// `GET /containers/ID/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) state: InspectedState,
    #[serde(default)]
    pub(super) config: InspectedConfig,
    #[serde(default)]
    pub(super) host_config: InspectedHostConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedState {
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) exit_code: i64,
    #[serde(default)]
    pub(super) health: Option<InspectedHealth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedHealth {
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) log: Option<Vec<Check>>,
}

/// A health check that was done.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Check {
    #[serde(default)]
    pub(super) output: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedConfig {
    /// A name or a number; SIGTERM if there is none.
    #[serde(default)]
    pub(super) stop_signal: Option<String>,
    /// Seconds; negative for as long as it takes.
    #[serde(default)]
    pub(super) stop_timeout: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedHostConfig {
    #[serde(default)]
    pub(super) restart_policy: Option<Policy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// One line of `GET /events`.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default, rename = "Action")]
    pub(super) action: String,
    #[serde(default, rename = "Actor")]
    pub(super) actor: Actor,
    #[serde(default, rename = "timeNano")]
    pub(super) time_nano: i64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Actor {
    #[serde(default, rename = "Attributes")]
    pub(super) attributes: BTreeMap<String, String>,
}

/// An error.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) message: String,
}

/// The text of a log. Without a terminal, each piece has eight bytes before it: the stream and a length.
pub(super) fn log_text(mut body: &[u8]) -> String {
    let mut text = Vec::new();
    while let [0..=2, 0, 0, 0, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        body = after;
    }
    text.extend_from_slice(body);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_with_and_without_a_terminal() {
        let framed = b"\x01\0\0\0\0\0\0\x03no \x02\0\0\0\0\0\0\x06space\n";
        assert_eq!(log_text(framed), "no space\n");
        assert_eq!(log_text(b"no space\n"), "no space\n");
        assert_eq!(log_text(b"\x01\0\0\0\0\0\0\x09cut"), "cut");
    }

    #[test]
    fn the_versions_of_the_api_are_read_with_and_without_an_oldest_one() {
        let text = r#"{"Version":"29.0.1","ApiVersion":"1.52","MinAPIVersion":"1.44"}"#;
        let read: Version = serde_json::from_str(text).unwrap();
        assert_eq!(read.min_api_version.as_deref(), Some("1.44"));
        let text = r#"{"Version":"29.0.1","ApiVersion":"1.52"}"#;
        let read: Version = serde_json::from_str(text).unwrap();
        assert_eq!(read.min_api_version, None);
    }

    #[test]
    fn words_that_no_docker_of_today_says_are_read() {
        let text = r#"{"State":{"Status":"hibernating","Health":{"Status":"tired","Log":null}},
            "HostConfig":{"RestartPolicy":{"Name":"sometimes"}},"Config":{"StopTimeout":null}}"#;
        let read: Inspected = serde_json::from_str(text).unwrap();
        assert_eq!(read.state.status, "hibernating");
        let text =
            r#"[{"Id":"1f","State":"hibernating","Health":{"Status":"tired"},"Labels":null}]"#;
        let read: Vec<Summary> = serde_json::from_str(text).unwrap();
        assert_eq!(read[0].state, "hibernating");
    }
}
