//! Containers that were made for another address or another data directory than the resource has now.

use lab::pbx::{CONTAINERS, DATA_DIR};
use lab::site;

use super::pbx::Pbx;
use super::table::Table;

const OTHER: &str = "172.31.16.131";
const PUBLIC: &str = "52.8.113.34";
const MOVED: &str = "/srv/pbx";

/// Rows of calls with a parameter that is not as usual.
fn rows(
    pbx: &Pbx,
    table: &mut Table,
    fault: &str,
    parameter: (&'static str, &str),
    answers: &[(&'static str, i32, &str)],
) {
    for (action, code, meaning) in answers {
        let call = pbx.call(action).parameter(parameter.0, parameter.1);
        let answer = call.parameter("answer_wait", "0").run().expect(*code);
        table.row(fault, "pbx", action, &answer, meaning);
    }
}

/// Makes the containers anew after a change of `.env`.
fn made_with(pbx: &Pbx, variable: &str, value: &str, commands: &str) {
    pbx.host.sh(&format!(
        "cd /etc/portsip/pbx && sed -i 's|^{variable}=.*|{variable}={value}|' .env && {commands}"
    ));
}

const FORCE_RECREATE: &str = "docker compose create --force-recreate";

pub(crate) fn another_address(pbx: &mut Pbx, table: &mut Table) {
    let help = "help: write IP_ADDRESS= ... docker compose ... create --force-recreate";
    let made_for_vip = format!(
        "IP_ADDRESS is {} in the containers, and ip_address of the resource is {OTHER}",
        site::VIP
    );
    // That they are of another address is certain, that they do not work is not.
    let fault = "ip_address was changed, and the containers have the old one, which works";
    let answers = [
        ("validate-all", 0, ""),
        (
            "validate-all 10",
            5,
            &format!("{made_for_vip} ... {help}")[..],
        ),
        ("start", 0, ""),
        ("stop", 0, ""),
    ];
    rows(pbx, table, fault, ("ip_address", OTHER), &answers);
    made_with(pbx, "IP_ADDRESS", OTHER, FORCE_RECREATE);
    let fault = "the containers have an address that is not on this node";
    let vip = site::VIP.to_string();
    let meaning = format!("IP_ADDRESS is {OTHER} in the containers ... {help}");
    let answers = [
        ("validate-all 10", 5, &meaning[..]),
        ("start", 1, &meaning),
        ("stop", 0, ""),
    ];
    rows(pbx, table, fault, ("ip_address", &vip), &answers);
    // Such as the Elastic IP, which the guide of the vendor may ask for.
    made_with(pbx, "IP_ADDRESS", PUBLIC, FORCE_RECREATE);
    let fault = "the containers have a public address, which may lead to ip_address";
    let answers = [("validate-all 10", 0, "")];
    rows(pbx, table, fault, ("ip_address", &vip), &answers);
    made_with(pbx, "IP_ADDRESS", &vip, FORCE_RECREATE);
    let answers = [
        ("validate-all 10", 0, ""),
        ("start", 0, ""),
        ("stop", 0, ""),
    ];
    let fault = "the same, and the containers were made anew";
    rows(pbx, table, fault, ("ip_address", &vip), &answers);
}

/// The volumes are made anew too, and what is on the data's volume stays.
pub(crate) fn another_data_path(pbx: &mut Pbx, table: &mut Table) {
    let made_anew = "docker compose rm --force && docker volume rm portsip_pbx portsip_postgresql && docker compose create";
    pbx.host.sh(&format!(
        "umount {DATA_DIR}; mkdir -p {MOVED}; mount --bind /volume {MOVED}"
    ));
    let fault = "data_path was changed, and the containers have the old one";
    let meaning = format!(
        "the containers have their data in {DATA_DIR}/p ... which is not below data_path of the resource, {MOVED} ... \
         help: write PBX_DATA={MOVED} ... docker volume rm portsip_pbx portsip_postgresql"
    );
    let answers = [("validate-all 10", 5, &meaning[..]), ("start", 5, &meaning)];
    rows(pbx, table, fault, ("data_path", MOVED), &answers);
    assert_eq!(pbx.host.running(), [""; 0]);
    made_with(pbx, "PBX_DATA", MOVED, made_anew);
    let answers = [("validate-all 10", 0, ""), ("start", 0, "")];
    let fault = "the same, and containers and volumes were made anew";
    rows(pbx, table, fault, ("data_path", MOVED), &answers);
    assert_eq!(pbx.host.sql("SELECT 1").trim(), "1", "the data is the same");
    pbx.call("stop")
        .parameter("data_path", MOVED)
        .run()
        .expect(0);
    pbx.host.sh(&format!("umount {MOVED}"));
    pbx.host.mount();
    made_with(pbx, "PBX_DATA", DATA_DIR, made_anew);
}

pub(crate) fn a_directory_of_the_root_disk(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "cd /etc/portsip/pbx && mkdir -p /srv/root/pbx && printf '%s\\n' services: '  ai:' '    volumes:' \
         '      - {type: bind, source: /srv/root/pbx, target: /var/lib/portsip/pbx}' >docker-compose.override.yml",
    );
    pbx.host
        .sh(&format!("cd /etc/portsip/pbx && {FORCE_RECREATE} ai"));
    let fault = "one container has its data on the root disk";
    let meaning =
        "the containers have their data in /srv/root/pbx ... (portsip.ai) ... --force-recreate";
    let answers = [("validate-all 10", 5, meaning), ("start", 5, meaning)];
    pbx.rows(table, fault, &answers);
    assert_eq!(pbx.host.running(), [""; 0]);
    pbx.host
        .sh("rm /etc/portsip/pbx/docker-compose.override.yml");
    pbx.renew();
}

/// No false alarm: the volume is where the containers look for it, under another name.
pub(crate) fn a_link_to_the_data(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(&format!("ln -s {DATA_DIR} /srv/link"));
    let answers = [
        ("validate-all 10", 0, ""),
        ("start", 0, ""),
        ("stop", 0, ""),
    ];
    let fault = "data_path is a symbolic link to where the containers have the data";
    for (action, code, meaning) in answers {
        let call = pbx.call(action).parameter("data_path", "/srv/link");
        let answer = call.run().expect(code);
        if action == "start" {
            assert_eq!(pbx.host.running().len(), CONTAINERS.len());
        }
        table.row(fault, "pbx", action, &answer, meaning);
    }
}
