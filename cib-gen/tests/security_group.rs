//! The script of a security group's rules, run against an `aws` that keeps a group as EC2 does.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const NODES: &str =
    "ip-172-31-16-133=172.31.16.133,ip-172-31-16-134=172.31.16.134,ip-172-31-16-135=172.31.16.135";

/// Adds the one rule of its last argument to the file `rules`, unless it is there: then it says what the
/// AWS CLI says. Refuses what `refused` holds.
const AWS: &str = r#"#!/bin/sh
echo "$*" >>calls
for rule do :; done
if [ -f refused ] && [ "$rule" = "$(cat refused)" ]; then
    echo 'An error occurred (RulesPerSecurityGroupLimitExceeded) when calling the AuthorizeSecurityGroupIngress operation: The maximum number of rules per security group has been reached.' >&2
    exit 254
fi
if grep -qxF -e "$rule" rules; then
    echo 'An error occurred (InvalidPermission.Duplicate) when calling the AuthorizeSecurityGroupIngress operation: the specified rule "peer: 0.0.0.0/0, TCP, from port: 443, to port: 443, ALLOW" already exists' >&2
    exit 254
fi
echo "$rule" >>rules
"#;

/// A group without rules, and the script of the vendor's file.
fn group() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("aws"), AWS).unwrap();
    fs::set_permissions(path("aws"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path("rules"), "").unwrap();
    let vars = include_str!("vars-vendor.yml");
    fs::write(
        path("vars.yml"),
        format!("{vars}vpc_cidr: 172.31.0.0/16\nregion: us-west-1\n"),
    )
    .unwrap();
    let arguments = ["--offline", "--nodes", NODES, "--format", "security-group"];
    let output = assert_cmd::Command::cargo_bin("cib-gen")
        .unwrap()
        .args(arguments)
        .arg(path("vars.yml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::write(path("script"), output.stdout).unwrap();
    directory
}

/// Runs the script as the README says: from a pipe, which the commands in it must not read.
fn run(group: &Path, arguments: &str) -> Output {
    let path = format!("{}:{}", group.display(), std::env::var("PATH").unwrap());
    Command::new("sh")
        .args(["-c", &format!("cat script | sh -s {arguments}")])
        .current_dir(group)
        .env("PATH", path)
        .output()
        .unwrap()
}

fn lines(group: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(group.join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_second_run_changes_nothing_and_is_no_error() {
    let group = group();
    let first = run(group.path(), "sg-0e2bea9ea4033f893");
    assert!(first.status.success(), "{first:?}");
    let rules = lines(group.path(), "rules");
    assert!(rules.len() > 5, "{rules:?}");
    for call in lines(group.path(), "calls") {
        let begins = "ec2 authorize-security-group-ingress --region us-west-1 --group-id sg-0e2bea9ea4033f893 ";
        assert!(call.starts_with(begins), "{call}");
    }
    let second = run(group.path(), "sg-0e2bea9ea4033f893");
    assert!(second.status.success(), "{second:?}");
    assert_eq!(lines(group.path(), "rules"), rules);
    assert!(!stdout(&second).contains("added:"), "{second:?}");
    assert_eq!(
        stdout(&second).matches("there already:").count(),
        rules.len()
    );
}

#[test]
fn a_group_that_has_some_of_the_rules_gets_the_others() {
    let group = group();
    run(group.path(), "sg-0e2bea9ea4033f893");
    let all = lines(group.path(), "rules");
    fs::write(
        group.path().join("rules"),
        format!("{}\n{}\n", all[0], all[3]),
    )
    .unwrap();
    let output = run(group.path(), "sg-0e2bea9ea4033f893");
    assert!(output.status.success(), "{output:?}");
    let mut now = lines(group.path(), "rules");
    let mut wanted = all;
    now.sort();
    wanted.sort();
    assert_eq!(now, wanted);
}

#[test]
fn any_other_error_stops_and_names_the_rule() {
    let group = group();
    run(group.path(), "sg-0e2bea9ea4033f893");
    let all = lines(group.path(), "rules");
    fs::write(group.path().join("refused"), &all[1]).unwrap();
    fs::write(group.path().join("rules"), "").unwrap();
    let output = run(group.path(), "sg-0e2bea9ea4033f893");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(lines(group.path(), "rules"), all[..1]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("sg-0e2bea9ea4033f893")
            && said.contains("RulesPerSecurityGroupLimitExceeded"),
        "{said}"
    );
}

#[test]
fn without_a_group_nothing_is_called() {
    let group = group();
    for arguments in ["", "launch-wizard-1"] {
        let output = run(group.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("name the security group"), "{said}");
    }
    assert!(lines(group.path(), "calls").is_empty());
}
