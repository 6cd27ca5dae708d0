//! Faults of the Docker daemon and of its socket.

use std::time::Duration;

use super::pbx::Pbx;
use super::table::Table;

/// For calls that wait for a Docker that never answers.
const SHORT: Duration = Duration::from_secs(10);

/// For calls that Docker interrupts.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn docker() {
    let faults: [fn(&mut Pbx, &mut Table); 12] = [
        stopped,
        away_at_a_start,
        killed,
        data_elsewhere,
        forgets,
        hangs,
        hangs_in_a_start,
        believes,
        too_old,
        no_socket,
        answers_wrong,
        restarts,
    ];
    Pbx::new().each(Table::of("docker"), &faults);
}

/// One row for each of `answers`, of calls with little time.
#[track_caller]
fn rows(pbx: &Pbx, table: &mut Table, fault: &str, answers: &[(&str, i32, &str)]) {
    for (action, code, meaning) in answers {
        let answer = pbx.call(action).timeout(SHORT).run().expect(*code);
        table.row(fault, "pbx", action, &answer, meaning);
    }
}

const AWAY: &str = "Docker does not answer on /var/run/docker.sock:";

fn stopped(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.host.engine.signal("TERM").unwrap();
    let nothing = format!("{AWAY} ... no process of a container is on this node");
    let answers = [
        ("monitor", 7, nothing.as_str()),
        ("monitor 10", 7, &nothing),
        ("probe", 7, &nothing),
        ("start", 1, AWAY),
        ("stop", 0, ""),
        ("validate-all 10", 5, AWAY),
    ];
    rows(pbx, table, "the daemon is stopped", &answers);
    pbx.host.engine.start_again().unwrap();
}

/// Another node has to have its turn.
fn away_at_a_start(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.engine.signal("TERM").unwrap();
    let call = pbx.call("start").timeout(Duration::from_secs(200));
    let answer = call.run().expect(1);
    let waited = answer.took.as_secs();
    assert!((45..60).contains(&waited), "{answer:?}");
    let fault = "the daemon is stopped, and a start has more than 45 seconds";
    table.row(fault, "pbx", "start", &answer, AWAY);
    pbx.host.engine.start_again().unwrap();
}

/// PostgreSQL removes the file when it has ended in order.
const ENDED_IN_ORDER: &str = "[ ! -e /var/lib/portsip/postgresql/postmaster.pid ]";

fn killed(pbx: &mut Pbx, table: &mut Table) {
    let fault = "the daemon was killed, the containers run";
    pbx.call("start").run().expect(0);
    pbx.host.engine.signal("KILL").unwrap();
    let running = format!("{AWAY} ... but processes of ... portsip.database ... run");
    let answers = [
        ("monitor", 190, running.as_str()),
        ("monitor 10", 190, &running),
        ("probe", 190, &running),
        ("start", 1, AWAY),
        ("stop", 0, ""),
        ("validate-all 10", 5, AWAY),
        ("probe", 7, "no process of a container is on this node"),
    ];
    rows(pbx, table, fault, &answers);
    pbx.host.sh(ENDED_IN_ORDER);
    // Without live-restore, a new daemon ends what it finds.
    pbx.host.engine.start_again().unwrap();
    pbx.rows(
        table,
        "the daemon was killed and is back, without the containers",
        &[
            ("monitor", 7, "no container of project portsip runs"),
            ("start", 0, ""),
            ("stop", 0, ""),
        ],
    );
}

/// Docker's files can't be read, as when its data are elsewhere: what is noted at a start tells which containers are
/// the PBX, and without the note those count that use the data.
fn data_elsewhere(pbx: &mut Pbx, table: &mut Table) {
    pbx.host
        .sh("docker run --detach --name other --network host portsip/pbx:22 sleep infinity");
    for (fault, forget) in [
        ("the daemon was killed, and its data are elsewhere", "true"),
        (
            "the daemon was killed, its data are elsewhere, and there is no note of the start",
            "rm /run/portsip-ha/pbx-*.json",
        ),
    ] {
        pbx.call("start").run().expect(0);
        pbx.host.engine.signal("KILL").unwrap();
        pbx.host.sh(&format!(
            "mv /var/lib/docker/containers /var/lib/docker/hidden; {forget}"
        ));
        let noted = forget == "true";
        let probe = if noted { 190 } else { 1 };
        let seen = if noted {
            "portsip.database"
        } else {
            "container "
        };
        let answers = [
            ("monitor", 190, seen),
            ("probe", probe, seen),
            ("stop", 0, ""),
            ("probe", 7, "no process of a container is on this node"),
        ];
        rows(pbx, table, fault, &answers);
        pbx.host
            .sh("mv /var/lib/docker/hidden /var/lib/docker/containers");
        pbx.host.sh("pgrep -x sleep >/dev/null");
        pbx.host.engine.start_again().unwrap();
        pbx.host.sh("docker start other");
    }
    pbx.host.sh("docker rm --force other");
}

/// The daemon comes back with other data, as after a change of its data-root: it lists nothing, and ends nothing.
/// A container of somebody else, of which nothing is known either, reads the data.
fn forgets(pbx: &mut Pbx, table: &mut Table) {
    pbx.host
        .sh("docker run --detach --name other --network host --volume portsip_pbx:/data:ro portsip/pbx:22 sleep infinity");
    pbx.call("start").run().expect(0);
    pbx.host.engine.signal("KILL").unwrap();
    pbx.host
        .sh("mv /var/lib/docker/containers /var/lib/docker/hidden");
    pbx.host.engine.start_again().unwrap();
    assert_eq!(pbx.host.running(), [""; 0]);
    let seen = "processes of ... portsip.database ... run, although the PBX does not";
    let answers = [
        ("monitor", 1, seen),
        ("monitor 10", 1, seen),
        ("probe", 1, seen),
        ("start", 5, "project portsip has no containers here"),
        ("stop", 0, ""),
        (
            "monitor",
            7,
            "there are no containers of project portsip here",
        ),
        (
            "probe",
            7,
            "there are no containers of project portsip here",
        ),
    ];
    let fault = "the daemon comes back without its data, the containers run";
    pbx.rows(table, fault, &answers);
    pbx.host.sh(ENDED_IN_ORDER);
    pbx.host.sh("pgrep -x sleep >/dev/null");
    pbx.host.engine.signal("TERM").unwrap();
    pbx.host.sh(
        "rm -rf /var/lib/docker/containers; mv /var/lib/docker/hidden /var/lib/docker/containers",
    );
    pbx.host.engine.start_again().unwrap();
    pbx.host.sh("docker rm --force other");
}

/// An order that Docker has not confirmed may be carried out later.
fn hangs_in_a_start(pbx: &mut Pbx, table: &mut Table) {
    let fault = "the daemon hangs in the midst of a start";
    let starting = pbx.call("start").timeout(Duration::from_secs(20)).spawn();
    pbx.wait_for("[ -n \"$(docker ps --quiet)\" ]");
    pbx.host.engine.signal("STOP").unwrap();
    // What it says depends on how far it came.
    starting.answer().expect(1);
    let answers = [(
        "stop",
        1,
        "Docker hangs with a command to start a container",
    )];
    rows(pbx, table, fault, &answers);
    pbx.host.engine.signal("CONT").unwrap();
    let answer = pbx.call("stop").timeout(LONG).run().expect(0);
    table.row("the daemon goes on after that", "pbx", "stop", &answer, "");
    assert_eq!(pbx.host.running(), [""; 0]);
}

/// Nobody tells Docker that the process has ended. A container without health checks: a check that nobody waits for
/// would keep the process from its end.
fn believes(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.host.sh(
        "docker ps --format '{{.Names}}' | grep -v gateway | xargs docker stop --time 5; \
         pid=$(docker inspect --format '{{.State.Pid}}' portsip.gateway); \
         awk '{print $4}' /proc/$pid/stat >/run/shim; kill -STOP $(cat /run/shim); kill -KILL $pid",
    );
    let fault = "Docker believes that a container runs, but it has no process";
    let meaning = "Docker believes that some do, but none has a process";
    pbx.rows(table, fault, &[("probe", 7, meaning)]);
    let call = pbx.call("stop").timeout(Duration::from_secs(120));
    let answer = call.parameter("stop_grace", "1").run().expect(0);
    table.row(fault, "pbx", "stop", &answer, "");
    pbx.host.sh("kill -CONT $(cat /run/shim)");
    pbx.wait_for("[ -z \"$(docker ps --quiet)\" ]");
}

fn hangs(pbx: &mut Pbx, table: &mut Table) {
    let fault = "the daemon hangs";
    pbx.call("start").run().expect(0);
    pbx.host.engine.signal("STOP").unwrap();
    let running =
        format!("{AWAY} ... no answer in ... but processes of ... portsip.database ... run");
    let answers = [
        ("monitor", 190, running.as_str()),
        ("monitor 10", 190, &running),
        ("start", 1, "no answer in"),
        ("validate-all 10", 5, "no answer in"),
        ("stop", 0, ""),
    ];
    rows(pbx, table, fault, &answers);
    pbx.host.sh(ENDED_IN_ORDER);
    pbx.host.engine.signal("CONT").unwrap();
    pbx.call("stop").run().expect(0);
    pbx.host.engine.signal("STOP").unwrap();
    let answers = [
        (
            "monitor",
            7,
            "no answer in ... no process of a container is on this node",
        ),
        ("stop", 0, ""),
    ];
    rows(pbx, table, "the daemon hangs, and nothing runs", &answers);
    pbx.host.engine.signal("CONT").unwrap();
}

/// A version that is not supported any more. A PBX that runs on it goes on and can be stopped.
fn too_old(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    let socket = pbx.docker_of_version("old", "20.10.24+dfsg1");
    let meaning = "Docker 20.10.24+dfsg1 is too old: install 20.10.27 or later";
    for (action, code, meaning) in [
        ("monitor", 0, ""),
        ("validate-all 10", 5, meaning),
        ("stop", 0, ""),
        ("start", 5, meaning),
        ("monitor", 7, "no container of project portsip runs"),
    ] {
        let call = pbx.call(action).timeout(LONG);
        let answer = call.parameter("docker_socket", &socket).run().expect(code);
        table.row(
            "Docker is older than 20.10.27",
            "pbx",
            action,
            &answer,
            meaning,
        );
    }
    assert_eq!(pbx.host.running(), [""; 0]);
}

fn no_socket(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.host.sh("mv /run/docker.sock /run/docker.hidden");
    let missing = "there is no such socket";
    let answers = [
        (
            "monitor",
            190,
            "there is no such socket; but processes of ... portsip.database ... run",
        ),
        ("start", 1, missing),
        ("validate-all 10", 5, missing),
        ("stop", 0, ""),
    ];
    rows(pbx, table, "the socket is gone", &answers);
    pbx.host.sh(ENDED_IN_ORDER);
    pbx.host.sh("mv /run/docker.hidden /run/docker.sock");
    pbx.call("stop").run().expect(0);
}

fn answers_wrong(pbx: &mut Pbx, table: &mut Table) {
    for (name, answer, fault, meaning) in [
        (
            "broken",
            "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"message\":\"out of luck\"}",
            "Docker answers with 500",
            "Docker says: out of luck (500)",
        ),
        (
            "other",
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>It works!",
            "what answers is no Docker",
            "is not understood",
        ),
        (
            "closes",
            "",
            "the connection is closed without an answer",
            "Docker does not answer",
        ),
    ] {
        pbx.call("start").run().expect(0);
        let socket = pbx.false_docker(name, Some(answer));
        let mut row = |action: &str, code, meaning: &str| {
            let call = pbx.call(action).timeout(SHORT);
            let answer = call.parameter("docker_socket", &socket).run().expect(code);
            table.row(fault, "pbx", action, &answer, meaning);
        };
        row(
            "monitor",
            190,
            &format!("{meaning} ... but processes of ... portsip.database ... run"),
        );
        row("start", 1, meaning);
        row("validate-all 10", 5, meaning);
        row("stop", 0, "");
    }
}

fn restarts(pbx: &mut Pbx, table: &mut Table) {
    for (action, midst) in [
        ("start", "[ -n \"$(docker ps --quiet)\" ]"),
        ("stop", "docker ps --all | grep -q Exited"),
    ] {
        pbx.renew();
        if action == "stop" {
            pbx.call("start").run().expect(0);
        }
        let running = pbx.call(action).timeout(LONG).spawn();
        pbx.wait_for(midst);
        pbx.host.engine.signal("KILL").unwrap();
        pbx.host.engine.start_again().unwrap();
        let answer = running.answer().expect(0);
        let fault = format!("the daemon is killed in the midst of a {action} and comes back");
        table.row(&fault, "pbx", action, &answer, "");
        let runs = i32::from(action == "stop") * 7;
        pbx.call("monitor").run().expect(runs);
    }
}

/// SIGKILL at any moment; then the same action again, and all is as if it had not happened.
#[test]
fn an_action_of_pbx_that_was_killed_and_is_done_again_converges() {
    let pbx = Pbx::new();
    let whole = ["start", "stop"].map(|action| {
        let answer = pbx.call(action).timeout(LONG).run().expect(0);
        (action, answer.took)
    });
    let mut killed = 0;
    for number in 1..=5 {
        for (action, whole) in whole {
            let running = pbx.call(action).timeout(LONG).spawn();
            // Spread over what the action takes here.
            std::thread::sleep(whole * number / 6);
            let agents = "pids=$(pidof pbx) && kill -KILL $pids";
            killed += u32::from(pbx.host.try_sh(agents).is_ok());
            running.answer();
            pbx.call(action).timeout(LONG).run().expect(0);
            let left = pbx.host.running().len();
            if action == "start" {
                assert_eq!(left, lab::pbx::CONTAINERS.len());
                pbx.call("monitor").run().expect(0);
            } else {
                assert_eq!(left, 0);
                pbx.call("monitor").run().expect(7);
            }
        }
    }
    eprintln!("{killed} of 10 actions were killed before their end");
    assert!(killed > 3, "only {killed} of 10 were killed in time");
}
