//! `lab demo`: the main job of one of the two systems, from nothing to a verdict.

use std::path::Path;
use std::process::ExitCode;

use lab::demo::{Fault, aws, fail_over, lan, operator};
use lab::lab::{Lab, Options};
use lab::progress::{Progress, Stderr};
use lab::site::Site;
use lab::world::Error;

/// Runs it, prints what happened, and removes the lab unless it is to be kept.
pub(crate) fn run(deb: &Path, site: Site, keep: bool) -> Result<ExitCode, Error> {
    let progress = Stderr::new();
    let options = Options {
        site,
        ..Options::default()
    };
    let lab = Lab::up(&options, &progress)?;
    let mut report = String::new();
    let outcome = main_job(&lab, deb, &progress, &mut report);
    progress.finish();
    print!("{report}");
    let passed = outcome.unwrap_or_else(|error| {
        eprintln!("lab: the demo did not come to its end: {error}");
        false
    });
    if keep {
        println!(
            "The lab is up: {}.",
            super::commands(&["status", "ssh n1", "events", "down"])
        );
    } else {
        Lab::down()?;
        if !passed {
            eprintln!(
                "lab: with KEEP=1, `make` leaves the nodes up, to look at with `lab ssh`, `lab events` and `lab logs`"
            );
        }
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Writes down what happened, as far as it came; whether all is as it has to be.
fn main_job(
    lab: &Lab,
    deb: &Path,
    progress: &dyn Progress,
    report: &mut String,
) -> Result<bool, Error> {
    let node = |name: &str| {
        let known = lab.site().host(name);
        known.ok_or_else(|| format!("there is no node {name}"))
    };
    let first = lab.site().hosts()[0];
    let printed = match lab.site() {
        Site::Ec2 => aws::install(lab, deb, progress)?,
        Site::Lan => lan::install(lab, deb, progress)?,
    };
    // What it said before was said while it went on.
    let lines = printed
        .lines()
        .skip_while(|line| !line.starts_with("the PBX answers"));
    let end: Vec<&str> = lines.collect();
    *report += &format!("$ {} --yes\n{}\n\n", operator::DEPLOY, end.join("\n"));
    progress.step("the cluster, before the power cut");
    *report += &format!("$ ha-ctl show\n{}\n", operator::show(lab, first)?);
    let outcome = fail_over(lab, Fault::PowerCut, progress)?;
    *report += &outcome.report();
    let mut passed = outcome.faults().is_empty();
    if lab.site() == Site::Ec2 {
        progress.step("the cluster, after the power cut");
        let shown = operator::show(lab, node(&outcome.active)?)?;
        *report += &format!("\n$ ha-ctl show\n{shown}");
    }
    if lab.site() == Site::Lan {
        let comeback = lan::come_back(lab, node(&outcome.lost)?, node(&outcome.active)?, progress)?;
        *report += &format!("\n{}", comeback.report());
        passed &= comeback.faults().is_empty();
    }
    Ok(passed)
}
