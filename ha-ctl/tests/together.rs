//! Two operators at once, and connections that are cut, with a cluster that is made of scripts (fake_cluster/tool).

#![allow(clippy::unwrap_used)]

mod fake_cluster;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use fake_cluster::{AGAIN, Fake, ended, interrupt};

#[test]
fn a_second_operator_is_told_who_was_first_and_changes_nothing() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    let first = fake.begin("restart -s pbx");
    fake.until("disable pbx done");
    let log = fake.log();
    for verb in ["start -s pbx", "stop -s vip", "restart -s pbx"] {
        let second = fake.run(verb);
        second.ended(
            1,
            &["somebody else changes the cluster: restart -s pbx by "],
        );
        assert!(second.stderr.contains("Nothing was changed"), "{second:#?}");
    }
    assert_eq!(fake.log(), log);
    // Whoever only looks does not need it.
    assert_eq!(fake.run("master --json").status, Some(0));
    assert_eq!(fake.run("restart -s pbx --dry-run").status, Some(3));
    interrupt(&first, Signal::SIGTERM);
    ended(first).ended(5, &[AGAIN]);
    fake.until_it("end of the lock", || !fake.has("lock.127.0.0.1"));
    fake.unset("stops-as");
    fake.unset("busy");
    fake.run("start -s pbx").ended(0, &["it runs on a"]);
}

#[test]
fn the_lock_is_gone_with_its_process_on_every_node() {
    let fake = Fake::new();
    fake.set("stops-as", "Stopping");
    fake.set("busy", "");
    let child = fake.begin("stop -s pbx");
    fake.until("disable pbx done");
    assert!(fake.has("lock.127.0.0.1") && fake.has("lock.127.0.0.2"));
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    drop(ended(child));
    fake.until_it("end of the locks", || {
        !fake.has("lock.127.0.0.1") && !fake.has("lock.127.0.0.2")
    });
}

/// Telling a resource to stop twice is telling it once.
#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_change_is_made_again() {
    let fake = Fake::new();
    fake.set("lost.127.0.0.2", "");
    fake.set("cut", "pcs resource disable");
    let ran = fake.run("stop -s pbx");
    ran.ended(
        0,
        &[
            "a: the connection was cut; trying again",
            "a: connected again after ",
        ],
    );
    assert!(!fake.has("cut"));
    assert_eq!(
        fake.log(),
        "disable pbx\ndisable pbx done\ndisable pbx\ndisable pbx done\n"
    );
}

/// Whether the note is gone nobody knows, and that is what is said: removing it twice is not known to be harmless.
#[test]
fn a_change_that_may_have_been_done_is_not_sent_twice() {
    let fake = Fake::new();
    fake.set("lost.127.0.0.2", "");
    fake.set("cut", "--delete");
    let ran = fake.run("restart -s pbx");
    ran.ended(5, &["It may have been done all the same"]);
    assert_eq!(fake.log().matches("forget").count(), 1, "{}", fake.log());
}
