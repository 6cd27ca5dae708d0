//! The fence-peer handler of DRBD 8.4 with drbd-utils' own script and Pacemaker's tools: when it says that the peer is
//! fenced, and what it leaves in the CIB. There is no DRBD here, so the script reads a file in the place of /proc/drbd.

#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use cib_gen::render;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::lan;

in_both_suites!(
    writes_go_on_when_the_peer_was_fenced_and_its_old_copy_is_kept_from_use,
    until_the_peer_is_fenced_writes_wait,
    a_copy_that_may_be_old_is_not_promoted,
);

/// What DRBD's handlers end with: the peer was fenced, or it is not reachable.
const FENCED: i32 = 7;
const UNREACHABLE: i32 = 5;
/// What timeout(1) ends with.
const STILL_WAITS: i32 = 124;

const CONSTRAINT: &str = "drbd-fence-by-handler-pbxdata-drbd_devpath-clone";

/// The node pbx01, which has lost pbx02. `expected` says whether Pacemaker has fenced it.
fn lost(suite: Suite, expected: &str, disks: &str) -> Bench {
    let bench = Bench::of(suite);
    let handler = include_str!("../../../packaging/drbd/drbd-fence-peer");
    bench.write("drbd-fence-peer", handler);
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bench.path("drbd-fence-peer"), permissions).unwrap();
    // Pacemaker 2.1.7 and later write since when a node is a member.
    let [here, gone] = match suite {
        Suite::Bookworm => [["true", "online"], ["false", "offline"]],
        Suite::Trixie => [["1764394679", "1764394680"], ["0", "0"]],
    };
    let state = |n: u8, [in_ccm, crmd]: [&str; 2], expected: &str| {
        format!(
            "<node_state id=\"{n}\" uname=\"pbx0{n}\" in_ccm=\"{in_ccm}\" crmd=\"{crmd}\" join=\"member\" \
             expected=\"{expected}\"/>"
        )
    };
    let states = [
        state(1, here, "member"),
        state(2, gone, expected),
        state(3, here, "member"),
    ];
    let nodes = (1..4).map(|n| format!("<node id=\"{n}\" uname=\"pbx0{n}\"/>"));
    let cib = render::cib(&lan("drbd: 8.4\n"))
        .replace(
            "<nodes/>",
            &format!("<nodes>{}</nodes>", nodes.collect::<String>()),
        )
        .replace(
            "<status/>",
            &format!("<status>{}</status>", states.concat()),
        );
    bench.write("cib.xml", &cib);
    disks_are(&bench, disks);
    bench
}

fn disks_are(bench: &Bench, disks: &str) {
    let connection = match disks {
        "UpToDate/UpToDate" => "cs:Connected ro:Primary/Secondary",
        _ => "cs:WFConnection ro:Primary/Unknown",
    };
    let state =
        format!("version: 8.4.11 (api:1/proto:86-101)\n\n 1: {connection} ds:{disks} C r---s-\n");
    bench.write("drbd", &state);
}

/// Runs a handler as DRBD does, for so many seconds at most.
fn run(bench: &Bench, handler: &str, seconds: u32) -> Output {
    let script = format!(
        "hostname pbx01\n\
         sed -i s,/proc/drbd,/mnt/drbd,g /usr/lib/drbd/crm-fence-peer.sh\n\
         export CIB_file=/mnt/cib.xml DRBD_RESOURCE=pbxdata DRBD_MINOR=1 DRBD_PEER=pbx02\n\
         exec timeout {seconds} {handler}"
    );
    bench.try_run(&["bash", "-c", &script])
}

#[track_caller]
fn ends_with(output: &Output, code: i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
}

fn writes_go_on_when_the_peer_was_fenced_and_its_old_copy_is_kept_from_use(suite: Suite) {
    let bench = lost(suite, "down", "UpToDate/DUnknown");
    // It would wait for 90 s if it did not understand Pacemaker.
    ends_with(&run(&bench, "./drbd-fence-peer", 60), FENCED);
    let cib = bench.read("cib.xml");
    let constraint = format!("<rsc_location rsc=\"drbd_devpath-clone\" id=\"{CONSTRAINT}\">");
    assert!(cib.contains(&constraint), "{suite}: {cib}");
    assert!(
        cib.contains("operation=\"ne\" value=\"pbx01\""),
        "{suite}: {cib}"
    );
    bench.verify("cib.xml");
    // The peer is back. Until its copy is up to date, neither DRBD nor Pacemaker's agent deletes the constraint.
    let by_agent = "/usr/lib/drbd/crm-unfence-peer.sh --quiet --flock-required --flock-timeout 0 \
                    --unfence-only-if-owner-match";
    disks_are(&bench, "UpToDate/Inconsistent");
    run(&bench, by_agent, 60);
    assert!(bench.read("cib.xml").contains(CONSTRAINT), "{suite}");
    disks_are(&bench, "UpToDate/UpToDate");
    ends_with(&run(&bench, by_agent, 60), 0);
    assert!(!bench.read("cib.xml").contains(CONSTRAINT), "{suite}");
}

fn until_the_peer_is_fenced_writes_wait(suite: Suite) {
    let bench = lost(suite, "member", "UpToDate/DUnknown");
    ends_with(&run(&bench, "./drbd-fence-peer", 4), STILL_WAITS);
    assert!(!bench.read("cib.xml").contains(CONSTRAINT), "{suite}");
}

/// This node was away, and pbx02 may have written meanwhile.
fn a_copy_that_may_be_old_is_not_promoted(suite: Suite) {
    let bench = lost(suite, "down", "Consistent/DUnknown");
    ends_with(&run(&bench, "./drbd-fence-peer", 60), UNREACHABLE);
    assert!(!bench.read("cib.xml").contains(CONSTRAINT), "{suite}");
}
