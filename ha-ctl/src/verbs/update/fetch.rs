//! The new image on all nodes, the same one everywhere, while the PBX runs.

use futures_util::future::join_all;

use super::found::Found;
use crate::cli::Wanted;
use crate::deploy::all;
use crate::exit::{Exit, Failure};
use crate::hand_on::Sources;
use crate::run::Run;
use crate::update::{Facts, Image, Project, Stage, bring_compose_file};

pub(super) fn image(wanted: &Wanted) -> &str {
    wanted.image.as_deref().unwrap_or_default()
}

/// What an update writes on a node.
pub(super) fn project<'a>(
    found: &'a Found,
    wanted: &'a Wanted,
    profiles: Option<&'a str>,
) -> Project<'a> {
    Project {
        image: image(wanted),
        profiles,
        data_path: &found.site.data_path,
    }
}

/// With the certificate manager, if it is asked for.
pub(super) fn profiles(facts: &Facts, wanted: &Wanted) -> Option<String> {
    const CERTIFICATE_MANAGER: &str = "certmanager";
    wanted.certificate_manager.then(|| {
        let others = facts.profiles.split(',');
        let others = others.filter(|it| !it.is_empty() && *it != CERTIFICATE_MANAGER);
        let all: Vec<&str> = others.chain([CERTIFICATE_MANAGER]).collect();
        all.join(",")
    })
}

/// The image where the data is. In the middle of an update it is the one that is there, whatever its name means in the
/// registry by now.
pub(super) async fn fetch_first(
    found: &mut Found,
    wanted: &Wanted,
    run: &Run,
) -> Result<(), Failure> {
    if found
        .unfinished()
        .is_none_or(|it| it.stage == Stage::Stopped)
    {
        let bring = &bring_compose_file(wanted.compose_file.as_deref());
        let nodes = found.nodes.iter();
        all(nodes.map(|(node, _)| async move { run.change(node, bring).await.map(drop) })).await?;
        let Some((node, facts)) = found.active() else {
            return Ok(());
        };
        let profiles = profiles(facts, wanted);
        let step = project(found, wanted, profiles.as_deref()).fetch();
        run.step(node, &step).await?;
    }
    found.look_again().await
}

/// The same image on the others. What the registry does not give, the node with the data hands on.
pub(super) async fn fetch_on_others(
    found: &mut Found,
    wanted: &Wanted,
    new: &Image,
    run: &Run,
) -> Result<(), Failure> {
    let fetching = found.others().map(|(node, facts)| {
        let profiles = profiles(facts, wanted);
        let step = project(found, wanted, profiles.as_deref()).fetch_same(new);
        async move { (node.name.clone(), run.step(node, &step).await) }
    });
    let mut refused = Vec::new();
    for (name, fetched) in join_all(fetching).await {
        match fetched {
            Ok(()) => {}
            Err(failure) if failure.exit != Exit::Failed => return Err(failure),
            Err(failure) => refused.push((name, failure)),
        }
    }
    found.look_again().await?;
    let profiles = found
        .active()
        .and_then(|(_, facts)| profiles(facts, wanted));
    let images = &project(found, wanted, profiles.as_deref()).handed_on(&new.version);
    let sources = &Sources::new(vec![found.active_node()?]);
    let handing = found.others().filter_map(|(node, facts)| {
        let refusal = refused.iter().find(|(name, _)| *name == node.name);
        let failure = match refusal {
            Some((_, failure)) => failure.clone(),
            None if facts.has(new) => return None,
            None => Failure::failed(format!("the registry gave {} another image", node.name)),
        };
        Some(async move { sources.hand_on(images, node, failure, run).await })
    });
    all(handing).await?;
    found.look_again().await
}
