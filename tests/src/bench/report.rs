//! The figures as a table in Markdown, each line with what is asked of it and whether it is so.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use super::cost::{Cost, Mebibytes, Millis};
use super::hourly::{Caller, Hourly};
use super::pair::{Kind, Operation};
use super::target::Target;
use crate::ec2::Timing;

/// Seconds between two monitors that the meta-data of upstream's address agents advise.
const UPSTREAM_INTERVAL: u64 = 20;

/// Columns of a paragraph.
const WIDTH: usize = 118;

/// Everything that was measured.
#[derive(Debug, Clone)]
pub struct Report {
    pub(super) at: SystemTime,
    pub(super) runs: usize,
    pub(super) monitors: usize,
    pub(super) floor: Vec<Floor>,
    pub(super) lines: Vec<Line>,
    pub(super) waited: Vec<Waited>,
    pub(super) hourly: Option<Hourly>,
}

/// What something costs that does next to nothing.
#[derive(Debug, Clone)]
pub(super) struct Floor {
    pub(super) what: &'static str,
    pub(super) cost: Cost,
}

/// One operation of a pair, medians.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) agent: &'static str,
    pub(super) upstream_agent: Option<&'static str>,
    pub(super) operation: Operation,
    pub(super) kind: Kind,
    pub(super) portsip: Cost,
    pub(super) upstream: Option<Cost>,
}

/// Our wall time where EC2's transitions take as long as on EC2.
#[derive(Debug, Clone)]
pub(super) struct Waited {
    pub(super) agent: &'static str,
    pub(super) start: Duration,
    pub(super) stop: Duration,
}

impl Line {
    fn targets(&self) -> Vec<(Target, bool)> {
        Target::of(self.operation, self.kind)
            .into_iter()
            .map(|target| (target, target.is_met(&self.portsip, self.upstream.as_ref())))
            .collect()
    }

    fn name(&self) -> String {
        format!("`{}` {}", self.agent, self.operation.name())
    }

    fn row(&self) -> String {
        let portsip = &self.portsip;
        let upstream = self.upstream.as_ref();
        let time = |of: fn(&Cost) -> Duration| {
            against(Millis(of(portsip)), upstream.map(|u| Millis(of(u))))
                + &ratio(of(portsip), upstream.map(of))
        };
        let targets: Vec<String> = self
            .targets()
            .into_iter()
            .map(|(target, met)| format!("{target} {}", if met { "met" } else { "**missed**" }))
            .collect();
        [
            self.name(),
            time(|cost| cost.cpu),
            time(|cost| cost.wall),
            against(
                Mebibytes(portsip.peak_kib),
                upstream.map(|u| Mebibytes(u.peak_kib)),
            ),
            against(portsip.ec2, upstream.map(|u| u.ec2)),
            against(portsip.metadata, upstream.map(|u| u.metadata)),
            targets.join(", "),
        ]
        .join(" | ")
    }
}

/// `PortSIP HA's / upstream's`.
fn against<T: fmt::Display>(portsip: T, upstream: Option<T>) -> String {
    match upstream {
        Some(upstream) => format!("{portsip} / {upstream}"),
        None => portsip.to_string(),
    }
}

/// How many times as much upstream's takes.
fn ratio(portsip: Duration, upstream: Option<Duration>) -> String {
    let Some(upstream) = upstream else {
        return String::new();
    };
    let times = upstream.as_secs_f64() / portsip.as_secs_f64().max(1e-6);
    let digits = if times < 10.0 { 1 } else { 0 };
    format!(" ({times:.digits$})")
}

impl Report {
    /// What our agents do not keep to, a sentence each.
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for line in &self.lines {
            for (target, met) in line.targets() {
                if !met {
                    missed.push(format!("{}: {target}", line.name()));
                }
            }
        }
        missed
    }

    /// The table and what belongs to it.
    pub fn markdown(&self) -> String {
        let mut parts = vec![wrapped(&self.heading()), self.table()];
        parts.push(wrapped(&self.counterparts()));
        parts.extend(self.hourly.as_ref().map(|h| wrapped(&self.per_hour(h))));
        parts.join("\n")
    }

    fn heading(&self) -> String {
        format!(
            "Measured on {}: medians of {} starts and stops and of {} monitors of each, PortSIP HA's and \
             upstream's in turn, as `PortSIP HA's / upstream's (how many times as much)`. CPU is user and system time \
             of the whole process tree, memory that of its largest process.",
            time::OffsetDateTime::from(self.at).date(),
            self.runs,
            self.monitors
        )
    }

    fn table(&self) -> String {
        let mut text =
            "| | CPU, ms | wall, ms | memory, MiB | EC2 calls | metadata requests | target |\n\
                        |---|---|---|---|---|---|---|\n"
                .to_owned();
        for Floor { what, cost } in &self.floor {
            let _ = writeln!(
                text,
                "| {what} | {} | {} | {} | {} | {} | |",
                Millis(cost.cpu),
                Millis(cost.wall),
                Mebibytes(cost.peak_kib),
                cost.ec2,
                cost.metadata
            );
        }
        for line in &self.lines {
            let _ = writeln!(text, "| {} |", line.row());
        }
        text
    }

    fn counterparts(&self) -> String {
        let mut pairs: Vec<(&str, &str)> = self
            .lines
            .iter()
            .filter_map(|line| Some((line.agent, line.upstream_agent?)))
            .collect();
        pairs.dedup();
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(portsip, upstream)| format!("`{portsip}` of `ocf:heartbeat:{upstream}`"))
            .collect();
        format!(
            "Counterparts: {}, of Debian 12's resource-agents 4.12 with AWS CLI 2.9; `awsebs` has none. \
             Upstream's have no level 10 and do there what they always do. 3000 ms of a start or stop of \
             an address by upstream's are its sleep after the call (`api_delay`), whatever EC2 does. Ours wait until the \
             metadata shows the change, which takes {} ms here{}.",
            pairs.join(", "),
            Timing::fast().address.as_millis(),
            self.waited()
        )
    }

    fn waited(&self) -> String {
        if self.waited.is_empty() {
            return String::new();
        }
        let agents: Vec<String> = self
            .waited
            .iter()
            .map(|Waited { agent, start, stop }| {
                format!(
                    "{} ms to start and {} ms to stop `{agent}`",
                    Millis(*start),
                    Millis(*stop)
                )
            })
            .collect();
        format!(
            "; where it takes {} ms, they take {}",
            Timing::ec2_like().address.as_millis(),
            agents.join(", ")
        )
    }

    fn per_hour(&self, hourly: &Hourly) -> String {
        let mut text = format!(
            "EC2 calls of a healthy cluster in an hour, counted for {} s with the configuration of `cib-gen`: \
             {} by the agents, {} by `fence_aws`",
            hourly.counted.as_secs(),
            hourly.in_an_hour(hourly.of(&Caller::Agents)),
            hourly.in_an_hour(hourly.of(&Caller::FenceAws)),
        );
        let others: u64 = hourly
            .calls
            .iter()
            .filter(|((who, _), _)| matches!(who, Caller::Other(_)))
            .map(|(_, count)| count)
            .sum();
        if others > 0 {
            let _ = write!(text, ", {} by others", hourly.in_an_hour(others));
        }
        let _ = write!(
            text,
            "; and {} requests to the instance metadata. ",
            hourly.in_an_hour(hourly.metadata)
        );
        let upstream: u64 = self
            .lines
            .iter()
            .filter(|line| line.kind == Kind::AwsCli && line.operation == Operation::Monitor)
            .filter_map(|line| line.upstream.as_ref())
            .map(|cost| cost.ec2 * 3600 / UPSTREAM_INTERVAL)
            .sum();
        let _ = write!(
            text,
            "Upstream's two address agents make {upstream} at the interval of {UPSTREAM_INTERVAL} s that their meta-data \
             advise."
        );
        text
    }
}

/// A paragraph in lines as long as those of docs/reference.md.
fn wrapped(paragraph: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let space = usize::from(column > 0);
        let width = word.chars().count();
        if column + space + width > WIDTH {
            text.push('\n');
            column = 0;
        } else if space == 1 {
            text.push(' ');
        }
        text.push_str(word);
        column += width + usize::from(column > 0);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu: u64, ec2: u64) -> Cost {
        Cost {
            wall: Duration::from_millis(2 * cpu),
            cpu: Duration::from_millis(cpu),
            peak_kib: 4096,
            ec2,
            metadata: 3,
        }
    }

    fn report(portsip: Cost) -> Report {
        Report {
            at: SystemTime::UNIX_EPOCH,
            runs: 5,
            monitors: 15,
            floor: vec![Floor {
                what: "`/bin/true`",
                cost: cost(1, 0),
            }],
            lines: vec![Line {
                agent: "awsvip",
                upstream_agent: Some("awsvip"),
                operation: Operation::Monitor,
                kind: Kind::AwsCli,
                portsip,
                upstream: Some(cost(500, 1)),
            }],
            waited: Vec::new(),
            hourly: None,
        }
    }

    #[test]
    fn a_line_shows_both_sides_the_ratio_and_the_verdict() {
        let text = report(cost(4, 0)).markdown();
        assert!(
            text.contains(
                "| `awsvip` monitor | 4.0 / 500 (125) | 8.0 / 1000 (125) | 4.0 / 4.0 | 0 / 1 | 3 / 3 | \
                 no EC2 call met, CPU 1/100 met, 12 MiB met |"
            ),
            "{text}"
        );
        assert!(report(cost(4, 0)).missed().is_empty());
    }

    #[test]
    fn what_is_missed_is_said_in_the_table_and_to_the_caller() {
        let report = report(cost(6, 1));
        assert!(
            report
                .markdown()
                .contains("no EC2 call **missed**, CPU 1/100 **missed**, 12 MiB met")
        );
        assert_eq!(
            report.missed(),
            [
                "`awsvip` monitor: no EC2 call",
                "`awsvip` monitor: CPU 1/100"
            ]
        );
    }

    #[test]
    fn paragraphs_are_wrapped_between_words() {
        let paragraph = "word ".repeat(60);
        let text = wrapped(&paragraph);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 2 && text.ends_with("word\n"), "{text}");
        assert!(lines.iter().all(|l| l.len() <= WIDTH && l.trim() == *l));
        assert_eq!(text.split_whitespace().count(), 60);
    }

    #[test]
    fn every_line_of_the_table_has_its_seven_cells() {
        let text = report(cost(4, 0)).markdown();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 4);
        for row in rows {
            assert_eq!(row.matches('|').count(), 8, "{row}");
        }
    }
}
