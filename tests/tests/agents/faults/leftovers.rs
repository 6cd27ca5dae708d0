//! Containers that are there and not part of the PBX as it is now: left over from before an update, of another version
//! than the data, or optional.

use lab::pbx::{CONTAINERS, DATA_DIR};

use super::pbx::Pbx;
use super::table::Table;

/// A second container of the service `gateway`, made after the first.
const SECOND: &str = "sleep 1.1; docker create --name 0123456789ab_portsip.gateway --network host \
    --label com.docker.compose.project=portsip --label com.docker.compose.service=gateway \
    --env IP_ADDRESS=172.31.16.130 --volume portsip_pbx:/var/lib/portsip/pbx \
    portsip/pbx:22 /usr/local/bin/gateway -D /var/lib/portsip/pbx start";

pub(super) fn duplicate(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(SECOND);
    let answers = [
        ("start", 0, ""),
        ("monitor", 0, ""),
        ("validate-all 10", 0, ""),
    ];
    pbx.rows(
        table,
        "a service has two containers, the older one is left over",
        &answers,
    );
    let running = pbx.host.running();
    assert!(
        running
            .iter()
            .any(|it| it == "0123456789ab_portsip.gateway")
    );
    assert_eq!(running.len(), CONTAINERS.len(), "{running:?}");
    pbx.host.sh("docker start portsip.gateway");
    let fault = "the container that is left over runs too";
    let left_over = "portsip.gateway runs and is left over: it is older than";
    let answers = [
        ("monitor", 190, left_over),
        ("monitor 10", 190, left_over),
        ("start", 0, ""),
        ("monitor", 0, ""),
    ];
    pbx.rows(table, fault, &answers);
    let running = pbx.host.running();
    assert!(
        !running.iter().any(|it| it == "portsip.gateway"),
        "{running:?}"
    );
    pbx.host.sh("docker start portsip.gateway");
    pbx.rows(table, fault, &[("stop", 0, "")]);
    assert_eq!(pbx.host.running(), [""; 0]);
    pbx.host.sh("docker start portsip.gateway");
    let fault = "only the container that is left over runs";
    pbx.rows(
        table,
        fault,
        &[
            (
                "monitor",
                1,
                "processes of portsip.gateway run, although the PBX does not",
            ),
            (
                "probe",
                1,
                "processes of portsip.gateway run, although the PBX does not",
            ),
            ("stop", 0, ""),
        ],
    );
    pbx.renew();
}

/// As after `docker compose up` in maintenance.
pub(super) fn made_anew(pbx: &mut Pbx, table: &mut Table) {
    const NEW: &str = "0123456789ab_portsip.gateway";
    let policy = || {
        let format = "docker inspect --format '{{.HostConfig.RestartPolicy.Name}}'";
        pbx.host.sh(&format!("{format} {NEW}")).trim().to_owned()
    };
    pbx.pacemaker(Some(false));
    pbx.call("start").run().expect(0);
    pbx.host.sh(SECOND);
    let fault = "a container was made anew beside the one that runs, and not started";
    pbx.rows(table, fault, &[("monitor", 0, ""), ("monitor 10", 0, "")]);
    pbx.host.sh(&format!(
        "docker rm --force portsip.gateway; docker update --restart=always {NEW}; docker start {NEW}"
    ));
    let fault = "a container was made anew and runs, and Pacemaker does not manage the PBX";
    pbx.rows(table, fault, &[("monitor", 0, "")]);
    assert_eq!(policy(), "always", "somebody works on it");
    pbx.pacemaker(Some(true));
    let fault = "a container was made anew and runs";
    pbx.rows(table, fault, &[("monitor", 0, "")]);
    assert_eq!(policy(), "no", "Docker would start it at boot");
    pbx.host.sh(&format!(
        "grep -q $(docker inspect --format '{{{{.Id}}}}' {NEW}) /run/portsip-ha/pbx-*.json"
    ));
    pbx.call("stop").run().expect(0);
    pbx.renew();
}

pub(super) fn does_one_thing(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh("docker create --name once --network host \
         --label com.docker.compose.project=portsip --label com.docker.compose.service=once \
         portsip/pbx:22 true");
    let fault = "a container that no other needs does one thing and ends with code 0";
    pbx.rows(table, fault, &[("start", 0, ""), ("monitor", 0, "")]);
    pbx.host.sh("docker rm --force once");
    let gone = "there is no container any more of once";
    let fault = "a container that is not the vendor's was removed";
    pbx.rows(table, fault, &[("monitor", 190, gone), ("stop", 0, "")]);
    pbx.renew();
}

/// The newer container is no server, so that the data of the test stay whole.
pub(super) fn two_databases(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.host.sh(
        "docker run --detach --name portsip.database2 --network host \
         --label com.docker.compose.project=portsip --label com.docker.compose.service=database \
         portsip/pbx:22 sleep infinity",
    );
    let two = "two databases run on the same data ... portsip.database2";
    let answers = [
        ("monitor", 1, two),
        ("monitor 10", 1, two),
        ("probe", 1, two),
        ("stop", 0, ""),
        ("monitor", 7, "no container of project portsip runs"),
    ];
    pbx.rows(table, "two containers of the database run", &answers);
    assert_eq!(pbx.host.running(), [""; 0]);
    pbx.renew();
}

pub(super) fn versions(pbx: &mut Pbx, table: &mut Table) {
    let version = format!("{DATA_DIR}/pbx/VERSION");
    let older = "the image's version 22.4.0 is older than 22.5.0, the version of the data";
    for (fault, script, code, meaning) in [
        (
            "the images are older than the data",
            format!("cp {version} /run/VERSION; echo 22.5.0 >{version}"),
            5,
            older,
        ),
        (
            "the images are newer than the data",
            format!("echo 22.3 >{version}"),
            0,
            "",
        ),
        (
            "the data are of the version of the images, which is written otherwise",
            format!("echo 22.4 >{version}"),
            0,
            "",
        ),
    ] {
        pbx.host.sh(&script);
        pbx.rows(table, fault, &[("start", code, meaning)]);
        if code != 0 {
            assert_eq!(pbx.host.running(), [""; 0]);
        }
        pbx.call("stop").run().expect(0);
    }
    pbx.host.sh(&format!("cp /run/VERSION {version}"));
    pbx.call("start").run().expect(0);
    pbx.call("stop").run().expect(0);
}

pub(super) fn optional_dependency(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "docker create --name addon --network host \
         --label com.docker.compose.project=portsip --label com.docker.compose.service=addon \
         --label com.docker.compose.depends_on=crm:service_healthy:false,nats:service_healthy:false \
         portsip/pbx:22 sleep infinity",
    );
    let answers = [
        ("validate-all 10", 0, ""),
        ("start", 0, ""),
        ("monitor", 0, ""),
        ("stop", 0, ""),
    ];
    let fault = "a container depends on a service that has none, because its profile is inactive";
    pbx.rows(table, fault, &answers);
    pbx.renew();
}
