//! What is done on a node: the new image, what is kept of the version before, the data of the new version, the
//! containers; and all of it back. Each can be done again at any time. Nothing is done with the containers of a PBX that
//! runs.

use std::time::Duration;

use crate::commands::quoted;
use crate::deploy::{PROJECT, PULL, env_file, same_image};
use crate::hand_on::Images;
use crate::reach::Command;
use crate::steps::Step;
use crate::update::Image;

/// The name under which the image of the version before is kept.
pub const OLD_TAG: &str = "portsip-ha/pbx:before-update";
/// Where its compose file and its `.env` are kept.
const KEPT: &str = "/etc/portsip/pbx.before-update";
/// A new compose file, until it counts.
const NEW_COMPOSE_FILE: &str = "docker-compose.yml.update";

/// Gigabytes over a slow line.
const FETCHING: Duration = Duration::from_secs(2 * 3600);
/// A large database.
const MIGRATING: Duration = Duration::from_secs(6 * 3600);
const CREATING: Duration = Duration::from_secs(1800);

/// For sh(1): ends where the PBX runs. `fail` says why. What an interrupted migration has left running is ended.
const NOT_RUNNING: &str = "\
fail() { printf 'error: %s\\n' \"$1\" >&2; exit 1; }
migrating=$data/portsip-ha.migrating
if [ -e \"$migrating\" ]; then
    docker rm --force portsip.initdt >/dev/null 2>&1 || :
    docker compose --project-directory \"$project\" stop
fi
running=$(docker ps --quiet --filter label=com.docker.compose.project=portsip)
[ -z \"$running\" ] || fail 'the PBX runs on this node, and its containers are left as they are'
";

/// For sh(1): makes the containers anew.
const CREATE: &str = include_str!("create.sh");

/// The image and what an update does with the project beside it.
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    /// The image.
    pub image: &'a str,
    /// `COMPOSE_PROFILES`, where it changes.
    pub profiles: Option<&'a str>,
    /// Where the data is mounted.
    pub data_path: &'a str,
}

impl Project<'_> {
    /// For sh(1).
    fn variables(&self) -> String {
        format!(
            "image={} data={} project={PROJECT}\n",
            quoted(self.image),
            quoted(self.data_path)
        )
    }

    /// For sh(1): has Compose take what an update will write.
    fn as_it_will_be(&self) -> String {
        let profiles = self
            .profiles
            .map(|it| format!("export COMPOSE_PROFILES={}\n", quoted(it)));
        format!(
            "export PBX_IMAGE=\"$image\"\n{}\
             if [ -e \"$project/{NEW_COMPOSE_FILE}\" ]; then export COMPOSE_FILE=\"$project/{NEW_COMPOSE_FILE}\"; fi\n",
            profiles.unwrap_or_default()
        )
    }

    fn others(&self) -> String {
        self.as_it_will_be() + include_str!("../deploy/images.sh")
    }

    /// What the name of the image means in the registry now. Where the registry gives nothing, what is here already
    /// counts.
    pub fn fetch(&self) -> Step {
        let image = self.image;
        self.step(
            "update-image",
            format!("fetch {image}"),
            format!(
                "{PULL}\
                 if ! pull \"$image\"; then\n    \
                     docker image inspect \"$image\" >/dev/null 2>&1 || exit 1\n    \
                     echo \"the registry does not give $image, and what is here already counts\"\n\
                 fi\n{}",
                self.others(),
            ),
            FETCHING,
        )
    }

    /// The same image on another node.
    pub fn fetch_same(&self, new: &Image) -> Step {
        Step {
            name: "update-image",
            what: format!("fetch {} ({})", self.image, new.version),
            script: format!(
                "{}{}{}",
                same_image(self.image, Some(&new.version), new.digest.as_deref()),
                self.variables(),
                self.others()
            ),
            limit: FETCHING,
            once: false,
        }
    }

    /// The images for a node that the registry does not give one of them, or another one.
    pub(crate) fn handed_on(&self, version: &str) -> Images {
        let named = format!(
            "{}{}printf '%s ' \"$image\" $(docker compose --project-directory \"$project\" config --images)",
            self.variables(),
            self.as_it_will_be()
        );
        Images {
            what: format!("fetch {} ({version}) and the database's", self.image),
            then: format!(
                "for it in $({named}); do docker image inspect \"$it\" >/dev/null || exit 1; done\n\
                 found=$(docker image inspect --format '{{{{index .Config.Labels \"version\"}}}}' {})\n\
                 [ \"$found\" = {} ] || {{ echo \"what came has the version $found\" >&2; exit 1; }}\n",
                quoted(self.image),
                quoted(version)
            ),
            named,
        }
    }

    /// What the containers are made from.
    pub fn write(&self) -> Command {
        let mut values = vec![("PBX_IMAGE", self.image.to_owned())];
        values.extend(self.profiles.map(|it| ("COMPOSE_PROFILES", it.to_owned())));
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

    /// Brings the data to the version of the image.
    pub fn migrate(&self, certificate_manager: bool) -> Step {
        let certificates = match certificate_manager {
            true => "install -d -o 888 -g 888 \"$data/certmanager\" \"$data/certmanager/log\"\n",
            false => "",
        };
        self.step(
            "migrate",
            "bring the data to the new version (initdt)".to_owned(),
            format!("{NOT_RUNNING}{certificates}{}", include_str!("migrate.sh")),
            MIGRATING,
        )
    }

    /// The containers anew.
    pub fn containers(&self) -> Step {
        self.step(
            "containers",
            "make the PBX's containers anew, without starting them".to_owned(),
            format!("{NOT_RUNNING}{CREATE}"),
            CREATING,
        )
    }

    /// The containers of the version before.
    pub fn back(&self) -> Step {
        self.step(
            "containers",
            "make the containers of the version before, without starting them".to_owned(),
            format!(
                "kept={KEPT} old={OLD_TAG}\n{NOT_RUNNING}{}{CREATE}",
                include_str!("back.sh")
            ),
            CREATING,
        )
    }

    fn step(&self, name: &'static str, what: String, script: String, limit: Duration) -> Step {
        Step {
            name,
            what,
            script: format!("set -eu\n{}{script}", self.variables()),
            limit,
            once: false,
        }
    }
}

/// A new compose file, beside the one that counts; or none there any more.
pub fn bring_compose_file(content: Option<&str>) -> Command {
    let file = format!("{PROJECT}/{NEW_COMPOSE_FILE}");
    match content {
        Some(content) => Command::change(
            "bring the new compose file",
            format!("umask 077; cat >{file}.new && mv {file}.new {file}"),
        )
        .reading(content),
        None => Command::change(
            "forget the compose file of an earlier attempt",
            format!("rm -f {file}"),
        ),
    }
    .repeatable()
}

/// The image of the containers, the compose file and `.env`, for the way back from this update, once.
pub fn keep(id: &str) -> Command {
    let id = quoted(id);
    let script = format!(
        "set -eu\numask 077\n\
         [ \"$(cat {KEPT}/id 2>/dev/null)\" != {id} ] || exit 0\n\
         docker tag \"$(docker inspect --format '{{{{.Image}}}}' portsip.callmanager)\" {OLD_TAG}\n\
         rm -rf {KEPT}.new\n\
         mkdir {KEPT}.new\n\
         cp -p {PROJECT}/docker-compose.yml {PROJECT}/.env {KEPT}.new/\n\
         echo {id} >{KEPT}.new/id\n\
         sync {KEPT}.new/.env {KEPT}.new/docker-compose.yml {KEPT}.new/id\n\
         rm -rf {KEPT}\n\
         mv {KEPT}.new {KEPT}"
    );
    Command::change("keep the version before", script).repeatable()
}

/// What [`Project::write`] has written, as it was before; where that is kept.
pub fn unwrite(id: &str) -> Command {
    let script = format!(
        "set -eu\n\
         fail() {{ printf '%s\\n' \"$1\" >&2; exit 1; }}\n\
         project={PROJECT} kept={KEPT} old={OLD_TAG}\n\
         [ \"$(cat {KEPT}/id 2>/dev/null)\" = {} ] || exit 0\n{}",
        quoted(id),
        include_str!("back.sh")
    );
    Command::change("the project as it was", script).repeatable()
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

    const NEW: Project<'static> = Project {
        image: "portsip/pbx:22",
        profiles: Some("certmanager"),
        data_path: "/var/lib/portsip",
    };

    fn scripts() -> Vec<(&'static str, String)> {
        let image = Image {
            version: "22.5.0".to_owned(),
            ..Image::default()
        };
        let handed_on = NEW.handed_on("22.5.0");
        vec![
            ("fetch", NEW.fetch().script),
            ("same", NEW.fetch_same(&image).script),
            ("named", handed_on.named),
            ("then", handed_on.then),
            ("keep", keep("20261130T014500Z").script),
            ("unwrite", unwrite("20261130T014500Z").script),
            ("write", NEW.write().script),
            ("migrate", NEW.migrate(true).script),
            ("containers", NEW.containers().script),
            ("back", NEW.back().script),
            ("bring", bring_compose_file(Some("services: {}")).script),
            ("forget", bring_compose_file(None).script),
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
            if script.contains(" create ") || script.contains(" run ") {
                assert!(script.contains(NOT_RUNNING), "{name}");
            }
        }
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
                    "docker rm \"$id\"",
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
