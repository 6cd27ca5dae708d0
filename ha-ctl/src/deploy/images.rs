//! The images of the PBX on every node that can run it, before anything needs them.

use std::time::Duration;

use futures_util::future::join_all;

use super::project::{self, PROJECT};
use super::{Deployment, Facts, all};
use crate::commands::quoted;
use crate::exit::{Exit, Failure};
use crate::hand_on::{Images, Sources};
use crate::run::Run;
use crate::steps::Step;

/// A function for sh(1), `pull`: fetches an image, and says what to do if it cannot.
pub(crate) const PULL: &str = include_str!("pull.sh");

/// A script that fetches the image that the PBX runs from, by its digest if that is known, and accepts no other version.
pub(crate) fn same_image(image: &str, version: Option<&str>, digest: Option<&str>) -> String {
    format!(
        "set -eu\nimage={} digest={} wanted={}\n{PULL}{}same_image || exit 1\n",
        quoted(image),
        quoted(digest.unwrap_or_default()),
        quoted(version.unwrap_or_default()),
        include_str!("same.sh")
    )
}

/// Gigabytes over a slow line.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// Every node asks the registry. One that it gives nothing gets the images from one that has them. Where the PBX is
/// in use, the others get what it runs from, and not what its tag means by now.
pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let image = &deployment.site.image;
    let running = deployment.facts.iter().find(|facts| facts.runs_the_pbx());
    let version = running.and_then(Facts::pbx_version);
    let is_as_running = |facts: &Facts| {
        let is_same = version.is_none() || facts.tagged_version() == version;
        is_same || facts.has_containers()
    };
    let (have, lack): (Vec<_>, Vec<_>) = deployment.each_with_data().partition(|(_, facts)| {
        facts.has_images(image) && is_as_running(facts) && !project::is_new(facts, deployment)
    });
    let step = &fetch(image, version, running.and_then(Facts::pbx_digest));
    let fetching = lack
        .into_iter()
        .map(|(node, _)| async move { (node, run.step(node, step).await) });
    let mut have: Vec<_> = have.into_iter().map(|(node, _)| node).collect();
    let mut refused = Vec::new();
    for (node, fetched) in join_all(fetching).await {
        match fetched {
            Ok(()) => have.push(node),
            Err(failure) => refused.push((node, failure)),
        }
    }
    let (images, sources) = (&handed_on(image), &Sources::new(have));
    let handing = refused.into_iter().map(|(node, failure)| async move {
        match failure.exit {
            Exit::Failed => sources.hand_on(images, node, failure, run).await,
            // It may go on there.
            _ => Err(failure),
        }
    });
    all(handing).await
}

/// All of them, by their names.
fn handed_on(image: &str) -> Images {
    let named = format!(
        "printf '%s ' {} $(docker compose --project-directory {PROJECT} config --images)",
        quoted(image)
    );
    Images {
        what: "fetch the images that are missing".to_owned(),
        then: format!(
            "for image in $({named}); do docker image inspect \"$image\" >/dev/null || exit 1; done\n"
        ),
        named,
    }
}

fn fetch(image: &str, version: Option<&str>, digest: Option<&str>) -> Step {
    let same = match version {
        Some(_) => same_image(image, version, digest),
        None => format!("set -eu\nimage={}\n{PULL}", quoted(image)),
    };
    Step {
        name: "images",
        what: format!("fetch the images that are missing ({image} and the database's)"),
        script: format!("{same}project={PROJECT}\n{}", include_str!("images.sh")),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::*;

    /// What is said where `docker pull` says something.
    fn said(pull: &str) -> String {
        let script = fetch("portsip/pbx:22", None, None).script;
        let docker = format!(
            "set -eu\nsleep() {{ :; }}\n\
             docker() {{ case $1 in compose) ;; image) return 1 ;; *) echo '{pull}' >&2; return 1 ;; esac; }}\n"
        );
        let script = script.replacen("set -eu\n", &docker, 1);
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[test]
    fn a_registry_that_refuses_is_answered_with_what_to_do() {
        for (pull, help) in [
            (
                "toomanyrequests: You have reached your unauthenticated pull rate limit.",
                "the registry limits how often",
            ),
            (
                "denied: requested access to the resource is denied",
                "sudo docker login",
            ),
            ("no basic auth credentials", "sudo docker login"),
            ("manifest unknown", "pbx_image"),
            (
                "dial tcp: lookup registry-1.docker.io: no such host",
                "proxy",
            ),
        ] {
            let said = said(pull);
            assert!(said.contains(pull) && said.contains(help), "{said}");
            assert!(said.contains("docker load"), "{said}");
        }
    }

    #[test]
    fn an_image_that_is_there_is_not_fetched() {
        insta::assert_snapshot!(fetch("portsip/pbx:22", None, None).script);
    }
}
