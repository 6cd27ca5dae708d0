//! What EC2 says of the volume of the data.

use cib_gen::ec2_facts::{Ec2Facts, VolumeAnswer};

use super::aws_checks::facts;
use super::{Inspection, SaidOf, Site};
use crate::cluster::Level;

/// Types that are too slow for a database (EBS User Guide, "Amazon EBS volume types").
const SLOW: [&str; 3] = ["standard", "st1", "sc1"];

fn volume(all: &[Inspection]) -> Option<(&Ec2Facts, &VolumeAnswer)> {
    let facts = facts(all)?;
    Some((facts, facts.answers.volume.as_ref().ok()?))
}

fn said(level: Level, found: String, command: String) -> Vec<SaidOf> {
    vec![(None, (level, found, Some(command)))]
}

pub(super) fn zone(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    let Some((facts, volume)) = volume(all) else {
        return Vec::new();
    };
    let mut nodes = facts.nodes.iter().filter(|node| !node.zone.is_empty());
    match nodes.find(|node| node.zone != volume.zone) {
        None => Vec::new(),
        Some(node) => said(
            Level::Error,
            format!("it is in {}, and {} in {}", volume.zone, node.hostname, node.zone),
            "make a volume in the zone of the nodes from a snapshot, and write its id as ebs_volume_id".to_owned(),
        ),
    }
}

pub(super) fn state(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let missing = facts(all).and_then(|facts| facts.answers.volume.as_ref().err());
    if let Some(refusal) = missing.filter(|it| it.not_found) {
        let command = "aws ec2 describe-volumes   and correct ebs_volume_id";
        return said(Level::Error, refusal.said.clone(), command.to_owned());
    }
    let Some((facts, volume)) = volume(all) else {
        return Vec::new();
    };
    let region = &facts.region;
    let id = site.volume.unwrap_or("VOLUME");
    if !["available", "in-use"].contains(&volume.state.as_str()) {
        return said(
            Level::Error,
            format!("its state is {}", volume.state),
            format!("aws ec2 describe-volumes --region {region} --volume-ids {id}"),
        );
    }
    let is_node = |id: &String| facts.nodes.iter().any(|node| node.id == *id);
    let mut others = volume.attached_to.iter().filter(|id| !is_node(id));
    match others.next() {
        None => Vec::new(),
        Some(other) => said(
            Level::Error,
            format!("it is attached to {other}, which is none of the nodes"),
            format!(
                "unmount it there; then: aws ec2 detach-volume --region {region} --volume-id {id}"
            ),
        ),
    }
}

pub(super) fn kind(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    let Some((facts, volume)) = volume(all) else {
        return Vec::new();
    };
    match SLOW.contains(&volume.kind.as_str()) {
        false => Vec::new(),
        true => said(
            Level::Warning,
            format!(
                "its type is {}, which is too slow for a database",
                volume.kind
            ),
            format!(
                "aws ec2 modify-volume --region {} --volume-id {} --volume-type gp3   (the vendor's guide has io2)",
                facts.region,
                site.volume.unwrap_or("VOLUME")
            ),
        ),
    }
}

pub(super) fn multi_attach(all: &[Inspection], site: &Site) -> Vec<SaidOf> {
    match volume(all).filter(|(_, volume)| volume.multi_attach) {
        None => Vec::new(),
        Some((facts, _)) => said(
            Level::Error,
            "two nodes could mount it at once and destroy its data".to_owned(),
            format!(
                "aws ec2 modify-volume --region {} --volume-id {} --no-multi-attach-enabled",
                facts.region,
                site.volume.unwrap_or("VOLUME")
            ),
        ),
    }
}

/// A volume that a node has shows that its key can be used.
pub(super) fn encryption(all: &[Inspection], _: &Site) -> Vec<SaidOf> {
    let Some((facts, volume)) = volume(all) else {
        return Vec::new();
    };
    let is_node = |id: &String| facts.nodes.iter().any(|node| node.id == *id);
    if !volume.encrypted || volume.attached_to.iter().any(is_node) {
        return Vec::new();
    }
    let key = volume.kms_key.as_deref().unwrap_or("a key of AWS");
    said(
        Level::Note,
        format!(
            "it is encrypted with {key}. With a key of your own, a node that may not use it gets no volume and no \
             error: the attachment falls back to `available`"
        ),
        "allow kms:CreateGrant, kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext on that key for the role of the \
         nodes"
            .to_owned(),
    )
}
