//! What is done on a node: the new image, what is kept of the version before, the data of the new version, the
//! containers; and all of it back. Each can be done again at any time. Nothing is done with the containers of a PBX that
//! runs.

use std::time::Duration;

use crate::commands::quoted;
use crate::deploy::{PROJECT, PULL, env_file, same_image};
use crate::hand_on::Images;
use crate::reach::Command;
use crate::steps::Step;

/// The name under which the image of the version before is kept.
pub(super) const OLD_TAG: &str = "portsip-ha/pbx:before-update";
/// Where its compose file and its `.env` are kept.
const KEPT: &str = "/etc/portsip/pbx.before-update";
/// A new compose file, until it counts.
const NEW_COMPOSE_FILE: &str = "docker-compose.yml.update";

/// Gigabytes over a slow line.
const FETCHING: Duration = Duration::from_secs(2 * 3600);
/// A large database.
const MIGRATING: Duration = Duration::from_secs(6 * 3600);
const CREATING: Duration = Duration::from_secs(1800);

/// For sh(1): ends where the PBX runs. `fail` says why.
const NOT_RUNNING: &str = "\
fail() { printf 'error: %s\\n' \"$1\" >&2; exit 1; }
running=$(docker ps --quiet --filter label=com.docker.compose.project=portsip)
[ -z \"$running\" ] || fail 'the PBX runs on this node, and its containers are left as they are'
";

/// For sh(1): makes the containers anew. Docker starts none of them after a reboot.
const CREATE: &str = "\
docker compose --project-directory \"$project\" create --force-recreate
docker update --restart=no $(docker ps --all --quiet --filter label=com.docker.compose.project=portsip) >/dev/null
";

/// What the name of the image means in the registry now. Where the registry gives nothing, what is here already counts.
pub fn fetch(image: &str) -> Step {
    Step {
        name: "update-image",
        what: format!("fetch {image}"),
        script: format!(
            "set -eu\nimage={}\n{PULL}\
             if ! pull \"$image\"; then\n    \
                 docker image inspect \"$image\" >/dev/null 2>&1 || exit 1\n    \
                 echo \"the $image that is here already counts\"\n\
             fi\n{}",
            quoted(image),
            others(),
        ),
        limit: FETCHING,
        once: false,
    }
}

/// The same image on another node.
pub fn fetch_same(image: &str, version: &str, digest: Option<&str>) -> Step {
    Step {
        name: "update-image",
        what: format!("fetch {image} ({version})"),
        script: same_image(image, Some(version), digest) + &others(),
        limit: FETCHING,
        once: false,
    }
}

/// The other images of the project, where they are missing.
fn others() -> String {
    format!(
        "project={PROJECT}\nexport PBX_IMAGE=\"$image\"\n\
         if [ -e \"$project/{NEW_COMPOSE_FILE}\" ]; then export COMPOSE_FILE=\"$project/{NEW_COMPOSE_FILE}\"; fi\n{}",
        include_str!("../deploy/images.sh")
    )
}

/// The image for a node that the registry gives nothing, or another one.
pub(crate) fn handed_on(image: &str, version: &str) -> Images {
    let name = quoted(image);
    Images {
        what: format!("fetch {image} ({version})"),
        named: format!("docker image inspect --format '{{{{.Id}}}}' {name}"),
        then: format!(
            "docker tag \"$loaded\" {name}\n\
             found=$(docker image inspect --format '{{{{index .Config.Labels \"version\"}}}}' {name})\n\
             [ \"$found\" = {} ] || {{ echo \"what came has the version $found\" >&2; exit 1; }}\n",
            quoted(version)
        ),
    }
}

/// A new compose file, beside the one that counts.
pub fn bring_compose_file(content: &str) -> Command {
    let file = format!("{PROJECT}/{NEW_COMPOSE_FILE}");
    let script = format!("umask 077; cat >{file}.new && mv {file}.new {file}");
    Command::change("bring the new compose file", script)
        .reading(content)
        .repeatable()
}

/// The image of the containers, the compose file and `.env`, for the way back.
pub fn keep() -> Command {
    let script = format!(
        "set -eu\numask 077\n\
         rm -rf {KEPT}.new\n\
         mkdir {KEPT}.new\n\
         cp -p {PROJECT}/docker-compose.yml {PROJECT}/.env {KEPT}.new/\n\
         rm -rf {KEPT}\n\
         mv {KEPT}.new {KEPT}\n\
         sync {KEPT}/.env {KEPT}/docker-compose.yml\n\
         docker tag \"$(docker inspect --format '{{{{.Image}}}}' portsip.callmanager)\" {OLD_TAG}"
    );
    Command::change("keep the version before", script).repeatable()
}

/// What the containers are made from.
pub fn project(image: &str, profiles: Option<&str>) -> Command {
    let mut values = vec![("PBX_IMAGE", image.to_owned())];
    values.extend(profiles.map(|profiles| ("COMPOSE_PROFILES", profiles.to_owned())));
    let mut command = env_file(&values);
    command.script = format!(
        "cd {PROJECT} || exit\n\
         if [ -e {NEW_COMPOSE_FILE} ]; then\n    \
             chmod --reference=docker-compose.yml {NEW_COMPOSE_FILE} && mv {NEW_COMPOSE_FILE} docker-compose.yml || exit\n\
         fi\n{}",
        command.script
    );
    command.repeatable()
}

/// Brings the data to the version of the image, once.
pub fn migrate(image: &str, data_path: &str, certificate_manager: bool) -> Step {
    let certificates = match certificate_manager {
        true => "install -d -o 888 -g 888 \"$data/certmanager\" \"$data/certmanager/log\"\n",
        false => "",
    };
    Step {
        name: "migrate",
        what: "bring the data to the new version (initdt)".to_owned(),
        script: format!(
            "set -eu\nimage={} data={} project={PROJECT}\n{NOT_RUNNING}{}{certificates}",
            quoted(image),
            quoted(data_path),
            include_str!("migrate.sh")
        ),
        limit: MIGRATING,
        once: false,
    }
}

/// The containers anew.
pub fn containers() -> Step {
    Step {
        name: "containers",
        what: "make the PBX's containers anew, without starting them".to_owned(),
        script: format!("set -eu\nproject={PROJECT}\n{NOT_RUNNING}{CREATE}"),
        limit: CREATING,
        once: false,
    }
}

/// The containers of the version before.
pub fn back() -> Step {
    Step {
        name: "containers",
        what: "make the containers of the version before, without starting them".to_owned(),
        script: format!(
            "set -eu\nproject={PROJECT} kept={KEPT} old={OLD_TAG}\n{NOT_RUNNING}{}{CREATE}",
            include_str!("back.sh")
        ),
        limit: CREATING,
        once: false,
    }
}

/// vars.yml with another image.
pub fn with_image(vars: &str, image: &str) -> String {
    let lines =
        vars.split_inclusive('\n')
            .map(|line| match line.trim_start().strip_prefix("pbx_image") {
                Some(rest) if rest.trim_start().starts_with(':') => {
                    let end = &line[line.trim_end().len()..];
                    format!("pbx_image: {image}{end}")
                }
                _ => line.to_owned(),
            });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts() -> Vec<(&'static str, String)> {
        vec![
            ("fetch", fetch("portsip/pbx:22").script),
            ("same", fetch_same("portsip/pbx:22", "22.5.0", None).script),
            ("keep", keep().script),
            (
                "project",
                project("portsip/pbx:22", Some("certmanager")).script,
            ),
            (
                "migrate",
                migrate("portsip/pbx:22", "/var/lib/portsip", true).script,
            ),
            ("containers", containers().script),
            ("back", back().script),
            ("compose", bring_compose_file("services: {}").script),
        ]
    }

    #[test]
    fn its_scripts_are_ones_that_sh_can_read() {
        for (name, script) in scripts() {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &script]).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "{name}: {script}"
            );
        }
    }

    #[test]
    fn nothing_is_done_with_the_containers_of_a_pbx_that_runs() {
        for (name, script) in scripts() {
            if script.contains("compose --project-directory") && script.contains("create") {
                assert!(script.contains(NOT_RUNNING), "{name}");
            }
        }
        assert!(
            migrate("portsip/pbx:22", "/var/lib/portsip", false)
                .script
                .contains(NOT_RUNNING)
        );
    }

    #[test]
    fn nothing_of_the_data_is_removed() {
        for (name, script) in scripts() {
            let removed = script.lines().filter(|line| {
                let words = line.split_whitespace().collect::<Vec<_>>();
                words.contains(&"rm")
            });
            for line in removed {
                let is_ours = [
                    KEPT,
                    "docker rm --force portsip.initdt",
                    NEW_COMPOSE_FILE,
                    "$migrating",
                ];
                let is_ours = is_ours.iter().any(|it| line.contains(it));
                assert!(is_ours, "{name}: {line}");
            }
        }
    }

    #[test]
    fn the_image_of_vars_yml_is_one_line_of_it() {
        let vars = "a: 1\npbx_image: portsip/pbx:22 # the PBX\nother_pbx_image: x\n";
        assert_eq!(
            with_image(vars, "portsip/pbx:23"),
            "a: 1\npbx_image: portsip/pbx:23\nother_pbx_image: x\n"
        );
        assert_eq!(with_image("pbx_image : x", "y"), "pbx_image: y");
    }
}
