//! The images of the PBX on every node that can run it, before anything needs them.

use std::time::Duration;

use super::project::{self, PROJECT};
use super::{Deployment, all};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::run::Run;
use crate::steps::Step;

/// Gigabytes over a slow line.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let image = &deployment.site.image;
    let lacking = deployment
        .each_with_data()
        .filter(|(_, facts)| !facts.has_images(image) || project::is_new(facts, deployment));
    let fetch = &fetch(image);
    all(lacking.map(|(node, _)| run.step(node, fetch))).await
}

fn fetch(image: &str) -> Step {
    Step {
        name: "images",
        what: format!("fetch the images that are missing ({image} and the database's)"),
        script: format!(
            "set -eu\n\
             images=$(docker compose --project-directory {PROJECT} config --images)\n\
             for image in $(printf '%s\\n' {image} $images | sort -u); do\n    \
                 docker image inspect \"$image\" >/dev/null 2>&1 && continue\n    \
                 for pause in 5 20 0; do\n        \
                     docker pull --quiet \"$image\" && continue 2\n        \
                     sleep $pause\n    \
                 done\n    \
                 echo \"$image cannot be fetched. A private registry: docker login, on this node\" >&2\n    \
                 exit 1\n\
             done\n",
            image = quoted(image)
        ),
        limit: LIMIT,
        once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_there_is_not_fetched() {
        insta::assert_snapshot!(fetch("portsip/pbx:22").script);
    }
}
