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
    let faults: [fn(&mut Pbx, &mut Table); 7] = [
        stopped,
        killed,
        hangs,
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
        ("start", 1, AWAY),
        ("stop", 0, ""),
        ("validate-all 10", 5, AWAY),
    ];
    rows(pbx, table, "the daemon is stopped", &answers);
    pbx.host.engine.start_again().unwrap();
}

fn killed(pbx: &mut Pbx, table: &mut Table) {
    let fault = "the daemon was killed, the containers run";
    pbx.call("start").run().expect(0);
    pbx.host.engine.signal("KILL").unwrap();
    let running = format!("{AWAY} ... but processes of ... portsip.database ... run");
    let answers = [
        ("monitor", 190, running.as_str()),
        ("monitor 10", 190, &running),
        ("start", 1, AWAY),
        ("stop", 1, "portsip.database ... still run"),
        ("validate-all 10", 5, AWAY),
    ];
    rows(pbx, table, fault, &answers);
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
        ("stop", 1, "portsip.database ... still run"),
        ("validate-all 10", 5, "no answer in"),
    ];
    rows(pbx, table, fault, &answers);
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
        ("stop", 1, "portsip.database ... still run"),
        ("validate-all 10", 5, missing),
    ];
    rows(pbx, table, "the socket is gone", &answers);
    pbx.host.sh("mv /run/docker.hidden /run/docker.sock");
    pbx.call("stop").run().expect(0);
}

fn answers_wrong(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
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
        row(
            "stop",
            1,
            &format!("{meaning} ... portsip.database ... still run"),
        );
        row("validate-all 10", 5, meaning);
    }
    pbx.call("stop").run().expect(0);
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
