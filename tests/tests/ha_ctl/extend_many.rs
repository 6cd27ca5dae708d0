//! `ha-ctl extend run` for many servers at once, beside one: how long it takes, and how much of it is work for the
//! processors, which all machines of the lab share.

use std::time::{Duration, Instant};

use lab::demo::cluster::MINUTES;
use lab::demo::operator::put_key;
use lab::lab::{Options, turn};
use lab::pbx;
use lab::site::EXTENDED;

use crate::Cluster;
use crate::operator::Operator;

/// For how long the processors are watched before, to know what the lab needs anyhow.
const BEFORE: Duration = Duration::from_secs(20);
/// What one may be more than what is computed from the others.
const MORE: f64 = 1.25;
/// Four at once, beside one.
const FOUR: f64 = 1.5;

#[test]
fn twenty_servers_at_once() {
    let _turn = turn().unwrap();
    let cluster = Cluster::of(&Options {
        extended: EXTENDED.len(),
        ..Options::default()
    });
    let operator = cluster.operator(0);
    put_key(&cluster.lab, operator.node).unwrap();

    let anyhow = Used::within(|| std::thread::sleep(BEFORE)).rate();
    // The first one finds nothing in this machine's memory yet, and is not counted.
    made(&operator, 0..1);
    let one = made(&operator, 1..2);
    let four = made(&operator, 2..6);
    extend(&operator, "rm --yes");
    for machine in &EXTENDED[..6] {
        let forget = format!("docker image rm {}", pbx::PBX_IMAGE);
        let output = cluster.lab.ssh(machine, &forget, MINUTES).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let twenty = made(&operator, 0..EXTENDED.len());

    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let work = (one.processor - anyhow * one.wall).max(0.0);
    let waits = (one.wall - work).max(0.0);
    let bound = MORE * (work * EXTENDED.len() as f64 / cores + waits);
    println!(
        "extended servers at once, on {cores} processors that all machines share (the lab alone uses {anyhow:.2} of them)\n\
         \x20  1: {:6.1} s, of which {work:.1} s are work for a processor\n\
         \x20  4: {:6.1} s, {:.2} times one (at most {FOUR})\n\
         \x20 20: {:6.1} s (at most {bound:.1}: {MORE} times the work of one x 20 / {cores} and the waiting of one)",
        one.wall,
        four.wall,
        four.wall / one.wall,
        twenty.wall,
    );
    let listed = operator.json("extend list --json");
    let servers = listed["servers"].as_array().unwrap();
    assert_eq!(servers.len(), EXTENDED.len());
    for server in servers {
        assert_eq!(server["state"], "answers", "{server}");
    }
}

/// Seconds that have passed, and those that the processors have worked.
struct Used {
    wall: f64,
    processor: f64,
}

impl Used {
    fn within(work: impl FnOnce()) -> Used {
        let (begun, before) = (Instant::now(), busy());
        work();
        Used {
            wall: begun.elapsed().as_secs_f64(),
            processor: busy() - before,
        }
    }

    /// How many processors.
    fn rate(&self) -> f64 {
        self.processor / self.wall
    }
}

/// For how many seconds the processors have worked since boot (proc_stat(5)): all but `idle` and `iowait`.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let all = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<f64> = all.map(|it| it.parse().unwrap()).collect();
    let busy: f64 = [0, 1, 2, 5, 6, 7].iter().map(|&at| ticks[at]).sum();
    // USER_HZ is 100 on every Linux of these processors.
    busy / 100.0
}

fn made(operator: &Operator, which: std::ops::Range<usize>) -> Used {
    let servers = EXTENDED[which].iter().map(|it| {
        format!(
            "-s media-server-only -n media-{} -a {} ",
            it.short, it.private_ip
        )
    });
    let servers: String = servers.collect();
    Used::within(|| {
        extend(
            operator,
            &format!("run --accept-new-host-keys {servers} --yes"),
        )
    })
}

fn extend(operator: &Operator, arguments: &str) {
    let ran = operator.ha_ctl(&format!("extend {arguments}"));
    eprintln!("{ran}");
    ran.succeeded();
}
