//! Starting and stopping the container of an extended server, as long steps: the vendor gives a server 300 s to end its
//! calls, which is longer than a connection may last.

use std::time::Duration;

use super::project::directory;
use super::register::Entry;
use crate::commands::quoted;
use crate::steps::Step;

/// How many seconds a server has to end what it does.
const GRACE: u32 = 300;
/// How many seconds a server has until its ports are open.
const ANSWERS: u32 = 120;
const LIMIT: Duration = Duration::from_secs(900);
/// Without Docker's answer a container that runs looks like one that is not there.
const DOCKER_ANSWERS: &str = "\
timeout 60 docker version >/dev/null || {
    echo 'Docker does not answer, and nothing was changed: systemctl status docker   (there)' >&2
    exit 1
}
";

/// What is done with a server that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is started, and waited for.
    Start,
    /// It is stopped, and stays so after a reboot.
    Stop,
    /// Both.
    Restart,
}

impl Action {
    /// The verb.
    pub fn verb(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
        }
    }

    /// What it is then.
    pub fn past(self) -> &'static str {
        match self {
            Action::Start => "started: it answers",
            Action::Stop => "stopped",
            Action::Restart => "restarted: it answers",
        }
    }

    /// The step that does it.
    pub fn step(self, entry: &Entry) -> Step {
        let (stop, start) = (stop(entry), start(entry, ""));
        let (name, script) = match self {
            Action::Start => ("extend-start", start),
            Action::Stop => ("extend-stop", stop),
            Action::Restart => ("extend-restart", stop + &start),
        };
        step(
            name,
            format!("{} {}", self.verb(), entry.server.name),
            script,
        )
    }
}

fn step(name: &'static str, what: String, script: String) -> Step {
    Step {
        name,
        what,
        script: format!("set -u\n{DOCKER_ANSWERS}{script}"),
        limit: LIMIT,
        once: false,
    }
}

/// Makes the container from the compose file, where it is missing or another one is wanted, and starts it.
pub(super) fn bring_up(entry: &Entry, is_there: bool) -> Step {
    let name = &entry.server.name;
    let what = match is_there {
        true => format!(
            "make the container of {name} anew, which ends what it does, and wait until it answers"
        ),
        false => format!("start {name}, and wait until it answers"),
    };
    step("extend-up", what, start(entry, "anew"))
}

/// Makes the container anew from the image that is there now, after a time in which the server ends its calls.
pub(super) fn upgrade(entry: &Entry, drain: Duration) -> Step {
    let (name, seconds) = (&entry.server.name, drain.as_secs());
    let (wait, what) = match seconds {
        0 => (
            String::new(),
            format!(
                "make the container of {name} anew, which ends what it does, and wait until it answers"
            ),
        ),
        _ => (
            format!("sleep {seconds}\n"),
            format!(
                "wait {seconds} s, make the container of {name} anew, and wait until it answers"
            ),
        ),
    };
    let mut step = step("extend-upgrade", what, wait + &start(entry, "anew"));
    step.limit += drain;
    step
}

/// The same for a server that somebody has stopped: it stays so.
pub(super) fn upgrade_stopped(entry: &Entry) -> Step {
    let what = format!(
        "make the container of {} anew, without starting it",
        entry.server.name
    );
    let project = directory(entry.server.kind);
    let script =
        format!("docker compose --project-directory {project} create --no-build --pull never\n");
    step("extend-upgrade", what, script)
}

fn stop(entry: &Entry) -> String {
    let container = entry.server.kind.container();
    format!(
        "if docker inspect {container} >/dev/null 2>&1; then\n    \
             docker stop -t {GRACE} {container} >/dev/null || exit 1\n\
         fi\n"
    )
}

/// Starts the container and waits for its ports. With `anew`, Compose looks first whether it is as the file says.
fn start(entry: &Entry, anew: &str) -> String {
    let kind = entry.server.kind;
    let (container, project) = (kind.container(), directory(kind));
    let (first, last) = (*kind.ports().start(), *kind.ports().end());
    format!(
        r#"anew={anew}
if [ -z "$anew" ] && docker inspect {container} >/dev/null 2>&1; then
    docker start {container} >/dev/null || exit 1
elif [ -e {project}/docker-compose.yml ]; then
    docker compose --project-directory {project} up --detach --no-build --pull never || exit 1
else
    echo 'it has no container and no {project}/docker-compose.yml. It is set up by: ha-ctl extend run' >&2
    exit 1
fi
listens() {{
    ss -Hltun | awk '{{ count = split($5, parts, ":"); port = parts[count] + 0 }}
        port >= {first} && port <= {last} {{ found = 1 }} END {{ exit !found }}'
}}
for second in $(seq {ANSWERS}); do
    state=$(docker inspect --format '{{{{.State.Status}}}} {{{{if .State.Health}}}}{{{{.State.Health.Status}}}}{{{{end}}}}' {container})
    case $state in
    'running ' | 'running healthy') listens && exit 0 ;;
    'running '* | restarting*) ;;
    *) break ;;
    esac
    sleep 1
done
docker logs --tail 8 {container} 2>&1
echo "{container} is $state, and nothing listens on the ports {first}-{last} within {ANSWERS} s. Does the portal have the" \
    "server under this name, with its address as an allowed entry? All of its log: docker logs {container}" >&2
exit 7
"#
    )
}

/// Removes the container, its project and, unless it is kept, its data. What the vendor's script has beside stays.
pub fn remove(entry: &Entry, keep_data: bool) -> Step {
    let kind = entry.server.kind;
    let (container, project, volume) = (kind.container(), directory(kind), kind.word());
    let data = quoted(&entry.data);
    let mut script = stop(entry);
    script += &format!(
        "if docker inspect {container} >/dev/null 2>&1; then docker rm {container} >/dev/null || exit 1; fi\n\
         # Volumes of the project lead to the directory of the data; the directory itself stays.\n\
         for volume in $(docker volume ls --quiet --filter label=com.docker.compose.project={volume}); do\n    \
             docker volume rm \"$volume\" >/dev/null || exit 1\n\
         done\n\
         rm -rf {project} || exit 1\n"
    );
    if !keep_data {
        script += &format!("rm -rf -- {data} || exit 1\n");
    }
    let what = match keep_data {
        true => format!("remove {}, and keep {}", entry.server.name, entry.data),
        false => format!(
            "remove {} and its data in {}",
            entry.server.name, entry.data
        ),
    };
    step("extend-rm", what, script)
}

/// Whether the directory may be removed: nothing else can be meant by it.
pub fn may_remove(entry: &Entry) -> bool {
    let ends = entry.data.ends_with(&format!("/{}", entry.server.kind));
    let plain = !entry.data.contains("/../") && entry.data.starts_with('/');
    ends && plain && entry.data.matches('/').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::super::register::tests::entry;
    use super::*;

    fn media() -> Entry {
        entry(Kind::Media, "media-1", "10.0.0.1")
    }

    #[test]
    fn what_is_done_with_a_server() {
        insta::assert_snapshot!(Action::Restart.step(&media()).script);
        insta::assert_snapshot!(remove(&media(), false).script);
    }

    #[test]
    fn its_scripts_are_ones_that_sh_can_read() {
        let steps = [
            Action::Start.step(&media()),
            Action::Stop.step(&media()),
            Action::Restart.step(&media()),
            bring_up(&media(), false),
            upgrade(&media(), Duration::from_secs(600)),
            upgrade_stopped(&media()),
            remove(&media(), false),
        ];
        for step in steps {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &step.script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{step:?}");
        }
    }

    #[test]
    fn data_that_is_kept_is_not_touched() {
        assert!(!remove(&media(), true).script.contains("rm -rf -- "));
        assert!(
            remove(&media(), false)
                .script
                .contains("rm -rf -- '/var/lib/portsip/media-server-only'")
        );
    }

    #[test]
    fn only_a_directory_of_an_extended_server_is_removed() {
        assert!(may_remove(&media()));
        for data in [
            "",
            "/",
            "/var/lib/portsip",
            "media-server-only",
            "/media-server-only",
            "/a/../media-server-only",
        ] {
            let entry = Entry {
                data: data.to_owned(),
                ..media()
            };
            assert!(!may_remove(&entry), "{data}");
        }
    }
}
