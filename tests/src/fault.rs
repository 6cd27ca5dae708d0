//! `lab fault`: the command line of faults. What they do is in the library.

use std::time::Duration;

use clap::{Args, Subcommand};
use lab::ec2::{CallFault, Fault, Injection, Life, MetadataFault, SnapshotFault, VolumeFault};
use lab::lab::Lab;
use lab::site::Instance;
use lab::world::Error;

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Calls of EC2's API go wrong
    Ec2 {
        #[arg(value_enum)]
        fault: CallFault,
        /// Only these calls, such as AttachVolume,DetachVolume
        #[arg(long, value_delimiter = ',', value_name = "CALL")]
        calls: Vec<String>,
        #[command(flatten)]
        scope: Scope,
        /// How far behind stale answers are
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        by: Option<Duration>,
    },
    /// Volumes go wrong on their way to a node or from it
    Volume {
        #[arg(value_enum)]
        fault: VolumeFault,
        #[command(flatten)]
        scope: Scope,
    },
    /// Snapshots of volumes go wrong
    Snapshot {
        #[arg(value_enum)]
        fault: SnapshotFault,
        #[command(flatten)]
        extent: Extent,
    },
    /// The instance metadata service goes wrong
    Metadata {
        #[arg(value_enum)]
        fault: MetadataFault,
        #[command(flatten)]
        scope: Scope,
        /// How late slow answers are
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        by: Option<Duration>,
    },
    /// The faults in force, with their numbers
    List,
    /// End one, or all
    Clear {
        /// As `lab fault list` shows it
        number: Option<u64>,
    },
}

#[derive(Args)]
pub(crate) struct Scope {
    /// Only at this node; may be given again
    #[arg(long, value_name = "NODE", value_parser = super::instance)]
    node: Vec<&'static Instance>,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Args)]
pub(crate) struct Extent {
    /// End by itself after a while: 500ms, 90s, 10m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "times")]
    lasting: Option<Duration>,
    /// End by itself after so many calls, volumes, snapshots or requests
    #[arg(long)]
    times: Option<u32>,
}

impl Extent {
    fn life(&self) -> Life {
        match (self.lasting, self.times) {
            (Some(duration), _) => Life::For(duration),
            (None, Some(times)) => Life::Times(times),
            (None, None) => Life::UntilCleared,
        }
    }
}

impl Scope {
    fn injection(&self, fault: impl Into<Fault>, by: Option<Duration>) -> Injection {
        Injection {
            instances: self.node.iter().map(|node| node.id.to_owned()).collect(),
            life: self.extent.life(),
            by: by.unwrap_or(Injection::DEFAULT_DELAY),
            ..Injection::of(fault)
        }
    }
}

/// Runs the command and prints its result.
pub(crate) fn run(lab: &Lab, verb: Verb) -> Result<(), Error> {
    let injection = match verb {
        Verb::Ec2 {
            fault,
            calls,
            scope,
            by,
        } => Injection {
            calls: calls.into_iter().collect(),
            ..scope.injection(fault, by)
        },
        Verb::Volume { fault, scope } => scope.injection(fault, None),
        Verb::Snapshot { fault, extent } => Injection {
            life: extent.life(),
            ..Injection::of(fault)
        },
        Verb::Metadata { fault, scope, by } => scope.injection(fault, by),
        Verb::List => {
            for fault in lab.faults()? {
                println!(
                    "{}  {} (applied {} times)",
                    fault.number, fault.injection, fault.struck
                );
            }
            return Ok(());
        }
        Verb::Clear { number } => return lab.clear_faults(number),
    };
    println!("{}", lab.inject(&injection)?);
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    units
        .iter()
        .find_map(|(unit, seconds)| {
            let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
            Duration::try_from_secs_f64(number * seconds).ok()
        })
        .ok_or_else(|| format!("`{text}` is not a duration; help: write 500ms, 90s, 10m or 1h"))
}
