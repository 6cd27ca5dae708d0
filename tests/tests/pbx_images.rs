//! The PBX stand-in in a real Docker: what the cluster relies on when it starts, stops and loses a PBX.
//! No node around it: dockerd of the node image on a copy of a node's Docker data.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use lab::pbx::{self, Host};
use lab::site;

const COMPOSE: &str = "docker compose --project-directory /etc/portsip/pbx";

#[test]
fn a_standby_creates_the_containers_and_cannot_start_them() {
    let place = Host::new(&[]).unwrap();
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

#[test]
fn the_whole_pbx_starts_answers_and_stops_at_once() {
    let place = Host::initialised(&[]).unwrap();
    assert_eq!(
        place.running(),
        Vec::<String>::new(),
        "initialising left something running"
    );
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
    let vip = site::VIP;
    let options = format!(
        "OPTIONS sip:{vip} SIP/2.0\\r\\nVia: SIP/2.0/UDP {vip}:9;rport;branch=z9hG4bK1\\r\\nMax-Forwards: 5\\r\\n\
         From: <sip:a@{vip}>;tag=1\\r\\nTo: <sip:{vip}>\\r\\nCall-ID: 1\\r\\nCSeq: 1 OPTIONS\\r\\nContent-Length: 0\\r\\n\\r\\n"
    );
    let answer = place.sh(&format!(
        "until ss --no-header -lun src {vip}:5060 | grep -q .; do sleep 0.05; done
         exec 3<>/dev/udp/{vip}/5060; printf '{options}' | cat >&3; timeout 5 head -n 1 <&3"
    ));
    assert!(answer.starts_with("SIP/2.0 200 OK"), "{answer}");
    let page = place.sh(&format!("curl --silent --insecure --retry-connrefused --retry 20 --retry-delay 1 https://{vip}:8887/"));
    assert!(page.contains("stand-in"), "{page}");
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

#[test]
fn a_killed_database_has_every_committed_row() {
    let place = Host::initialised(&[]).unwrap();
    place.sh(&format!("{COMPOSE} up --detach --wait database"));
    place.sql("CREATE TABLE calls (n int); INSERT INTO calls SELECT generate_series(1, 5000)");
    place.sh("docker update --restart=no portsip.database && docker kill portsip.database");
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

#[test]
fn the_database_leaves_a_directory_alone_that_is_not_its_own() {
    let place = Host::new(&[]).unwrap();
    place.mount();
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

#[test]
fn a_first_start_that_was_cut_short_is_done_again() {
    let place = Host::new(&[]).unwrap();
    place.mount();
    // What is there when the power goes while initdb works or its result is being moved.
    place.sh(&format!(
        "cd {}; mkdir -p pbx postgresql/.initdb/base postgresql/global; echo 15 > postgresql/.initdb/PG_VERSION",
        pbx::DATA_DIR
    ));
    place.sh(&format!("{COMPOSE} up --detach --wait database"));
    place.sh(pbx::INITIALISE_DATA[1]);
    assert_eq!(place.sql("SHOW data_checksums").trim(), "on");
}

#[test]
fn the_images_say_what_they_are_and_show_no_password() {
    let place = Host::new(&[]).unwrap();
    for image in [pbx::PBX_IMAGE, pbx::DATABASE_IMAGE] {
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

#[test]
fn an_extended_server_runs_without_the_pbx_s_data() {
    let place = Host::new(&[]).unwrap();
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
