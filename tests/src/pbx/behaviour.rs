//! How the stand-in misbehaves: settings in a file on the PBX's volume, which its programs read.
//! The programs' side is `tests/pbx/image/pbx/behaviour`, the table of settings in `tests/pbx/README.md`.

use std::fmt;
use std::time::Duration;

use super::DATA_DIR;

/// How the stand-in behaves. The default is what it does without the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// How long after their containers' start SIP and the web portal begin to listen.
    pub answers_after: Duration,
    /// How much longer that takes at the first start on new data.
    pub first_start_takes: Duration,
    /// How long a program goes on after it was told to stop. The database takes no notice.
    pub stop_takes: Duration,
    /// Port of SIP over UDP; `None` for no such transport. Likewise the next two.
    pub sip_udp: Option<u16>,
    /// Port of SIP over TCP.
    pub sip_tcp: Option<u16>,
    /// Port of SIP over TLS.
    pub sip_tls: Option<u16>,
    /// Port of the web portal, https.
    pub web: Option<u16>,
    /// Services that end by themselves.
    pub crashes: Vec<Crash>,
}

/// A service that ends by itself, with exit code 134.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// The name in the compose file. Any but `database`.
    pub service: &'static str,
    /// How long after each start of its container.
    pub after: Duration,
    /// How many times; then it runs.
    pub times: Times,
}

/// How often a service crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// At this many starts, wherever the volume is mounted by then.
    Count(u32),
    /// At every start.
    Always,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            answers_after: Duration::ZERO,
            first_start_takes: Duration::ZERO,
            stop_takes: Duration::ZERO,
            sip_udp: Some(5060),
            sip_tcp: Some(5063),
            sip_tls: Some(5061),
            web: Some(8887),
            crashes: Vec::new(),
        }
    }
}

impl Behaviour {
    /// The shell script that makes the stand-in behave so. Root runs it where the initialised volume
    /// is mounted; elsewhere it fails. Containers follow from their next start on, and `stop_takes`
    /// counts at once. Crashes are counted from zero again.
    pub fn script(&self) -> String {
        let lines: String = self.lines().map(|line| format!(" '{line}'")).collect();
        format!(
            "cd {DATA_DIR}/pbx/stand-in && rm -f crashes.* && \
             printf '%s\\n'{lines} >behaviour.new && chmod 644 behaviour.new && mv behaviour.new behaviour"
        )
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let times = [
            ("answers_after", self.answers_after),
            ("first_start_takes", self.first_start_takes),
            ("stop_takes", self.stop_takes),
        ];
        let ports = [
            ("sip_udp", self.sip_udp),
            ("sip_tcp", self.sip_tcp),
            ("sip_tls", self.sip_tls),
            ("web", self.web),
        ];
        let times = times.map(|(name, time)| format!("{name} {}", time.as_secs_f64()));
        let ports = ports.map(|(name, port)| {
            let port = port.map_or_else(|| "none".to_owned(), |port| port.to_string());
            format!("{name} {port}")
        });
        let crashes = self.crashes.iter().map(Crash::to_string);
        times.into_iter().chain(ports).chain(crashes)
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after.as_secs_f64();
        write!(f, "crash {} {after} ", self.service)?;
        match self.times {
            Times::Count(times) => write!(f, "{times}"),
            Times::Always => f.write_str("always"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_image_has_the_same_defaults() {
        let in_image: Vec<_> = include_str!("../../pbx/image/pbx/behaviour.defaults")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let here: Vec<_> = Behaviour::default().lines().collect();
        assert_eq!(in_image, here);
    }

    #[test]
    fn every_setting_is_in_the_readme() {
        let readme = include_str!("../../pbx/README.md");
        let behaviour = Behaviour {
            crashes: vec![Crash {
                service: "nats",
                after: Duration::ZERO,
                times: Times::Always,
            }],
            ..Behaviour::default()
        };
        for line in behaviour.lines() {
            let (name, _) = line.split_once(' ').unwrap();
            assert!(readme.contains(&format!("| `{name} ")), "{name}");
        }
    }

    #[test]
    fn a_setting_is_one_line_and_times_may_have_fractions() {
        let behaviour = Behaviour {
            answers_after: Duration::from_millis(1500),
            sip_udp: None,
            web: Some(8890),
            crashes: vec![Crash {
                service: "callpark",
                after: Duration::from_secs(5),
                times: Times::Count(2),
            }],
            ..Behaviour::default()
        };
        let lines: Vec<_> = behaviour.lines().collect();
        for line in [
            "answers_after 1.5",
            "sip_udp none",
            "web 8890",
            "crash callpark 5 2",
        ] {
            assert!(lines.iter().any(|l| l == line), "{line}: {lines:?}");
        }
    }
}
