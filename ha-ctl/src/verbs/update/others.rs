//! The nodes without the data, after the update or when they were away during it.

use futures_util::future::join_all;

use super::fetch::{profiles, project};
use super::found::Found;
use crate::cli::Wanted;
use crate::deploy::PROJECT;
use crate::exit::Failure;
use crate::output::say;
use crate::reach::{Command, Node};
use crate::run::Run;
use crate::update::{Facts, Image, bring_compose_file, keep};
use crate::verbs::show::answer;

/// The other nodes get the new containers while the PBX runs; one that cannot is named.
pub(super) async fn bring_others(
    found: &Found,
    wanted: &Wanted,
    new: &Image,
    id: &str,
    run: &Run,
) -> Vec<String> {
    let lagging: Vec<&(Node, Facts)> = found
        .others()
        .filter(|(_, facts)| !facts.is_of(new))
        .collect();
    if lagging.is_empty() {
        return Vec::new();
    }
    let compose = match compose_file(found).await {
        Ok(compose) => compose,
        Err(failure) => {
            say(&format!("error: {failure}"));
            return lagging.iter().map(|(node, _)| node.name.clone()).collect();
        }
    };
    let active = found.active().map(|(_, facts)| facts.profiles.clone());
    let active = active.unwrap_or_default();
    let (compose, keep) = (&bring_compose_file(Some(&compose)), &keep(id));
    let bringing = lagging.into_iter().map(|(node, facts)| {
        let profiles =
            profiles(facts, wanted).or_else(|| (!active.is_empty()).then(|| active.clone()));
        async move {
            let project = project(found, wanted, profiles.as_deref());
            let brought = async {
                run.change(node, keep).await?;
                run.change(node, compose).await?;
                run.change(node, &project.write()).await?;
                run.step(node, &project.containers()).await
            };
            (node.name.clone(), brought.await)
        }
    });
    let mut left = Vec::new();
    for (name, brought) in join_all(bringing).await {
        match brought {
            Ok(()) => say(&format!("{name} has the version {} too", new.version)),
            Err(failure) => {
                say(&format!("error: {failure}"));
                left.push(name);
            }
        }
    }
    left
}

/// The compose file that counts is that of the node with the data.
async fn compose_file(found: &Found) -> Result<String, Failure> {
    let read = Command::look(
        "reading the compose file",
        format!("cat {}/docker-compose.yml", PROJECT),
    );
    let answer = answer(found.active_node()?, read).await?;
    Ok(answer.stdout)
}
