//! The PBX stand-in in a real Docker: what the cluster relies on when it starts, stops and loses a PBX.
//! No node around it: dockerd of the node image on a copy of a node's Docker data.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use lab::pbx::{self, Behaviour, Crash, Host, Times};
use lab::site;

// Hosts are shared, because to make one takes longer than most of what is tried on it.

#[test]
fn a_host_without_data() {
    let place = Host::new(&[]).unwrap();
    a_standby_creates_the_containers_and_cannot_start_them(&place);
    the_images_say_what_they_are_and_show_no_password(&place);
    an_extended_server_runs_without_the_pbx_s_data(&place);
    place.mount();
    the_database_leaves_a_directory_alone_that_is_not_its_own(&place);
    a_first_start_that_was_cut_short_is_done_again(&place);
}

#[test]
fn a_host_with_data() {
    let place = Host::initialised(&[]).unwrap();
    assert_eq!(
        place.running(),
        Vec::<String>::new(),
        "initialising left something running"
    );
    // Pacemaker's agent does this too: Docker starts nothing again that has ended.
    place.sh("docker update --restart=no $(docker ps --all --quiet)");
    sip_and_portal_answer_late_and_later_on_new_data(&place);
    ports_are_moved_or_absent(&place);
    a_service_crashes_once_or_always(&place);
    a_stop_takes_its_time(&place);
    a_setting_that_is_not_understood_is_not_ignored(&place);
    place.sh(&format!("rm {}/pbx/stand-in/behaviour", pbx::DATA_DIR));
    the_whole_pbx_starts_answers_and_stops_at_once(&place);
    a_killed_database_has_every_committed_row(&place);
}

/// Waits until a port is listened on, and asks it for SIP OPTIONS.
#[track_caller]
fn answers_sip(place: &Host, transport: &str, port: u16) {
    listens(place, transport, port);
    let vip = site::VIP;
    let via = transport.to_uppercase();
    let options = format!(
        "OPTIONS sip:{vip} SIP/2.0\\r\\nVia: SIP/2.0/{via} {vip}:9;rport;branch=z9hG4bK1\\r\\nMax-Forwards: 5\\r\\n\
         From: <sip:a@{vip}>;tag=1\\r\\nTo: <sip:{vip}>\\r\\nCall-ID: 1\\r\\nCSeq: 1 OPTIONS\\r\\nContent-Length: 0\\r\\n\\r\\n"
    );
    let answer = place.sh(&match transport {
        // s_client ends with its input, which is this shell's coprocess.
        "tls" => format!(
            "coproc docker exec --interactive portsip.callmanager \
             openssl s_client -quiet -no_ign_eof -connect {vip}:{port} 2>/dev/null
             printf '{options}' >&${{COPROC[1]}}; timeout 10 head -n 1 <&${{COPROC[0]}}"
        ),
        // `cat` because a datagram is one write.
        _ => format!(
            "exec 3<>/dev/{transport}/{vip}/{port}; printf '{options}' | cat >&3; timeout 5 head -n 1 <&3"
        ),
    });
    assert!(
        answer.starts_with("SIP/2.0 200 OK"),
        "{transport} {port}: {answer}"
    );
}

/// Waits until a port is listened on, and asks it for the portal's page.
#[track_caller]
fn answers_web(place: &Host, port: u16) {
    listens(place, "tcp", port);
    let page = place.sh(&format!(
        "curl --silent --show-error --insecure https://{}:{port}/",
        site::VIP
    ));
    assert!(page.contains("stand-in"), "{page}");
}

#[track_caller]
fn listens(place: &Host, transport: &str, port: u16) {
    let option = if transport == "udp" { "u" } else { "t" };
    place.sh(&format!(
        "until ss -Hln{option} \"sport = :{port}\" | grep -q .; do sleep 0.05; done"
    ));
}

const COMPOSE: &str = "docker compose --project-directory /etc/portsip/pbx";

fn a_standby_creates_the_containers_and_cannot_start_them(place: &Host) {
    let created = place.sh("docker ps --all --format '{{.Names}} {{.State}}'");
    for name in pbx::CONTAINERS {
        assert!(
            created.contains(&format!("{name} created")),
            "{name} is missing:\n{created}"
        );
    }
    assert_eq!(
        created.lines().count(),
        pbx::CONTAINERS.len(),
        "more than the list:\n{created}"
    );
    for name in ["portsip.database", "portsip.nats"] {
        let error = place
            .try_sh(&format!("docker start {name}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("failed to mount local volume"),
            "{name}: {error}"
        );
    }
    let left = place.sh(&format!("ls -A {}", pbx::DATA_DIR));
    assert_eq!(left, "", "the attempt wrote to the root disk");
}

fn the_whole_pbx_starts_answers_and_stops_at_once(place: &Host) {
    // Once more: harmless.
    place.sh(pbx::INITIALISE_DATA[1]);

    place.sh(&format!("{COMPOSE} start"));
    let running = place.running();
    for name in pbx::CONTAINERS {
        assert!(
            running.iter().any(|r| r == name),
            "{name} does not run: {running:?}"
        );
    }
    for (transport, port) in [("udp", 5060), ("tcp", 5063), ("tls", 5061)] {
        answers_sip(place, transport, port);
    }
    answers_web(place, 8887);
    let version = place.sh(&format!("head -n 1 {}/pbx/VERSION", pbx::DATA_DIR));
    assert_eq!(version.trim(), pbx::VERSION);
    assert_eq!(place.sql("SELECT current_database()").trim(), pbx::DATABASE);

    for name in running {
        let began = Instant::now();
        place.sh(&format!("docker stop {name}"));
        // Ten seconds would be Docker's SIGKILL.
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(4),
            "{name} took {took:?} to stop"
        );
    }
    let mounts = place.sh("grep -c docker/volumes /proc/mounts || true");
    assert_eq!(mounts.trim(), "0", "a stopped PBX holds the volume");
}

fn a_killed_database_has_every_committed_row(place: &Host) {
    place.sh(&format!("{COMPOSE} up --detach --wait database"));
    place.sql("CREATE TABLE calls (n int); INSERT INTO calls SELECT generate_series(1, 5000)");
    place.sh("docker kill portsip.database");
    place.sh(&format!(
        "{COMPOSE} start database && {COMPOSE} up --no-recreate --detach --wait database"
    ));
    assert_eq!(place.sql("SELECT count(*) FROM calls").trim(), "5000");
    let log = place.sh("docker logs portsip.database 2>&1");
    assert!(
        log.contains("automatic recovery in progress"),
        "it was not killed:\n{log}"
    );
}

fn the_database_leaves_a_directory_alone_that_is_not_its_own(place: &Host) {
    place.sh(&format!(
        "cd {}; mkdir pbx postgresql; echo precious > postgresql/file",
        pbx::DATA_DIR
    ));
    let before = place.sh(&format!("ls -lA {}/postgresql", pbx::DATA_DIR));
    place.sh("docker update --restart=no portsip.database; docker start portsip.database; docker wait portsip.database");
    let log = place.sh("docker logs portsip.database 2>&1");
    assert!(
        log.contains("neither empty nor a PostgreSQL data directory"),
        "{log}"
    );
    assert_eq!(
        place.sh(&format!("ls -lA {}/postgresql", pbx::DATA_DIR)),
        before
    );
}

fn a_first_start_that_was_cut_short_is_done_again(place: &Host) {
    // What is there when the power goes while initdb works or its result is being moved.
    place.sh(&format!(
        "cd {}; rm -r pbx postgresql; mkdir -p pbx postgresql/.initdb/base postgresql/global; echo 15 > postgresql/.initdb/PG_VERSION",
        pbx::DATA_DIR
    ));
    place.sh(&format!("{COMPOSE} up --detach --wait database"));
    place.sh(pbx::INITIALISE_DATA[1]);
    assert_eq!(place.sql("SHOW data_checksums").trim(), "on");
}

fn the_images_say_what_they_are_and_show_no_password(place: &Host) {
    for image in [
        pbx::PBX_IMAGE,
        pbx::DATABASE_IMAGE,
        pbx::CERTIFICATE_MANAGER_IMAGE,
    ] {
        let labels = place.sh(&format!(
            "docker image inspect --format '{{{{json .Config.Labels}}}}' {image}"
        ));
        assert!(
            labels.contains(&format!("\"version\":\"{}\"", pbx::VERSION)),
            "{labels}"
        );
        assert!(labels.contains("not PortSIP's image"), "{labels}");
    }
    let containers = place.sh("docker inspect $(docker ps --all --quiet)");
    assert!(
        !containers.contains("not a secret"),
        "a container's definition holds the password"
    );
}

fn an_extended_server_runs_without_the_pbx_s_data(place: &Host) {
    let image = pbx::PBX_IMAGE;
    let conf = "/usr/local/bin/conf -D /var/lib/portsip/pbx";
    place.sh(&format!(
        "docker run --detach --name extended --network host {image} {conf} -E -a {} -x 172.31.16.140 -n conf1 start",
        site::VIP
    ));
    let log = place.sh(
        "timeout 10 sh -c 'until docker logs extended | grep -q conf1; do sleep 0.1; done'; docker logs extended; docker stop extended",
    );
    assert!(log.contains("extended server conf1"), "{log}");
    let error = place
        .try_sh(&format!("docker run --network host {image} {conf} start"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("holds no PBX data"), "{error}");
}

fn sip_and_portal_answer_late_and_later_on_new_data(place: &Host) {
    let names = "portsip.callmanager portsip.webserver";
    let behave = |answers_after| {
        let behaviour = Behaviour {
            answers_after: Duration::from_secs(answers_after),
            first_start_takes: Duration::from_secs(2),
            ..Behaviour::default()
        };
        place.sh(&behaviour.script());
    };
    behave(60);
    place.sh(&format!("docker start {names}"));
    assert_eq!(place.running().len(), 2);
    assert_eq!(listening(place), "", "they have not waited");
    let codes = place.sh(&format!(
        "docker stop {names} >&2; docker inspect --format '{{{{.State.ExitCode}}}}' {names}"
    ));
    assert_eq!(codes, "0\n0\n", "a stop has to wait for the answer");

    behave(1);
    let until_both_listen = || {
        let began = Instant::now();
        place.sh(&format!("docker start {names}"));
        listens(place, "udp", 5060);
        listens(place, "tcp", 8887);
        began.elapsed()
    };
    let first = until_both_listen();
    assert!(first >= Duration::from_secs(3), "{first:?}");
    place.sh(&format!("docker stop {names}"));
    let second = until_both_listen();
    assert!(second >= Duration::from_secs(1), "{second:?}");
    for name in ["portsip.callmanager", "portsip.webserver"] {
        let log = place.sh(&format!("docker logs {name} 2>&1"));
        let first_starts = log.matches("the first start on this data").count();
        assert_eq!(first_starts, 1, "{log}");
    }
}

fn ports_are_moved_or_absent(place: &Host) {
    let restart = |behaviour: &Behaviour| {
        place.sh(&behaviour.script());
        place.sh("docker restart portsip.callmanager portsip.webserver");
    };
    restart(&Behaviour {
        sip_udp: Some(5070),
        sip_tcp: Some(5073),
        sip_tls: Some(5071),
        web: Some(8890),
        ..Behaviour::default()
    });
    for (transport, port) in [("udp", 5070), ("tcp", 5073), ("tls", 5071)] {
        answers_sip(place, transport, port);
    }
    answers_web(place, 8890);
    assert_eq!(listening(place), "tcp:5071 tcp:5073 tcp:8890 udp:5070");

    let none = Behaviour {
        sip_udp: None,
        sip_tcp: None,
        sip_tls: None,
        web: None,
        ..Behaviour::default()
    };
    restart(&Behaviour {
        sip_tls: Some(5061),
        ..none.clone()
    });
    answers_sip(place, "tls", 5061);
    assert_eq!(listening(place), "tcp:5061");

    restart(&none);
    place.sh("until docker logs --tail 1 portsip.callmanager | grep -q 'nothing listens'; do sleep 0.05; done");
    assert_eq!(listening(place), "");
    assert_eq!(place.running().len(), 2);
    place.sh("docker stop portsip.callmanager portsip.webserver");
}

fn a_service_crashes_once_or_always(place: &Host) {
    let crash = |service, times| Crash {
        service,
        after: Duration::from_millis(500),
        times,
    };
    let crashing = Behaviour {
        crashes: vec![
            crash("announcement", Times::Count(1)),
            crash("nats", Times::Always),
        ],
        ..Behaviour::default()
    };
    let start = |names: &str| place.sh(&format!("docker start {names} >&2; docker wait {names}"));
    place.sh(&crashing.script());
    let codes = start("portsip.announcement portsip.nats");
    assert_eq!(codes, "134\n134\n");

    place.sh("docker start portsip.announcement");
    assert_eq!(start("portsip.nats"), "134\n");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(place.running(), ["portsip.announcement"]);
    let log = place.sh("docker logs portsip.announcement 2>&1");
    assert_eq!(log.matches("crashes now").count(), 1, "{log}");
    place.sh("docker stop portsip.announcement");

    place.sh(&crashing.script());
    assert_eq!(start("portsip.announcement"), "134\n", "the second order");
}

fn a_stop_takes_its_time(place: &Host) {
    let stop_takes = |seconds| {
        let behaviour = Behaviour {
            stop_takes: Duration::from_secs(seconds),
            ..Behaviour::default()
        };
        place.sh(&behaviour.script());
    };
    let stop = |grace: u32| {
        let began = Instant::now();
        place.sh(&format!("docker stop -t {grace} portsip.voicemail"));
        let code = place.sh("docker inspect --format '{{.State.ExitCode}}' portsip.voicemail");
        (began.elapsed(), code.trim().to_owned())
    };
    stop_takes(0);
    place.sh("docker start portsip.voicemail");
    // A container's first process hears no signal before it has a trap for it; then it starts `sleep`.
    place.sh(
        "timeout 60 sh -c 'until docker top portsip.voicemail | grep -q sleep; do sleep 0.1; done'",
    );
    // While it runs.
    stop_takes(2);
    let (took, code) = stop(60);
    assert_eq!(code, "0");
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");

    stop_takes(60);
    place.sh("docker start portsip.voicemail");
    let (took, code) = stop(1);
    assert_eq!(code, "137", "it was not killed");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

fn a_setting_that_is_not_understood_is_not_ignored(place: &Host) {
    for wrong in [
        "answer_after 20",
        "answers_after soon",
        "crash database 5 1",
    ] {
        let seen = place.sh(&format!(
            "echo {wrong} >{}/pbx/stand-in/behaviour
             docker start portsip.ai >&2; docker wait portsip.ai; docker logs --tail 1 portsip.ai 2>&1",
            pbx::DATA_DIR
        ));
        let (code, log) = seen.split_once('\n').unwrap();
        assert_eq!(code, "1", "{wrong}: {log}");
        assert!(log.contains(&format!("wrong line: {wrong}")), "{log}");
    }
}

/// The transports and ports that something listens on, sorted.
fn listening(place: &Host) -> String {
    place
        .sh("ss -Hlutn | awk '{sub(/.*:/, \"\", $5); print $1 \":\" $5}' | sort -u | tr '\\n' ' '")
        .trim_end()
        .to_owned()
}
