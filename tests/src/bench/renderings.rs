//! What `cib-gen` takes to write each rendering: CPU and memory of the whole process, for both
//! systems, with three nodes and with nine.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cost::{Cost, Measured, Mebibytes, Millis};
use crate::progress::Progress;
use crate::world::Error;

/// What is measured, and how much.
#[derive(Debug, Clone, clap::Args)]
pub struct Extent {
    /// How often each rendering is measured
    #[arg(long, value_name = "N", default_value = "21")]
    pub runs: NonZeroUsize,
    /// Write the table into this file too, between `<!-- renderings -->` and `<!-- /renderings -->`
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
}

/// What every rendering is asked to stay below.
const CPU: Duration = Duration::from_millis(10);
const PEAK_KIB: u64 = 10 * 1024;
/// How much more CPU nine nodes may take than three.
const MAX_CPU_RATIO: f64 = 2.0;

const AWS: &[&str] = &[
    "pcs",
    "cib",
    "corosync",
    "iam-policy",
    "iam-policy-operator",
    "security-group",
    "graph",
    "json",
];
const LAN: &[&str] = &["pcs", "cib", "corosync", "drbd", "graph", "json"];

/// One rendering of one system.
struct Row {
    system: &'static str,
    format: &'static str,
    bytes: [u64; 2],
    three: Cost,
    nine: Cost,
}

/// What was measured.
pub struct Report {
    runs: usize,
    floor: Cost,
    rows: Vec<Row>,
}

/// Measures the `cib-gen` that lies beside this program.
///
/// # Errors
/// It is not there, or it fails.
pub fn run(extent: &Extent, progress: &dyn Progress) -> Result<Report, Error> {
    let here = std::env::current_exe()?;
    let bin = here.parent().ok_or("this program lies nowhere")?;
    let dir = tempfile::tempdir()?;
    let file = |system: &str, nodes: usize| dir.path().join(format!("{system}-{nodes}.yml"));
    for nodes in [3, 9] {
        std::fs::write(file("aws", nodes), aws(nodes))?;
        std::fs::write(file("lan", nodes), lan(nodes))?;
    }
    let mut jobs = Vec::new();
    for (system, formats) in [("aws", AWS), ("lan", LAN)] {
        for format in formats {
            jobs.push((system, *format, [Vec::new(), Vec::new()]));
        }
    }
    let mut floor = Vec::new();
    let runs = extent.runs.get();
    for run in 0..runs {
        progress.step(&format!("renderings, run {} of {runs}", run + 1));
        floor.push(measure(bin, Path::new("/bin/true"), &[])?);
        for (system, format, costs) in &mut jobs {
            for (nodes, costs) in [3, 9].into_iter().zip(costs) {
                let vars = file(system, nodes);
                let words = ["--offline", "--format", format];
                let words: Vec<&Path> = words
                    .iter()
                    .map(Path::new)
                    .chain([vars.as_path()])
                    .collect();
                costs.push(measure(bin, &bin.join("cib-gen"), &words)?);
            }
        }
    }
    let mut rows = Vec::new();
    for (system, format, [three, nine]) in jobs {
        let mut bytes = [0; 2];
        for (bytes, nodes) in bytes.iter_mut().zip([3, 9]) {
            let output = Command::new(bin.join("cib-gen"))
                .args(["--offline", "--format", format])
                .arg(file(system, nodes))
                .output()?;
            *bytes = output.stdout.len() as u64;
        }
        rows.push(Row {
            system,
            format,
            bytes,
            three: Cost::median(&three),
            nine: Cost::median(&nine),
        });
    }
    Ok(Report {
        runs,
        floor: Cost::median(&floor),
        rows,
    })
}

fn measure(bin: &Path, program: &Path, words: &[&Path]) -> Result<Cost, Error> {
    let output = Command::new(bin.join("measure"))
        .arg(program)
        .args(words)
        .output()
        .map_err(|e| format!("cannot run {}/measure: {e}", bin.display()))?;
    let measured: Measured = serde_json::from_slice(&output.stdout)?;
    if measured.status != 0 {
        return Err(format!(
            "{} {words:?} ended with {}:\n{}",
            program.display(),
            measured.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(Cost::of(measured, 0, 0))
}

/// A vars.yml of the AWS system that says everything.
fn aws(nodes: usize) -> String {
    let each: String = (1..=nodes)
        .map(|n| {
            format!(
                "pbx0{n}_instance_id: i-0880{n}c762627239b8\n\
                 pbx0{n}_hostname: ip-172-31-16-13{n}\n\
                 pbx0{n}_private_ip: 172.31.16.13{n}\n"
            )
        })
        .collect();
    format!(
        "{each}private_vip_address: 172.31.16.130\n\
         eip_address: 54.151.30.9\n\
         eip_allocation_id: eipalloc-02c7cf64a5cd449cf\n\
         ebs_volume_id: vol-0e06e1e9da3c49b67\n\
         pbx_image: portsip/pbx:22\n\
         ssh_private_key_file: /home/ubuntu/.ssh/aws-portsip-pbx-ha.pem\n\
         subnet_cidr: 172.31.16.0/20\n\
         region: us-west-1\n"
    )
}

/// The same of the LAN system.
fn lan(nodes: usize) -> String {
    let each: String = (1..=nodes)
        .map(|n| {
            format!(
                "pbx0{n}_hostname: pbx0{n}\n\
                 pbx0{n}_private_ip: 192.168.1.13{n}\n\
                 pbx0{n}_fencing_options: ip=192.168.1.23{n}\n"
            )
        })
        .collect();
    format!(
        "{each}vip: 192.168.1.130\n\
         pbx_image: portsip/pbx:22\n\
         pbx_datapath_disk: /dev/sdb\n\
         pbx_datapath_size: 36G\n\
         fencing: fence_ipmilan\n\
         fencing_options: lanplus=1 username=fencing password_script=/etc/portsip-ha/bmc-password\n"
    )
}

impl Row {
    /// What of what is asked of it a rendering misses.
    fn missed(&self, floor: Cost) -> Vec<String> {
        let mut missed = Vec::new();
        for (nodes, cost) in [(3, &self.three), (9, &self.nine)] {
            if cost.cpu >= CPU {
                missed.push(format!("{nodes} nodes: CPU {} ms", Millis(cost.cpu)));
            }
            if cost.peak_kib >= PEAK_KIB {
                missed.push(format!("{nodes} nodes: {} MiB", Mebibytes(cost.peak_kib)));
            }
        }
        // What starting any process takes is not the rendering's.
        let own = |cost: &Cost| cost.cpu.saturating_sub(floor.cpu).as_secs_f64();
        if own(&self.nine) > MAX_CPU_RATIO * own(&self.three) {
            missed.push("nine nodes take more than twice as much as three".to_owned());
        }
        missed
    }
}

impl Report {
    /// Whether every rendering does what is asked of it.
    pub fn met(&self) -> bool {
        self.rows
            .iter()
            .all(|row| row.missed(self.floor).is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Medians of {} runs in turn, 3 nodes / 9 nodes: CPU of the whole process (`/bin/true` takes {} ms), peak\n\
             memory, length. Asked: less than 10 ms, less than 10 MiB, nine nodes at most twice three.\n",
            self.runs,
            Millis(self.floor.cpu)
        )?;
        writeln!(
            f,
            "| system | `--format` | CPU, ms | memory, MiB | bytes | |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let missed = row.missed(self.floor);
            writeln!(
                f,
                "| {} | `{}` | {} / {} | {} / {} | {} / {} | {} |",
                row.system.to_uppercase(),
                row.format,
                Millis(row.three.cpu),
                Millis(row.nine.cpu),
                Mebibytes(row.three.peak_kib),
                Mebibytes(row.nine.peak_kib),
                row.bytes[0],
                row.bytes[1],
                if missed.is_empty() {
                    "met".to_owned()
                } else {
                    missed.join("; ")
                }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendering_that_takes_too_much_is_told() {
        let cost = |cpu, peak_kib| Cost {
            cpu: Duration::from_millis(cpu),
            peak_kib,
            ..Cost::default()
        };
        let row = |three, nine| Row {
            system: "aws",
            format: "pcs",
            bytes: [1, 1],
            three,
            nine,
        };
        let floor = cost(1, 1000);
        assert_eq!(
            row(cost(2, 5000), cost(3, 5000)).missed(floor),
            Vec::<String>::new()
        );
        assert_eq!(row(cost(2, 5000), cost(4, 5000)).missed(floor).len(), 1);
        assert_eq!(row(cost(12, 5000), cost(12, 20_000)).missed(floor).len(), 3);
    }
}
