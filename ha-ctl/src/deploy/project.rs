//! The PBX as a Docker Compose project on every node that can run it: the compose file, the values of this site, and
//! the password of the database's superuser, the same everywhere.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Deployment, Facts, all, secret};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::{Command, Node};
use crate::run::Run;

/// Where the project is on every node.
pub(crate) const PROJECT: &str = "/etc/portsip/pbx";
/// The password of the database's superuser.
pub(super) const PASSWORD: &str = "/etc/portsip/pbx/database_password";
/// The example of the package. A compose file that is there already is kept.
const EXAMPLE: &str = include_str!("../../../tests/pbx/docker-compose.yml");

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    refuse(deployment)?;
    compose_file(deployment, run).await?;
    let differing = deployment
        .each_with_data()
        .filter(|(_, facts)| !different(facts, deployment).is_empty());
    let writing = differing.map(|(node, facts)| async move {
        let env = env(&values(facts, deployment));
        run.change(node, &env).await.map(drop)
    });
    all(writing).await?;
    let mut each = deployment.each_with_data();
    if each.any(|(_, facts)| facts.password().is_none()) {
        let known = deployment
            .each_with_data()
            .find(|(_, facts)| facts.password().is_some());
        let password = match known {
            Some((node, _)) => read(node, "database_password").await?,
            None => format!("{}\n", secret::random()?.expose_secret()).into(),
        };
        let lacking = deployment
            .each_with_data()
            .filter(|(_, facts)| facts.password().is_none());
        let write = &write_password(&password);
        all(lacking.map(|(node, _)| async move { run.change(node, write).await.map(drop) }))
            .await?;
    }
    Ok(())
}

/// The containers of a cluster that is in use were made with the values that it has.
fn refuse(deployment: &Deployment) -> Result<(), Failure> {
    let lacks_service =
        |facts: &Facts| facts.has_compose_file() && !facts.has_certificate_manager();
    let mut each = deployment.each_with_data();
    if deployment.certificate_manager
        && let Some((node, _)) = each.find(|(_, facts)| lacks_service(facts))
    {
        return Err(Failure::failed(format!(
            "-c: {PROJECT}/docker-compose.yml on {} has no container portsip.certmanager. Nothing was changed\n  help: \
             add the service to it, on every node that has the file: the one of \
             /usr/share/doc/portsip-ha/examples/docker-compose.yml, with its volume",
            node.name
        )));
    }
    if !deployment.is_in_use() {
        return Ok(());
    }
    let each = deployment.each_with_data().filter_map(|(node, facts)| {
        let different = different(facts, deployment);
        let is_there = facts.env("PBX_IMAGE").is_some();
        (is_there && !different.is_empty())
            .then(|| format!("{}: {}", node.name, different.join(", ")))
    });
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{PROJECT}/.env has other values than were asked for, and the PBX is in use with them ({}). Nothing was \
             changed\n  help: README, \"Changing the address, the image or the data path\"",
            each.join("; ")
        ))),
    }
}

/// The same file on all nodes: the one that is there, or else the example.
async fn compose_file(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let mut each = deployment.each_with_data();
    if each.all(|(_, facts)| facts.has_compose_file()) {
        return Ok(());
    }
    let known = deployment
        .each_with_data()
        .find(|(_, facts)| facts.has_compose_file());
    let (content, from) = match known {
        Some((node, _)) => (read(node, "docker-compose.yml").await?, node.name.as_str()),
        None => (EXAMPLE.into(), "the example of this package"),
    };
    let lacking = deployment
        .each_with_data()
        .filter(|(_, facts)| !facts.has_compose_file());
    let write = &write(
        format!("write {PROJECT}/docker-compose.yml ({from})"),
        "docker-compose.yml",
        0o644,
        &content,
    );
    all(lacking.map(|(node, _)| async move { run.change(node, write).await.map(drop) })).await
}

/// The services of these profiles are made too (Compose, `profiles`).
const PROFILES: &str = "COMPOSE_PROFILES";
/// The profile of the certificate manager in the example.
const CERTIFICATE_MANAGER: &str = "certmanager";

/// What `.env` has to say on a node.
fn values(facts: &Facts, deployment: &Deployment) -> Vec<(&'static str, String)> {
    let site = &deployment.site;
    let mut values = vec![
        ("PBX_IMAGE", site.image.clone()),
        ("IP_ADDRESS", site.virtual_address.clone()),
        ("PBX_DATA", site.data_path.clone()),
    ];
    if deployment.certificate_manager {
        let others = facts.env(PROFILES).unwrap_or_default().split(',');
        let others = others.filter(|it| !it.is_empty() && *it != CERTIFICATE_MANAGER);
        let profiles: Vec<&str> = others.chain([CERTIFICATE_MANAGER]).collect();
        values.push((PROFILES, profiles.join(",")));
    }
    values
}

/// Whether the certificate manager is asked for, and was not before: what was found of the project is without it.
pub(super) fn is_new(facts: &Facts, deployment: &Deployment) -> bool {
    different(facts, deployment).contains(&PROFILES)
}

/// The values of a node that are not what was asked for.
fn different(facts: &Facts, deployment: &Deployment) -> Vec<&'static str> {
    let values = values(facts, deployment).into_iter();
    values
        .filter(|(name, value)| facts.env(name) != Some(value))
        .map(|(name, _)| name)
        .collect()
}

/// Other values that somebody has written stay.
pub(crate) fn env(values: &[(&str, String)]) -> Command {
    let lines = values
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"));
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let file = format!("{PROJECT}/.env");
    Command::change(
        format!("write {file}"),
        format!(
            "umask 077; mkdir -p -m 0755 /etc/portsip {PROJECT} || exit\n\
             [ -e {file} ] || : >{file} || exit\n\
             {{ cat && {{ grep -v -E '^({})=' {file} || [ $? = 1 ]; }}; }} >{file}.new && sync {file}.new && mv {file}.new {file}",
            names.join("|")
        ),
    )
    .reading(lines.collect::<String>())
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
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn deployment(certificate_manager: bool, facts: Facts) -> Deployment {
        Deployment {
            site: super::super::samples::aws(),
            vars: String::new(),
            package: None,
            certificate_manager,
            nodes: vec![crate::reach::test_node("n1")],
            facts: vec![facts],
            pending: None,
        }
    }

    const ENV: &str = "env PBX_IMAGE=portsip/pbx:22\nenv IP_ADDRESS=172.31.16.130\nenv PBX_DATA=/var/lib/portsip\n";

    #[test]
    fn what_differs_from_vars_yml_is_named() {
        let facts = Facts::parse(&ENV.replace("/var/lib/portsip", "/var/lib/pbx"));
        let deployment = deployment(false, Facts::default());
        assert_eq!(different(&facts, &deployment), ["PBX_DATA"]);
        assert_eq!(different(&Facts::parse(""), &deployment).len(), 3);
    }

    #[test]
    fn the_certificate_manager_is_a_profile_beside_others() {
        let with = deployment(true, Facts::default());
        let facts = Facts::parse(&format!("{ENV}env COMPOSE_PROFILES=debug\n"));
        assert!(is_new(&facts, &with));
        let values = values(&facts, &with);
        assert_eq!(
            values[3],
            ("COMPOSE_PROFILES", "debug,certmanager".to_owned())
        );
        let file = env(&values);
        assert!(
            file.script.contains("|COMPOSE_PROFILES)="),
            "{}",
            file.script
        );
        let facts = Facts::parse(&format!("{ENV}env COMPOSE_PROFILES=debug,certmanager\n"));
        assert_eq!(different(&facts, &with), Vec::<&str>::new());
        // Whoever deploys without -c later does not remove it.
        let without = deployment(false, Facts::default());
        assert_eq!(different(&facts, &without), Vec::<&str>::new());
    }

    #[test]
    fn a_compose_file_without_the_certificate_manager_is_refused_with_it() {
        let facts = |text: &str| Facts::parse(&format!("{ENV}{text}"));
        assert!(refuse(&deployment(true, facts("compose yes\n"))).is_err());
        assert!(refuse(&deployment(true, facts("compose yes\ncertmanager yes\n"))).is_ok());
        assert!(refuse(&deployment(true, facts(""))).is_ok());
        assert!(refuse(&deployment(false, facts("compose yes\n"))).is_ok());
        // The containers of a PBX that is in use are not made anew.
        for in_use in ["configured yes", "running resources"] {
            let in_use = facts(&format!("compose yes\ncertmanager yes\n{in_use}\n"));
            let refused = refuse(&deployment(true, in_use)).unwrap_err();
            assert!(refused.text.contains("COMPOSE_PROFILES"), "{refused}");
        }
    }

    #[test]
    fn the_password_of_the_database_is_in_no_argument() {
        let command = write_password(&"hunter2".into());
        assert!(!format!("{command:?}").contains("hunter2"));
        assert!(command.script.contains("chmod 600"), "{}", command.script);
    }
}
