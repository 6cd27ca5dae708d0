#![allow(clippy::unwrap_used)]

use super::*;

fn state() -> State {
    State::parse(include_str!("../../tests/recorded/one-node-dead.xml")).unwrap()
}

#[track_caller]
fn refused(state: &State, resource: &str, exit: Exit, said: &str) {
    let failure = refuse(state, resource).unwrap_err();
    assert_eq!(failure.exit, exit, "{failure}");
    assert!(failure.text.contains(said), "{failure}");
}

#[test]
fn what_runs_can_be_stopped() {
    refuse(&state(), "pbx").unwrap();
    refuse(&state(), "vip").unwrap();
}

#[test]
fn a_name_that_does_not_exist_is_refused_with_those_that_do() {
    refused(
        &state(),
        "pxb",
        Exit::Usage,
        "the resources are eip, privip, vip",
    );
}

#[test]
fn a_fencing_device_is_left_alone() {
    refused(&state(), "fencing", Exit::Usage, "fencing device");
}

#[test]
fn what_the_cluster_would_not_carry_out_is_refused() {
    let mut maintenance = state();
    maintenance.maintenance = true;
    refused(&maintenance, "pbx", Exit::Failed, "maintenance mode");
    let mut unmanaged = state();
    unmanaged
        .resources
        .iter_mut()
        .for_each(|it| it.managed = false);
    refused(&unmanaged, "pbx", Exit::Failed, "unmanaged");
    let mut minority = state();
    minority.quorum = false;
    refused(&minority, "pbx", Exit::Failed, "no majority");
}
