//! The PBX stand-in: three Docker images with the names, programs, ports and data directories of the
//! vendor's, the compose project that makes the containers, and a Docker data directory for nodes
//! that has the images loaded. What is real in it and what is not: `tests/pbx/README.md`.
//! [`Behaviour`] makes it misbehave as a real PBX does.

mod archive;
mod behaviour;
mod docker_data;
mod engine;
mod host;
mod image;

pub use behaviour::{Behaviour, Crash, Times};
pub use docker_data::{copy_docker_data, docker_data};
pub use engine::Engine;
pub use host::Host;

/// The image of all containers but the database, as `pbx_image` of vars.yml names it.
pub const PBX_IMAGE: &str = "portsip/pbx:22";
/// The database's image. The vendor's name; inside is Debian's PostgreSQL 15, as its labels say.
pub const DATABASE_IMAGE: &str = "portsip/postgresql:14.12";
/// The certificate manager's image, whose container only `ha-ctl deploy -c` makes.
pub const CERTIFICATE_MANAGER_IMAGE: &str = "portsip/certmanager:22";
/// Its container.
pub const CERTIFICATE_MANAGER: &str = "portsip.certmanager";
/// The release of the vendor's PBX whose shape the stand-in has: the label `version`.
pub const VERSION: &str = "22.4.0";

/// Where the compose project lives on every node: [`compose_yaml`], `.env`, and the password file.
pub const PROJECT_DIR: &str = "/etc/portsip/pbx";
/// The password of the database's superuser, mode 0600, the same on every node.
/// Read when the data is initialised and never again.
pub const DATABASE_PASSWORD_FILE: &str = "/etc/portsip/pbx/database_password";
/// Where the volume is mounted.
pub const DATA_DIR: &str = "/var/lib/portsip";
/// The superuser of the database.
pub const DATABASE_SUPERUSER: &str = "postgres";
/// The database that `initdt` makes.
pub const DATABASE: &str = "portsip";

/// The compose project; it reads the rest from [`compose_env`] beside it.
pub fn compose_yaml() -> &'static str {
    include_str!("../../pbx/docker-compose.yml")
}

/// The `.env` file beside the compose file.
///
/// # Arguments
///
/// `pbx_image` and `vip` are `pbx_image` and `private_vip_address` of vars.yml.
pub fn compose_env(pbx_image: &str, vip: std::net::Ipv4Addr) -> String {
    format!("PBX_IMAGE={pbx_image}\nIP_ADDRESS={vip}\nPBX_DATA={DATA_DIR}\n")
}

/// What an operator types on every node, after the files of [`PROJECT_DIR`] are there: makes the
/// containers, starts none.
pub const CREATE_CONTAINERS: &str =
    "docker compose --project-directory /etc/portsip/pbx create --no-recreate";

/// The services of a node with a kernel of its own, where each costs seconds at every start: those that the agent and a
/// telephone ask, what they need, and what lays down the first data.
const KERNEL_NODE_SERVICES: [&str; 5] = ["database", "nats", "callmanager", "webserver", "initdt"];

/// The compose project with the services of a node with a kernel of its own alone. An operator puts it on a node before
/// a deployment, as the file of a PBX that has no others.
pub fn kernel_node_compose_yaml() -> String {
    let mut kept = String::new();
    let (mut in_services, mut is_kept) = (false, true);
    for line in compose_yaml().lines() {
        let indented = line.strip_prefix("  ");
        let name = indented.filter(|rest| !rest.starts_with([' ', '#']));
        match name.and_then(|rest| rest.strip_suffix(':')) {
            Some(name) if in_services => is_kept = KERNEL_NODE_SERVICES.contains(&name),
            _ if indented.is_none() && !line.is_empty() => {
                in_services = line == "services:";
                is_kept = true;
            }
            _ => {}
        }
        if is_kept {
            kept += &format!("{line}\n");
        }
    }
    kept
}

/// What an operator types once, on the node where the new volume is mounted at [`DATA_DIR`] and the
/// virtual address may still be missing. Run again it changes nothing. Leaves no container running.
pub const INITIALISE_DATA: [&str; 3] = [
    "install -d -o 888 -g 888 /var/lib/portsip/pbx && install -d -o 999 -g 999 -m 0700 /var/lib/portsip/postgresql",
    "docker compose --project-directory /etc/portsip/pbx run --rm --name portsip.initdt initdt",
    "docker compose --project-directory /etc/portsip/pbx stop",
];

/// The containers of the project, as `docker ps` names them, without the one-off `portsip.initdt` and the
/// certificate manager.
pub const CONTAINERS: [&str; 17] = [
    "portsip.database",
    "portsip.nats",
    "portsip.callmanager",
    "portsip.mediaserver",
    "portsip.gateway",
    "portsip.webserver",
    "portsip.wsspublisher",
    "portsip.voicemail",
    "portsip.virtualreceptionist",
    "portsip.notificationcenter",
    "portsip.provision",
    "portsip.conference",
    "portsip.callqueue",
    "portsip.callpark",
    "portsip.announcement",
    "portsip.loadbalancer",
    "portsip.ai",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_compose_file_makes_every_container_of_the_list() {
        let mut named: Vec<_> = compose_yaml()
            .lines()
            .filter_map(|line| line.trim().strip_prefix("container_name: "))
            .filter(|name| !["portsip.initdt", CERTIFICATE_MANAGER].contains(name))
            .collect();
        named.sort_unstable();
        let mut expected = CONTAINERS;
        expected.sort_unstable();
        assert_eq!(named, expected);
    }

    #[test]
    fn a_kernel_node_has_the_services_that_somebody_asks() {
        let compose = kernel_node_compose_yaml();
        let named = compose
            .lines()
            .filter_map(|line| line.trim().strip_prefix("container_name: portsip."));
        let named: Vec<&str> = named.collect();
        assert_eq!(named, KERNEL_NODE_SERVICES);
        let (head, _) = compose_yaml().split_once("services:").unwrap();
        let (_, tail) = compose_yaml().split_once("\nvolumes:").unwrap();
        assert!(
            compose.starts_with(head) && compose.ends_with(tail),
            "{compose}"
        );
    }

    #[test]
    fn the_image_has_a_program_for_every_command_of_the_compose_file() {
        let mut programs = image::pbx_layer();
        programs.extend(image::certificate_manager_layer());
        for line in compose_yaml().lines() {
            let Some(command) = line.trim().strip_prefix("command: [/") else {
                continue;
            };
            let program = command
                .split([',', ']'])
                .next()
                .expect("split gives one item");
            assert!(
                programs.iter().any(|file| file.path == program),
                "no /{program} in the image"
            );
        }
    }

    #[test]
    fn the_operator_s_commands_use_the_places_that_the_files_are_put() {
        assert!(CREATE_CONTAINERS.contains(PROJECT_DIR));
        assert!(
            INITIALISE_DATA
                .iter()
                .skip(1)
                .all(|c| c.contains(PROJECT_DIR))
        );
        assert!(INITIALISE_DATA[0].contains(DATA_DIR));
        assert_eq!(
            DATABASE_PASSWORD_FILE,
            format!("{PROJECT_DIR}/database_password")
        );
        assert!(compose_yaml().contains("file: ./database_password"));
    }
}
