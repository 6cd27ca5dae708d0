//! `ha-ctl grow` on AWS: the volume, its device and the file system become larger while clients write and call.

use std::time::{Duration, SystemTime};

use lab::demo::Access;
use lab::demo::cluster::VARS;
use lab::demo::sip::Phone;
use lab::demo::writer::{Writer, missing};
use lab::netns;
use lab::site::{self, VOLUME_GIB};

use super::operator::Operator;

/// What the clients may notice: nothing is stopped, and a machine that is busy answers late.
const UNNOTICED: Duration = Duration::from_secs(1);

/// The first node has the data, and vars.yml names its volume.
pub(crate) fn the_data_grows_while_the_pbx_runs(operator: &Operator) {
    let size = VOLUME_GIB + 2;
    operator.has_a_profile();
    let grow = |arguments: &str| {
        operator.as_root(&format!(
            "ha-ctl grow --profile operator {arguments} </dev/null"
        ))
    };
    assert_eq!(grow("--dry-run").status, 0, "nothing is larger yet");
    let smaller = grow(&format!("{} {VARS} --yes", VOLUME_GIB - 1));
    assert_eq!(smaller.status, 1, "{smaller}");
    assert!(smaller.stderr.contains("is not made smaller"), "{smaller}");
    let without_vars = grow("6 no-such.yml --yes");
    assert_eq!(without_vars.status, 2, "{without_vars}");
    let planned = grow(&format!("{size}G {VARS}"));
    assert_eq!(planned.status, 3, "nobody was asked: {planned}");
    let said = format!("make the volume {size} GiB large, from {VOLUME_GIB} GiB: EC2");
    assert!(planned.stdout.contains(&said), "{planned}");

    let access = Access::through_the_vip(operator.lab).unwrap();
    let writer = Writer::start(&access).unwrap();
    let phone = Phone::start(&netns::internet(), site::CLIENT, site::EIP).unwrap();
    let begun = SystemTime::now();
    let until = begun + Duration::from_secs(10);
    while phone.first_after(begun).is_none() && SystemTime::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    let from = SystemTime::now();
    let grown = grow(&format!("{size}G {VARS} --yes"));
    let to = SystemTime::now();
    grown.succeeded();
    // A moment after it.
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        grown
            .stdout
            .contains(&format!("has {size}.0 GiB, and its device {size}.0 GiB")),
        "{grown}"
    );
    let answers = phone.answers();
    let rows = writer.finish();
    let committed: Vec<SystemTime> = rows.iter().map(|row| row.at).collect();
    for (what, seen) in [("SIP answers", &answers), ("rows", &committed)] {
        let pause = longest_pause(seen, from, to);
        eprintln!("longest pause between {what} while the data grew: {pause:?}");
        assert!(pause < UNNOTICED, "{what}: {pause:?}");
    }
    assert_eq!(missing(&access, &rows).unwrap(), Vec::<i64>::new());

    // It has grown, so that there is nothing to do; and EC2 does not modify a volume that it still optimizes.
    assert_eq!(grow("--dry-run").status, 0);
    let again = grow(&format!("{} {VARS} --yes", size + 1));
    assert_eq!(again.status, 1, "{again}");
    assert!(
        again.stderr.contains("still optimizes the volume"),
        "{again}"
    );

    // The vendor's order: somebody makes the volume larger at EC2, and then the script has the file system follow.
    let enlarge = format!(
        "export AWS_PROFILE=operator; aws ec2 wait volume-in-use --volume-ids {volume}; until aws ec2 modify-volume --volume-id {volume} --size {}; do \
         sleep 5; done; until aws ec2 describe-volumes-modifications --volume-ids {volume} --output text | grep -q \
         optimizing; do sleep 1; done",
        size + 1,
        volume = site::VOLUME_ID
    );
    operator.as_root(&enlarge).succeeded();
    let planned = operator.as_root("ha-ctl extend run -s disk-only </dev/null");
    assert_eq!(planned.status, 3, "{planned}");
    let done = operator.as_root("ha-ctl extend run -s disk-only --yes </dev/null");
    assert!(
        done.succeeded()
            .contains(&format!("has {}.0 GiB", size + 1)),
        "{done}"
    );
}

/// The longest time without any, from one moment to another.
pub(crate) fn longest_pause(seen: &[SystemTime], from: SystemTime, to: SystemTime) -> Duration {
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in seen.iter().copied().filter(|at| *at > from).chain([to]) {
        let at = at.min(to);
        longest = longest.max(at.duration_since(last).unwrap_or_default());
        last = last.max(at);
    }
    longest
}
