//! The program that `lab bench` measures with.

use std::process::{Command, Output};

use serde_json::Value;

fn measure(script: &str) -> (Value, Output) {
    let output = Command::new(env!("CARGO_BIN_EXE_measure"))
        .args(["sh", "-c", script])
        .output()
        .expect("measure runs");
    let figures = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    (figures, output)
}

#[test]
fn what_a_command_leaves_behind_is_counted_with_it() {
    let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let (inside, _) = measure(burn);
    let (left_behind, _) = measure(&format!("({burn}) & exit 3"));
    assert_eq!(left_behind["status"], 3);
    let cpu = |figures: &Value| figures["cpu_us"].as_u64().expect("a number");
    assert!(
        cpu(&left_behind) > cpu(&inside) / 4,
        "{left_behind} of a process in the background, {inside} of the same in the foreground"
    );
}

#[test]
fn the_peak_is_that_of_the_largest_process() {
    let (figures, _) = measure("dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; true");
    let peak = figures["peak_kib"].as_u64().expect("a number");
    assert!(peak > 64 * 1024 && peak < 128 * 1024, "{figures}");
    let (figures, _) = measure("true");
    let floor = figures["peak_kib"].as_u64().expect("a number");
    assert!(floor < 8 * 1024, "{figures}");
}

#[test]
fn what_a_command_says_does_not_mix_with_the_figures() {
    let (figures, output) = measure("echo said; kill -TERM $$");
    assert_eq!(figures["status"], 128 + 15);
    assert_eq!(output.stderr, b"said\n");
}
