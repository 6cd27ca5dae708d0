//! Faults of single containers, with a Docker that works. What they serve is in `answers`.

use std::time::Duration;

use lab::pbx::{CONTAINERS, DATA_DIR};

use super::answers;
use super::leftovers;
use super::made_for;
use super::pbx::Pbx;
use super::repair;
use super::table::Table;
use super::users;

#[test]
fn containers() {
    let faults: [fn(&mut Pbx, &mut Table); 37] = [
        nothing_is_wrong,
        one_off,
        not_mounted,
        ended,
        repair::crashed,
        repair::needed_by_others,
        repair::not_ours_to_repair,
        repair::after_a_signal_that_ends_nothing,
        paused,
        removed,
        restarting,
        unhealthy,
        dies_while_starting,
        deaf_to_sigterm,
        longer_grace,
        leftovers::duplicate,
        leftovers::made_anew,
        leftovers::does_one_thing,
        leftovers::two_databases,
        leftovers::versions,
        leftovers::optional_dependency,
        users::foreign,
        users::foreign_beside,
        users::reader,
        users::bystander,
        users::private_tree,
        answers::hang,
        answers::no_address,
        answers::late,
        answers::never,
        answers::over_each_transport,
        answers::elsewhere,
        made_for::another_address,
        made_for::another_data_path,
        made_for::a_directory_of_the_root_disk,
        made_for::a_link_to_the_data,
        absent,
    ];
    Pbx::new().each(Table::of("containers"), &faults);
}

/// What every other fault is measured against.
fn nothing_is_wrong(pbx: &mut Pbx, table: &mut Table) {
    let answers = [
        ("monitor", 7, "no container of project portsip runs"),
        ("probe", 7, "no container of project portsip runs"),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
        ("start", 0, ""),
    ];
    pbx.rows(table, "none, and it does not run", &answers);
    assert_eq!(pbx.host.running().len(), CONTAINERS.len());
    let answers = [
        ("start", 0, ""),
        ("monitor", 0, ""),
        ("monitor 10", 0, ""),
        ("probe", 0, ""),
        ("validate-all 10", 0, ""),
        ("stop", 0, ""),
    ];
    pbx.rows(table, "none, and it runs", &answers);
    assert_eq!(pbx.host.running(), [""; 0]);
}

const ONE_OFF: &str = "docker run --detach --name forgotten --network host \
    --label com.docker.compose.project=portsip --label com.docker.compose.service=initdt \
    --label com.docker.compose.oneoff=True \
    --volume portsip_pbx:/var/lib/portsip/pbx portsip/pbx:22 sleep infinity";

fn one_off(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container of `docker compose run` was left running";
    pbx.host.sh(ONE_OFF);
    pbx.rows(
        table,
        fault,
        &[
            (
                "monitor",
                1,
                "processes of forgotten run, although the PBX does not",
            ),
            (
                "probe",
                1,
                "processes of forgotten run, although the PBX does not",
            ),
        ],
    );
    pbx.rows(
        table,
        fault,
        &[
            ("start", 0, ""),
            ("monitor", 0, ""),
            ("validate-all 10", 0, ""),
        ],
    );
    pbx.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(pbx.host.running(), [""; 0], "it holds the file system");
    pbx.renew();
}

fn not_mounted(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(&format!("umount {DATA_DIR}"));
    let answers = [
        ("start", 1, "nothing is mounted on /var/lib/portsip"),
        ("monitor", 7, "no container of project portsip runs"),
        ("monitor 10", 7, "no container of project portsip runs"),
        ("stop", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    pbx.rows(table, "the volume is not mounted", &answers);
    pbx.host.mount();
}

fn ended(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container was ended by `docker kill`";
    pbx.call("start").run().expect(0);
    let end = || {
        pbx.host.sh("docker kill portsip.gateway");
        pbx.wait("portsip.gateway", "exited");
    };
    end();
    let meaning =
        "16 containers run, but not portsip.gateway (Exited (137) ... was ended through Docker";
    let answers = [
        ("monitor", 1, meaning),
        ("monitor 10", 1, meaning),
        ("validate-all 10", 0, ""),
        ("start", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    end();
    pbx.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(pbx.host.running(), [""; 0]);
}

fn paused(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container is paused";
    pbx.call("start").run().expect(0);
    pbx.host.sh("docker pause portsip.gateway");
    let meaning = "16 containers run, but not portsip.gateway ... (Paused): somebody paused it with `docker pause`, and it serves nobody";
    let answers = [
        ("monitor", 1, meaning),
        ("monitor 10", 1, meaning),
        ("validate-all 10", 0, ""),
        ("start", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    pbx.host.sh("docker pause portsip.gateway");
    pbx.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(pbx.host.running(), [""; 0]);
}

fn removed(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container was removed";
    pbx.call("start").run().expect(0);
    pbx.host.sh("docker rm --force portsip.ai");
    let meaning = "there is no container any more of ai";
    // Only what was started before says that it should be there.
    let answers = [
        ("monitor", 1, meaning),
        ("monitor 10", 1, meaning),
        ("validate-all 10", 0, ""),
        ("stop", 0, ""),
        ("start", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    let fault = "a container that others need was removed";
    pbx.host.sh("docker rm --force portsip.nats");
    let meaning = "depends on the service nats, which has no container in the project";
    let answers = [
        ("monitor", 1, "there is no container any more of nats"),
        ("monitor 10", 1, "there is no container any more of nats"),
        ("validate-all 10", 5, meaning),
        ("start", 5, meaning),
        ("stop", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    pbx.renew();
}

fn restarting(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container ends, and Docker starts it again and again";
    let begin = || {
        pbx.replace("portsip.ai", "ai", "exit 3");
        pbx.host
            .sh("docker update --restart=always portsip.ai; docker restart --time 1 portsip.ai");
        // Long enough between two starts that a monitor does not see it run.
        pbx.wait_for("[ $(docker inspect --format '{{.RestartCount}}' portsip.ai) -gt 5 ]");
        pbx.wait("portsip.ai", "restarting");
    };
    pbx.call("start").run().expect(0);
    begin();
    let meaning = "16 containers run, but not portsip.ai (Restarting (3)";
    let answers = [
        ("monitor", 1, meaning),
        ("monitor 10", 1, meaning),
        ("validate-all 10", 0, ""),
        ("start", 1, "portsip.ai has ended again with code 3"),
    ];
    pbx.rows(table, fault, &answers);
    begin();
    pbx.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(pbx.host.running(), [""; 0]);
    let policy = pbx
        .host
        .sh("docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' portsip.ai");
    assert_eq!(policy.trim(), "no", "after a reboot Docker would start it");
    pbx.renew();
}

fn unhealthy(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container is unhealthy";
    pbx.call("start").run().expect(0);
    pbx.replace(
        "portsip.nats",
        "portsip-health",
        "echo the bus is full; exit 1",
    );
    pbx.wait("portsip.nats", "unhealthy");
    let answers = [
        ("monitor", 1, "unhealthy: portsip.nats"),
        ("monitor 10", 1, "unhealthy: portsip.nats"),
        ("validate-all 10", 0, ""),
        (
            "start",
            1,
            "portsip.nats is unhealthy, its last check said: the bus is full",
        ),
        ("stop", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    pbx.renew();
}

fn dies_while_starting(pbx: &mut Pbx, table: &mut Table) {
    let fault = "a container ends during the start";
    pbx.replace("portsip.callmanager", "callmanager", "exit 3");
    let answers = [
        (
            "start",
            1,
            "project portsip was started, and then: ... but not portsip.callmanager (Exited (3)",
        ),
        ("monitor", 1, "but not portsip.callmanager (Exited (3)"),
        ("stop", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    pbx.renew();
    let fault = "a container for which others wait ends during the start";
    pbx.replace("portsip.nats", "nats", "echo no space; exit 3");
    let answers = [
        (
            "start",
            1,
            "portsip.nats has ended with code 3, and others wait for it ... no space",
        ),
        ("monitor", 1, "but not ... portsip.nats (Exited (3)"),
        ("stop", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    assert_eq!(pbx.host.running(), [""; 0]);
    pbx.renew();
}

fn deaf_to_sigterm(pbx: &mut Pbx, table: &mut Table) {
    pbx.replace("portsip.ai", "ai", "trap : TERM; while :; do sleep 1; done");
    pbx.call("start").run().expect(0);
    let answer = pbx
        .call("stop")
        .parameter("stop_grace", "2")
        .run()
        .expect(0);
    assert!(
        answer.took > Duration::from_secs(2),
        "it was not deaf: {answer:?}"
    );
    assert_eq!(pbx.host.running(), [""; 0]);
    table.row("a container ignores SIGTERM", "pbx", "stop", &answer, "");
    pbx.renew();
}

/// A container that asks for longer than `stop_grace` gets it.
fn longer_grace(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "docker create --name slow --network host --stop-timeout 15 \
         --label com.docker.compose.project=portsip --label com.docker.compose.service=slow \
         portsip/pbx:22 sh -c 'trap \"sleep 4; exit 0\" TERM; while :; do sleep 0.2; done'",
    );
    pbx.call("start").run().expect(0);
    let call = pbx.call("stop").parameter("stop_grace", "1");
    let answer = call.timeout(Duration::from_secs(60)).run().expect(0);
    let ended = pbx
        .host
        .sh("docker inspect --format '{{.State.ExitCode}}' slow");
    assert_eq!(ended.trim(), "0", "it was killed before its time");
    let fault = "a container asks for a longer grace than `stop_grace`";
    table.row(fault, "pbx", "stop", &answer, "");
    pbx.renew();
}

fn absent(pbx: &mut Pbx, table: &mut Table) {
    pbx.host
        .sh("docker ps --all --quiet | xargs docker rm --force");
    let answers = [
        (
            "start",
            5,
            "project portsip has no containers here: create them with `docker compose create --no-recreate`",
        ),
        (
            "monitor",
            7,
            "there are no containers of project portsip here",
        ),
        (
            "monitor 10",
            7,
            "there are no containers of project portsip here",
        ),
        ("stop", 0, ""),
        (
            "validate-all 10",
            5,
            "project portsip has no containers here",
        ),
    ];
    pbx.rows(table, "the containers were never made", &answers);
}
