//! Docker and Compose on a bare machine, from the packages that its sources have.

use std::time::Duration;

use crate::steps::Step;

/// Mirrors are slow, and a lock of dpkg is waited for.
const LIMIT: Duration = Duration::from_secs(3600);

/// Installs them. Docker's own packages go first, where somebody has added them: Debian 12 has no Compose that is new
/// enough.
pub(super) fn install() -> Step {
    Step {
        name: "extend-docker",
        what: "install Docker and Compose".to_owned(),
        script: r#"set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
# The first boot installs too.
if command -v cloud-init >/dev/null; then timeout 900 cloud-init status --wait >/dev/null 2>&1 || :; fi
# An installation that was interrupted comes first.
[ -z "$(dpkg --audit)" ] || dpkg --force-confdef --force-confold --configure -a
if ! docker compose version >/dev/null 2>&1; then
    apt-get -o DPkg::Lock::Timeout=900 update || echo 'apt-get update failed; the lists that are here are used'
    has() { [ "$(apt-cache policy "$1" | sed -n 's/^ *Candidate: *//p' | grep -v '(none)')" ]; }
    if has docker-ce; then
        packages='docker-ce docker-ce-cli containerd.io docker-compose-plugin'
    elif has docker-compose-v2; then
        packages='docker.io docker-compose-v2'
    elif has docker-cli; then
        packages='docker.io docker-cli docker-compose'
    else
        echo 'the sources of this machine have no Compose of version 2. On Debian 12, add those of Docker:' \
            'docs/aws.md, "Docker on Debian 12"' >&2
        exit 1
    fi
    # A configuration file that somebody has changed stays, without a question.
    apt-get -o DPkg::Lock::Timeout=900 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        install -y $packages
fi
systemctl enable --now docker
docker compose version
"#
        .to_owned(),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which packages are installed from sources that have some.
    fn installed(sources: &[&str]) -> String {
        let directory = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let log = directory.path().join("log");
        let known = sources.join("|");
        let fakes = format!(
            "docker() {{ [ -e {log} ]; }}\ndpkg() {{ :; }}\nsystemctl() {{ :; }}\n\
             apt-get() {{ case \"$*\" in *install*) words=$*; echo \"${{words##*-y }}\" >>{log} ;; esac; }}\n\
             apt-cache() {{ case $2 in {known}) echo ' Candidate: 1' ;; *) echo ' Candidate: (none)' ;; esac; }}\n",
            log = log.display()
        );
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["-c", &(fakes + &install().script)]).output();
        let output = output.unwrap_or_else(|e| panic!("{e}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        std::fs::read_to_string(&log).map_or(said, |text| text.trim().to_owned())
    }

    #[test]
    fn the_packages_are_those_that_the_machine_can_get() {
        let ubuntu = ["docker.io", "docker-compose-v2", "docker-compose"];
        assert_eq!(installed(&ubuntu), "docker.io docker-compose-v2");
        let trixie = ["docker.io", "docker-cli", "docker-compose"];
        assert_eq!(installed(&trixie), "docker.io docker-cli docker-compose");
        let with_dockers = [
            "docker.io",
            "docker-compose",
            "docker-ce",
            "docker-compose-plugin",
        ];
        assert!(installed(&with_dockers).starts_with("docker-ce "));
        let bookworm = ["docker.io", "docker-compose"];
        let said = installed(&bookworm);
        assert!(said.contains("Docker on Debian 12"), "{said}");
    }
}
