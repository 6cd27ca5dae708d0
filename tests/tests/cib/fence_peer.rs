//! The fence-peer handler of DRBD 8.4 with drbd-utils' own script and Pacemaker's tools: when it says that the peer is
//! fenced, and what it leaves in the CIB. There is no DRBD and no cluster here: a file is read in the place of
//! /proc/drbd, and files say what Pacemaker's controllers would.

#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use crate::bench::{Bench, Suite, in_both_suites};
use crate::{lan, whole_cib};

in_both_suites!(
    writes_go_on_when_the_peer_was_fenced_and_its_old_copy_is_kept_from_use,
    until_the_peer_is_fenced_writes_wait,
    with_quorum_writes_go_on_though_fencing_fails,
    without_quorum_writes_stay_frozen,
    without_quorum_a_constraint_that_is_there_already_is_no_permission,
    a_peer_that_lost_only_its_connection_is_kept_from_use,
    a_peer_that_connects_again_needs_no_constraint,
    a_promotion_does_not_wait_for_quorum,
    a_copy_that_may_be_old_is_not_promoted,
);

/// What DRBD's handlers end with: the handler failed, the peer is outdated, it is not reachable, it was fenced.
const FAILED: i32 = 1;
const OUTDATED: i32 = 4;
const UNREACHABLE: i32 = 5;
const FENCED: i32 = 7;
/// What timeout(1) ends with.
const STILL_WAITS: i32 = 124;

const HANDLER: &str = "/usr/lib/portsip-ha/drbd-fence-peer";
const CONSTRAINT: &str = "drbd-fence-by-handler-pbxdata-drbd_devpath-clone";

/// What /proc/drbd shows: of the active node that has lost its peer, and of a standby that has.
const ALONE: &str = "cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C s-----";
const STANDBY: &str = "cs:WFConnection ro:Secondary/Unknown ds:UpToDate/DUnknown C r-----";
const CONNECTED: &str = "cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----";

/// Pacemaker has fenced pbx02.
const IS_FENCED: &str = r#"sed -i 's/\(uname="pbx02" [^>]*expected="\)member/\1down/' cib.xml"#;

/// Pacemaker's tools that ask the cluster: they say what is in the files `quorum` and `controller`.
const CRM_NODE: &str = "#!/bin/sh\n[ \"$*\" = --quorum ] && cat /mnt/quorum\n";
const CRMADMIN: &str = "#!/bin/sh\ncat /mnt/controller 2>/dev/null\n";

/// The node pbx01, which has lost pbx02. `expected` says whether Pacemaker has fenced it.
fn lost(suite: Suite, expected: &str, drbd: &str) -> Bench {
    let bench = Bench::of(suite);
    let handler = include_str!("../../../packaging/drbd/drbd-fence-peer");
    for (name, program) in [
        ("drbd-fence-peer", handler),
        ("crm_node", CRM_NODE),
        ("crmadmin", CRMADMIN),
    ] {
        bench.write(name, program);
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bench.path(name), permissions).unwrap();
    }
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
    let cib = whole_cib(&lan("drbd: 8.4\n"))
        .replace(
            "<nodes/>",
            &format!("<nodes>{}</nodes>", nodes.collect::<String>()),
        )
        .replace(
            "<status/>",
            &format!("<status>{}</status>", states.concat()),
        );
    bench.write("cib.xml", &cib);
    quorum_is(&bench, true);
    drbd_shows(&bench, drbd);
    bench
}

fn drbd_shows(bench: &Bench, state: &str) {
    let state = format!("version: 8.4.11 (api:1/proto:86-101)\n\n 1: {state}\n");
    bench.write("drbd", &state);
}

fn quorum_is(bench: &Bench, has: bool) {
    bench.write("quorum", if has { "1\n" } else { "0\n" });
}

fn is_kept_from_use(bench: &Bench) -> bool {
    bench.read("cib.xml").contains(CONSTRAINT)
}

/// Runs a handler as the kernel does, for so many seconds at most.
fn run(bench: &Bench, handler: &str, seconds: u32) -> Output {
    run_while(bench, handler, seconds, "")
}

/// The same while something else happens: a script.
fn run_while(bench: &Bench, handler: &str, seconds: u32, happens: &str) -> Output {
    let script = format!(
        "hostname pbx01
        mkdir -p /usr/lib/portsip-ha
        cp drbd-fence-peer {HANDLER}
        cp crm_node crmadmin /usr/sbin/
        sed -i s,/proc/drbd,/mnt/drbd,g {HANDLER} /usr/lib/drbd/crm-fence-peer.sh
        {{ {happens}\n}} &
        exec env -i PATH=/sbin:/usr/sbin:/bin:/usr/bin TERM=linux HOME=/ CIB_file=/mnt/cib.xml \\
            DRBD_RESOURCE=pbxdata DRBD_MINOR=1 DRBD_PEER=pbx02 timeout {seconds} {handler}",
        happens = if happens.is_empty() { ":" } else { happens },
    );
    bench.try_run(&["bash", "-c", &script])
}

#[track_caller]
fn ends_with(output: &Output, code: i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
}

fn writes_go_on_when_the_peer_was_fenced_and_its_old_copy_is_kept_from_use(suite: Suite) {
    let bench = lost(suite, "down", ALONE);
    // It would end with 5 if it did not understand Pacemaker.
    ends_with(&run(&bench, HANDLER, 60), FENCED);
    let cib = bench.read("cib.xml");
    let constraint = format!("<rsc_location rsc=\"drbd_devpath-clone\" id=\"{CONSTRAINT}\">");
    assert!(cib.contains(&constraint), "{suite}: {cib}");
    assert!(
        cib.contains("operation=\"ne\" value=\"pbx01\""),
        "{suite}: {cib}"
    );
    bench.verify("cib.xml");
    // The peer is back. Until its copy is up to date, neither DRBD nor Pacemaker's agent deletes the constraint.
    let by_agent = "/usr/lib/drbd/crm-unfence-peer.sh --role=Promoted --quiet --flock-required --flock-timeout 0 \
                    --unfence-only-if-owner-match";
    drbd_shows(
        &bench,
        "cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----",
    );
    run(&bench, by_agent, 60);
    assert!(is_kept_from_use(&bench), "{suite}");
    drbd_shows(&bench, CONNECTED);
    ends_with(&run(&bench, by_agent, 60), 0);
    assert!(!is_kept_from_use(&bench), "{suite}");
}

fn until_the_peer_is_fenced_writes_wait(suite: Suite) {
    let bench = lost(suite, "member", ALONE);
    ends_with(&run(&bench, HANDLER, 12), STILL_WAITS);
    assert!(!is_kept_from_use(&bench), "{suite}");
    // Fenced while it waits: it sees that, and does not wait for its own time to be over.
    let fenced = format!("sleep 10; {IS_FENCED}");
    ends_with(&run_while(&bench, HANDLER, 60, &fenced), FENCED);
    assert!(is_kept_from_use(&bench), "{suite}");
}

/// The majority has the constraint: the peer is promoted by nobody.
fn with_quorum_writes_go_on_though_fencing_fails(suite: Suite) {
    let bench = lost(suite, "member", ALONE);
    ends_with(&run(&bench, HANDLER, 90), UNREACHABLE);
    assert!(is_kept_from_use(&bench), "{suite}");
}

/// This node is cut off. However long it takes, the others may have promoted their copy.
fn without_quorum_writes_stay_frozen(suite: Suite) {
    let bench = lost(suite, "member", ALONE);
    quorum_is(&bench, false);
    // Longer than the script of drbd-utils waits.
    ends_with(&run(&bench, HANDLER, 55), STILL_WAITS);
    assert!(!is_kept_from_use(&bench), "{suite}");
    // The network is back, and the peer was fenced.
    let back = format!("sleep 4; echo 1 >quorum; {IS_FENCED}");
    ends_with(&run_while(&bench, HANDLER, 60, &back), FENCED);
    assert!(is_kept_from_use(&bench), "{suite}");
}

/// The others may have deleted it since this node was cut off.
fn without_quorum_a_constraint_that_is_there_already_is_no_permission(suite: Suite) {
    let bench = lost(suite, "down", ALONE);
    ends_with(&run(&bench, HANDLER, 60), FENCED);
    quorum_is(&bench, false);
    ends_with(&run(&bench, HANDLER, 20), STILL_WAITS);
    quorum_is(&bench, true);
    ends_with(&run(&bench, HANDLER, 60), OUTDATED);
}

fn a_peer_that_lost_only_its_connection_is_kept_from_use(suite: Suite) {
    let bench = lost(suite, "member", ALONE);
    // As pbx01 and pbx03 are: online.
    let here = bench.read("cib.xml");
    let of = |node: &str| {
        let from = here.find(&format!("uname=\"{node}\" in_ccm=")).unwrap();
        let state = &here[from..];
        state[..state.find(" join=").unwrap()].to_owned()
    };
    let online = of("pbx01").replace("pbx01", "pbx02");
    bench.write("cib.xml", &here.replace(&of("pbx02"), &online));
    bench.write("controller", "Controller on pbx02 in state S_NOT_DC: ok\n");
    ends_with(&run(&bench, HANDLER, 60), OUTDATED);
    assert!(is_kept_from_use(&bench), "{suite}");
}

fn a_peer_that_connects_again_needs_no_constraint(suite: Suite) {
    let bench = lost(suite, "member", ALONE);
    let connects = format!("sleep 2; sed -i 's,^ 1: .*, 1: {CONNECTED},' drbd");
    ends_with(&run_while(&bench, HANDLER, 60, &connects), FAILED);
    assert!(!is_kept_from_use(&bench), "{suite}");
}

/// DRBD's locks are held meanwhile. It fails, and Pacemaker tries it again.
fn a_promotion_does_not_wait_for_quorum(suite: Suite) {
    let bench = lost(suite, "down", STANDBY);
    quorum_is(&bench, false);
    ends_with(&run(&bench, HANDLER, 60), FAILED);
    assert!(!is_kept_from_use(&bench), "{suite}");
    quorum_is(&bench, true);
    ends_with(&run(&bench, HANDLER, 60), FENCED);
    assert!(is_kept_from_use(&bench), "{suite}");
}

/// This node was away, and pbx02 may have written meanwhile.
fn a_copy_that_may_be_old_is_not_promoted(suite: Suite) {
    let bench = lost(suite, "down", &STANDBY.replace("UpToDate", "Consistent"));
    ends_with(&run(&bench, HANDLER, 60), UNREACHABLE);
    assert!(!is_kept_from_use(&bench), "{suite}");
}
