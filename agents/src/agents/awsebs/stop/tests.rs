use super::*;

/// What `decide` says about every observation. A row is a state of the device and whether EC2 accepted a detach
/// request, a column is what EC2 describes. `request` is "request the detachment if one is due, else wait".
const TABLE: &str = "
device     accepted  not-attached  detaching  attached  silent   silent-after-attached
present    no        request       wait       request   fail     fail
present    yes       request       wait       request   fail     fail
left       no        succeed       succeed    request   fail     fail
left       yes       succeed       succeed    succeed   succeed  succeed
absent     no        succeed       succeed    request   succeed  fail
absent     yes       succeed       succeed    request   succeed  fail
may-appear no        wait          wait       request   fail     fail
may-appear yes       succeed       succeed    request   fail     fail
overdue    no        succeed       succeed    request   fail     fail
overdue    yes       succeed       succeed    request   fail     fail
";

const DEVICES: [(&str, DeviceState); 5] = [
    ("present", DeviceState::Present),
    ("left", DeviceState::Left),
    ("absent", DeviceState::Absent),
    ("may-appear", DeviceState::MayAppear),
    ("overdue", DeviceState::Overdue),
];
const EC2: [(&str, Ec2State); 5] = [
    ("not-attached", Ec2State::NotAttached),
    ("detaching", Ec2State::Detaching),
    ("attached", Ec2State::Attached),
    ("silent", Ec2State::Silent),
    ("silent-after-attached", Ec2State::SilentAfterAttached),
];

/// All observations, each with the names of its states.
fn all() -> impl Iterator<Item = ([&'static str; 3], Observation)> {
    DEVICES.into_iter().flat_map(|(device_name, device)| {
        EC2.into_iter().flat_map(move |(ec2_name, ec2)| {
            [("no", false), ("yes", true)].into_iter().flat_map(
                move |(accepted, detach_accepted)| {
                    [false, true].map(|request_due| {
                        let seen = Observation {
                            device,
                            ec2,
                            detach_accepted,
                            request_due,
                        };
                        ([device_name, accepted, ec2_name], seen)
                    })
                },
            )
        })
    })
}

fn expected([device, accepted, ec2]: [&str; 3], request_due: bool) -> Step {
    let mut rows = TABLE
        .trim()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = rows.next().unwrap_or_default();
    let column = columns.iter().position(|name| *name == ec2);
    let row = rows.find(|row| row[..2] == [device, accepted]);
    match (
        row.zip(column).map(|(row, column)| row[column]),
        request_due,
    ) {
        (Some("succeed"), _) => Step::Succeed,
        (Some("fail"), _) => Step::Fail,
        (Some("wait"), _) | (Some("request"), false) => Step::Wait,
        (Some("request"), true) => Step::RequestDetach,
        _ => panic!("the table does not have {device}, {accepted}, {ec2}"),
    }
}

#[test]
fn each_observation_leads_to_the_step_in_the_table() {
    let mut count = 0;
    for (names, seen) in all() {
        assert_eq!(decide(&seen), expected(names, seen.request_due), "{seen:?}");
        count += 1;
    }
    assert_eq!(count, 100);
}

#[test]
fn a_stop_never_succeeds_while_the_kernel_has_the_device() {
    for (_, seen) in all().filter(|(_, seen)| seen.device == DeviceState::Present) {
        assert_ne!(decide(&seen), Step::Succeed, "{seen:?}");
    }
}

#[test]
fn a_silent_ec2_is_believed_to_have_detached_only_what_the_kernel_shows_to_be_gone() {
    for (_, seen) in all() {
        let is_silent = matches!(seen.ec2, Ec2State::Silent | Ec2State::SilentAfterAttached);
        if is_silent && decide(&seen) == Step::Succeed {
            let is_detached = seen.device == DeviceState::Left && seen.detach_accepted;
            assert!(
                is_detached || seen.device == DeviceState::Absent,
                "{seen:?}"
            );
        }
    }
}

#[test]
fn only_what_is_attached_here_or_in_the_kernel_is_detached() {
    for (_, seen) in all().filter(|(_, seen)| decide(seen) == Step::RequestDetach) {
        assert!(
            seen.ec2 == Ec2State::Attached || seen.device == DeviceState::Present,
            "{seen:?}"
        );
        assert!(seen.request_due, "{seen:?}");
    }
}
