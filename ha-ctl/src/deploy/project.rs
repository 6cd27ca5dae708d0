//! The PBX as a Docker Compose project on every node: the compose file, the values of this site, and the password of
//! the database's superuser, the same everywhere.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Deployment, Facts, Site, all, secret};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::{Command, Node};
use crate::run::Run;

/// Where the project is on every node.
pub(super) const PROJECT: &str = "/etc/portsip/pbx";
/// The password of the database's superuser.
pub(super) const PASSWORD: &str = "/etc/portsip/pbx/database_password";
/// The example of the package. A compose file that is there already is kept.
const EXAMPLE: &str = include_str!("../../../tests/pbx/docker-compose.yml");

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    refuse(deployment)?;
    compose_file(deployment, run).await?;
    let env = &env(&deployment.site);
    let differing = deployment
        .each()
        .filter(|(_, facts)| !different(facts, &deployment.site).is_empty());
    all(differing.map(|(node, _)| async move { run.change(node, env).await.map(drop) })).await?;
    if deployment.facts.iter().any(|it| it.password().is_none()) {
        let known = deployment
            .each()
            .find(|(_, facts)| facts.password().is_some());
        let password = match known {
            Some((node, _)) => read(node, "database_password").await?,
            None => format!("{}\n", secret::random()?.expose_secret()).into(),
        };
        let lacking = deployment
            .each()
            .filter(|(_, facts)| facts.password().is_none());
        let write = &write_password(&password);
        all(lacking.map(|(node, _)| async move { run.change(node, write).await.map(drop) }))
            .await?;
    }
    Ok(())
}

/// The containers of a cluster that is in use were made with the values that it has.
fn refuse(deployment: &Deployment) -> Result<(), Failure> {
    if !deployment.is_configured() {
        return Ok(());
    }
    let each = deployment.each().filter_map(|(node, facts)| {
        let different = different(facts, &deployment.site);
        let is_there = facts.env("PBX_IMAGE").is_some();
        (is_there && !different.is_empty())
            .then(|| format!("{}: {}", node.name, different.join(", ")))
    });
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{PROJECT}/.env has other values than vars.yml, and the PBX is in use with them ({}). Nothing was \
             changed\n  help: README, \"Changing the address, the image or the data path\"",
            each.join("; ")
        ))),
    }
}

/// The same file on all nodes: the one that is there, or else the example.
async fn compose_file(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    if deployment.facts.iter().all(Facts::has_compose_file) {
        return Ok(());
    }
    let known = deployment
        .each()
        .find(|(_, facts)| facts.has_compose_file());
    let (content, from) = match known {
        Some((node, _)) => (read(node, "docker-compose.yml").await?, node.name.as_str()),
        None => (EXAMPLE.into(), "the example of this package"),
    };
    let lacking = deployment
        .each()
        .filter(|(_, facts)| !facts.has_compose_file());
    let write = &write(
        format!("write {PROJECT}/docker-compose.yml ({from})"),
        "docker-compose.yml",
        0o644,
        &content,
    );
    all(lacking.map(|(node, _)| async move { run.change(node, write).await.map(drop) })).await
}

fn values(site: &Site) -> [(&'static str, &str); 3] {
    [
        ("PBX_IMAGE", &site.image),
        ("IP_ADDRESS", &site.virtual_address),
        ("PBX_DATA", &site.data_path),
    ]
}

/// The values of a node that are not those of vars.yml.
fn different(facts: &Facts, site: &Site) -> Vec<&'static str> {
    let values = values(site).into_iter();
    values
        .filter(|(name, value)| facts.env(name) != Some(*value))
        .map(|(name, _)| name)
        .collect()
}

/// Other values that somebody has written stay.
fn env(site: &Site) -> Command {
    let lines = values(site).map(|(name, value)| format!("{name}={value}\n"));
    let file = format!("{PROJECT}/.env");
    Command::change(
        format!("write {file}"),
        format!(
            "umask 077; mkdir -p -m 0755 /etc/portsip {PROJECT} || exit\n\
             {{ cat; grep -v -E '^(PBX_IMAGE|IP_ADDRESS|PBX_DATA)=' {file} 2>/dev/null; }} >{file}.new\n\
             mv {file}.new {file}"
        ),
    )
    .reading(lines.concat())
}

/// Root alone reads it.
pub(super) fn write_password(password: &SecretString) -> Command {
    write(
        format!("write {PASSWORD}"),
        "database_password",
        0o600,
        password,
    )
}

fn write(what: String, name: &str, mode: u32, content: &SecretString) -> Command {
    let file = format!("{PROJECT}/{name}");
    Command::change(
        what,
        format!(
            "umask 077; mkdir -p -m 0755 /etc/portsip {PROJECT} || exit\n\
             cat >{new} && chmod {mode:o} {new} && mv {new} {file}",
            new = quoted(&format!("{file}.new")),
            file = quoted(&file)
        ),
    )
    .reading(content.clone())
}

/// A file of the project on a node.
///
/// # Errors
/// It cannot be read.
pub(super) async fn read(node: &Node, name: &str) -> Result<SecretString, Failure> {
    let what = format!("reading {PROJECT}/{name}");
    let command = Command::look(
        &what,
        format!("cat {}", quoted(&format!("{PROJECT}/{name}"))),
    );
    match node.run(&command).await {
        Ok(answer) if answer.is_success() => Ok(answer.stdout.into()),
        Ok(answer) => Err(Failure::failed(format!(
            "{what} on {} failed: {}",
            node.name,
            answer.said()
        ))),
        Err(cause) => Err(Failure::failed(format!(
            "{what}: {} {}",
            node.name,
            cause.found()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_vars_yml_is_named() {
        let site = super::super::tests::site();
        let facts = Facts::parse(
            "env PBX_IMAGE=portsip/pbx:22\nenv IP_ADDRESS=172.31.16.130\nenv PBX_DATA=/var/lib/pbx\n",
        );
        assert_eq!(different(&facts, &site), ["PBX_DATA"]);
        assert_eq!(different(&Facts::parse(""), &site).len(), 3);
    }

    #[test]
    fn the_password_of_the_database_is_in_no_argument() {
        let command = write_password(&"hunter2".into());
        assert!(!format!("{command:?}").contains("hunter2"));
        assert!(command.script.contains("chmod 600"), "{}", command.script);
    }
}
