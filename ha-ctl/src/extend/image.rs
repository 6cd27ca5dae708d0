//! The image of the PBX on an extended server: the same that the PBX runs from, whatever its tag means by now.

use std::time::Duration;

use super::cluster::Cluster;
use crate::commands::quoted;
use crate::deploy::same_image;
use crate::hand_on::Images;
use crate::steps::Step;

/// Gigabytes over a slow line.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// What it does.
fn what(cluster: &Cluster) -> String {
    let image = &cluster.image;
    match &cluster.version {
        None => format!("fetch the PBX's image {image}"),
        Some(version) => format!("fetch the PBX's image {image} ({version})"),
    }
}

/// The image where the registry does not give it: from the node where the PBX runs, or a server that has it.
pub(super) fn handed_on(cluster: &Cluster) -> Images {
    let (image, version) = (quoted(&cluster.image), cluster.version.as_deref());
    Images {
        what: what(cluster),
        // The name may mean another image by now than the one that the PBX runs from.
        named: format!(
            "docker inspect --format '{{{{.Image}}}}' portsip.callmanager 2>/dev/null || docker image inspect --format \
             '{{{{.Id}}}}' {image}"
        ),
        then: format!(
            "docker tag \"$loaded\" {image}\n\
             found=$(docker image inspect --format '{{{{index .Config.Labels \"version\"}}}}' {image})\n\
             wanted={wanted}\n\
             [ -z \"$wanted\" ] || [ \"$found\" = \"$wanted\" ] || {{ echo \"what came has the version $found\" >&2; exit 1; }}\n",
            wanted = quoted(version.unwrap_or_default()),
        ),
    }
}

/// Fetches it.
pub(super) fn fetch(cluster: &Cluster) -> Step {
    let version = cluster.version.as_deref().unwrap_or_default();
    Step {
        name: "extend-image",
        what: what(cluster),
        script: same_image(&cluster.image, Some(version), cluster.digest.as_deref()),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cluster::tests::cluster;
    use super::*;

    /// With a registry whose tag means the version 22.5 by now: what was pulled, and how the step ended.
    fn pulled(cluster: &Cluster) -> (String, bool) {
        let directory = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let at = |name: &str| directory.path().join(name).display().to_string();
        let fakes = format!(
            "sleep() {{ :; }}\n\
             docker() {{ case \"$*\" in\n\
             'image inspect '*) cat {version} ;;\n\
             pull*) echo \"$3\" >>{log}; case $3 in *@*) echo 22.4.0 ;; *) echo 22.5.0 ;; esac >{version} ;;\n\
             tag*) : ;; esac; }}\n",
            version = at("version"),
            log = at("log"),
        );
        let mut bash = std::process::Command::new("bash");
        let output = bash
            .args(["-c", &(fakes + &fetch(cluster).script)])
            .output();
        let output = output.unwrap_or_else(|e| panic!("{e}"));
        let log = std::fs::read_to_string(at("log")).unwrap_or_default();
        (log, output.status.success())
    }

    #[test]
    fn the_image_that_the_pbx_runs_from_is_fetched_and_not_what_its_tag_means_now() {
        let by_digest = pulled(&cluster());
        assert_eq!(by_digest, ("portsip/pbx@sha256:0123\n".to_owned(), true));
        let without = Cluster {
            digest: None,
            ..cluster()
        };
        let (log, succeeded) = pulled(&without);
        assert_eq!(log, "portsip/pbx:22\n");
        assert!(!succeeded, "a newer image than the PBX's is accepted");
        let unknown = Cluster {
            version: None,
            ..without
        };
        assert!(pulled(&unknown).1);
    }
}
