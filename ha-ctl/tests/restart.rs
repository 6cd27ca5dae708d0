//! `restart` as a process, with a cluster that is made of scripts (fake_cluster/tool): whatever happens after the
//! resource was told to stop, it is told to start again.

#![allow(clippy::unwrap_used)]

mod fake_cluster;

use std::io::{BufRead as _, BufReader};

use nix::sys::signal::Signal;

use fake_cluster::{AGAIN, Fake, ended, interrupt, rest, until_said};

#[test]
fn a_restart_has_the_vendors_lines_and_leaves_no_note() {
    let fake = Fake::new();
    let ran = fake.run("restart -s pbx");
    ran.ended(0, &["pbx was restarted: it runs on a"]);
    assert_eq!(
        ran.stdout,
        "try to restart resource pbx\ndisable resource pbx\nresource 'pbx' is not running on any node\nenable resource pbx\n"
    );
    assert_eq!(
        fake.log(),
        "note\ndisable pbx\ndisable pbx done\nenable pbx\nenable pbx done\nforget\n"
    );
}

#[test]
fn each_signal_while_it_stops_has_it_started_again() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let fake = Fake::new();
        fake.set("stops-as", "Stopping");
        fake.set("busy", "");
        let child = fake.begin("restart -s pbx");
        fake.until("disable pbx done");
        interrupt(&child, signal);
        ended(child).ended(5, &["interrupted", AGAIN]);
        assert!(!fake.has("disabled.pbx"), "{signal}: {}", fake.log());
        assert!(fake.log().ends_with("forget\n"), "{}", fake.log());
    }
}

/// The signal goes to the command that is on its way too, and must not cut it off: it would be carried out later.
#[test]
fn a_signal_while_it_is_told_to_stop_waits_for_that_and_has_it_started_again() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    fake.set("disable.slow", "");
    let child = fake.begin("restart -s pbx");
    fake.until("disable pbx");
    interrupt(&child, Signal::SIGINT);
    ended(child).ended(5, &["interrupted", AGAIN]);
    let log = fake.log();
    assert!(
        log.contains("disable pbx done\nenable pbx\nenable pbx done\n"),
        "{log}"
    );
}

#[test]
fn a_signal_before_anything_was_changed_changes_nothing() {
    let fake = Fake::new();
    fake.set("crm_mon.slow", "");
    let child = fake.begin("restart -s pbx");
    fake.until_it("look", || fake.has("looked"));
    interrupt(&child, Signal::SIGINT);
    ended(child).ended(1, &["interrupted. Nothing was changed"]);
    assert_eq!(fake.log(), "");
}

#[test]
fn a_stop_that_does_not_end_in_time_is_followed_by_a_start() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    let ran = fake.run("restart -s pbx --timeout 1");
    ran.ended(
        5,
        &["pbx has not stopped within 1 s: it is Stopping on a", AGAIN],
    );
    assert!(!fake.has("disabled.pbx"), "{}", fake.log());
}

#[test]
fn a_resource_that_the_cluster_cannot_stop_is_told_to_start_again() {
    let fake = Fake::new();
    fake.set("stops-as", "Started");
    let ran = fake.run("restart -s pbx");
    ran.ended(5, &["pbx did not stop", AGAIN, "ha-ctl start -s pbx"]);
    assert!(!fake.has("disabled.pbx"), "{}", fake.log());
}

#[test]
fn a_change_that_fails_is_followed_by_a_start_too() {
    let fake = Fake::new();
    fake.set("disable.fails", "");
    let ran = fake.run("restart -s pbx");
    ran.ended(5, &["failed: Error: unable to push cib", AGAIN]);
    assert!(
        fake.log()
            .ends_with("enable pbx\nenable pbx done\nforget\n"),
        "{}",
        fake.log()
    );
}

#[test]
fn a_resource_that_cannot_be_told_to_start_is_called_disabled_and_the_note_stays() {
    let fake = Fake::new();
    fake.set("enable.fails", "");
    let ran = fake.run("restart -s pbx");
    ran.ended(5, &["pbx IS STILL DISABLED\n  help: ha-ctl start -s pbx"]);
    assert!(!fake.log().contains("forget"), "{}", fake.log());
}

#[test]
fn another_node_is_asked_when_the_one_that_was_asked_is_lost() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    // Only a answers at first.
    fake.set("lost.127.0.0.2", "");
    let mut child = fake.begin("restart -s pbx");
    fake.until("disable pbx done");
    fake.unset("lost.127.0.0.2");
    fake.set("lost.127.0.0.1", "");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let said = until_said(&mut stderr, "a does not answer any more; b is asked now");
    assert!(
        said.contains("others are locked out on a alone; not on b, which does not answer: Connection timed out"),
        "{said}"
    );
    fake.unset("stops-as");
    let rest = rest(&mut stderr);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}{rest}");
    assert!(rest.contains("pbx was restarted"), "{said}{rest}");
}

#[test]
fn a_connection_that_was_turned_away_is_tried_again() {
    let fake = Fake::new();
    fake.set("busy.sshd", "");
    fake.set("lost.127.0.0.2", "");
    let ran = fake.run("master --json");
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    assert!(!fake.has("busy.sshd"));
}

#[test]
fn what_stops_too_is_named_before_and_waited_for_after() {
    let fake = Fake::new();
    let mut child = fake.begin("restart -s vip --timeout 3");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "vip is needed by others, which stop with it: pbx\n");
    fake.until("disable vip done");
    // It stays down while vip runs again.
    fake.set("disabled.pbx", "");
    fake.set("busy", "");
    let rest = rest(&mut stderr);
    assert_eq!(child.wait().unwrap().code(), Some(5), "{rest}");
    assert!(
        rest.contains("pbx has not started within 3 s: it is Stopped"),
        "{rest}"
    );
}

#[test]
fn a_stop_that_is_interrupted_is_not_undone() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    let child = fake.begin("stop -s pbx");
    fake.until("disable pbx done");
    interrupt(&child, Signal::SIGTERM);
    ended(child).ended(5, &["interrupted. The cluster goes on to stop pbx"]);
    assert!(fake.has("disabled.pbx"));
}
