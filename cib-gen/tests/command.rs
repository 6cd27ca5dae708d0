//! The command as a user runs it: what it prints where, and how it ends.

#![allow(clippy::unwrap_used)]

use std::process::Output;

use assert_cmd::Command;

const VENDOR: &str = include_str!("vars-vendor.yml");
const NODES: &str =
    "ip-172-31-16-133=172.31.16.133,ip-172-31-16-134=172.31.16.134,ip-172-31-16-135=172.31.16.135";

fn cib_gen(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::cargo_bin("cib-gen").unwrap();
    command.env_clear().args(arguments).write_stdin(input);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_vendors_file_gives_a_script() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vars-vendor.yml");
    let known = ["--offline", "--region", "us-west-1", "--nodes", NODES, file];
    let output = cib_gen(&known, "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("#!/bin/sh\n"));
}

/// What is printed goes into a shell, so nobody reads its comments.
#[test]
fn warnings_are_in_what_is_printed_and_on_standard_error() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vars-vendor.yml");
    let output = cib_gen(&["--offline", "--nodes", NODES, file], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let warning = "WARNING: the region is not known";
    assert!(
        text(&output.stderr).contains(warning),
        "{}",
        text(&output.stderr)
    );
    assert!(
        text(&output.stdout).contains(warning),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn the_nodes_can_be_three_options_and_the_file_standard_input() {
    let mut arguments = vec!["--format", "cib", "-"];
    let nodes: Vec<String> = NODES.split(',').map(|n| format!("--nodes={n}")).collect();
    arguments.extend(nodes.iter().map(String::as_str));
    let output = cib_gen(&arguments, VENDOR);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("ip-172-31-16-133:i-08807c762627239b8;ip-172-31-16-134"));
}

#[test]
fn mistakes_end_with_2_and_print_nothing_on_standard_output() {
    let typing = VENDOR.replace("ebs_volume_id", "ebs_volume");
    for (arguments, input, said) in [
        (vec!["--offline", "-"], VENDOR, "pbx01_hostname"),
        (vec!["--offline", "-"], typing.as_str(), "<stdin>:7:1"),
        (
            vec!["--nodes", "a=172.31.16.133", "-"],
            VENDOR,
            "--nodes names 1 node of 3",
        ),
        (
            vec!["--nodes", "a:172.31.16.133", "-"],
            VENDOR,
            "NAME=ADDRESS",
        ),
        (
            vec!["--region", "us-west-1c", "-"],
            VENDOR,
            "availability zone",
        ),
        (vec!["--colour", "-"], VENDOR, "--colour"),
        (vec![], VENDOR, "VARS_FILE"),
    ] {
        let output = cib_gen(&arguments, input);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_file_that_can_not_be_read_ends_with_1() {
    let output = cib_gen(&["--offline", "/nonexistent/vars.yml"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nonexistent/vars.yml"));
    assert!(output.stdout.is_empty());
}

#[test]
fn the_help_says_how_it_ends_and_how_nodes_are_named() {
    let help = text(&cib_gen(&["--help"], "").stdout);
    for word in [
        "Exit status",
        "pbx01",
        "ip-172-31-16-133=172.31.16.133",
        "--offline",
    ] {
        assert!(help.contains(word), "{help}");
    }
}
