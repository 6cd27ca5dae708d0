//! A dockerd with the PBX's compose project in its place and a directory as the volume; no node,
//! and no cluster, around it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{CREATE_CONTAINERS, DATA_DIR, DATABASE, DATABASE_PASSWORD_FILE, DATABASE_SUPERUSER};
use super::{Engine, INITIALISE_DATA, PBX_IMAGE, PROJECT_DIR};
use crate::progress::Stderr;
use crate::site::{self, Site};
use crate::world::Error;
use crate::{image, paths};

/// Hard to quote: whoever passes it on does it right, or fails.
const PASSWORD: &str = "not a secret: 'quoted' \"twice\" $HOME";

/// The host. The containers are made, and not started.
#[derive(Debug)]
pub struct Host {
    /// Its dockerd.
    pub engine: Engine,
    _files: TempDir,
}

impl Host {
    /// A host whose volume is not mounted yet. `binds` are as in [`Engine::start`].
    ///
    /// # Errors
    /// The images can't be built, or dockerd does not come up.
    pub fn new(binds: &[String]) -> Result<Self, Error> {
        let node = image::node_image(Site::Ec2, &Stderr::new())?;
        // In the cache: there the layers can be hard links.
        fs::create_dir_all(paths::cache())?;
        let files = tempfile::tempdir_in(paths::cache())?;
        let data = files.path().join("docker");
        super::copy_docker_data(&node, &data)?;
        let volume = files.path().join("volume");
        let project = files.path().join("project");
        fs::create_dir(&volume)?;
        fs::create_dir(&project)?;
        fs::write(project.join("docker-compose.yml"), super::compose_yaml())?;
        fs::write(
            project.join(".env"),
            super::compose_env(PBX_IMAGE, site::VIP),
        )?;
        fs::write(project.join("database_password"), PASSWORD)?;
        let bind = |from: &Path, to: &str| format!("{}:{to}", from.display());
        let mut all = vec![bind(&volume, "/volume"), bind(&project, PROJECT_DIR)];
        all.extend_from_slice(binds);
        let host = Self {
            engine: Engine::start(&node.rootfs(), &data, &all)?,
            _files: files,
        };
        host.try_sh(&format!(
            "ip link set lo up; ip address add {}/32 dev lo; mkdir -p {DATA_DIR}",
            site::VIP
        ))?;
        host.try_sh(CREATE_CONTAINERS)?;
        Ok(host)
    }

    /// A host with the volume mounted and initialised.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub fn initialised(binds: &[String]) -> Result<Self, Error> {
        let host = Self::new(binds)?;
        host.mount();
        for command in INITIALISE_DATA {
            host.try_sh(command)?;
        }
        Ok(host)
    }

    /// Runs a shell script on the host and returns what it wrote to stdout.
    ///
    /// # Errors
    /// The script ended with another status than 0.
    pub fn try_sh(&self, script: &str) -> Result<String, Error> {
        self.engine.sh(script)
    }

    /// Runs a shell script that has to succeed.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.try_sh(script).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Mounts the volume where the PBX has its data.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn mount(&self) {
        self.sh(&format!("mount --bind /volume {DATA_DIR}"));
    }

    /// What the database answers.
    ///
    /// # Panics
    /// If it does not, or with an error.
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        self.sh(&format!(
            "PGPASSWORD=$(cat {DATABASE_PASSWORD_FILE}) docker exec --env PGPASSWORD --interactive portsip.database \
             psql --host {} --username {DATABASE_SUPERUSER} --dbname {DATABASE} -qAt --set=ON_ERROR_STOP=1 <<'END'\n{query}\nEND",
            site::VIP,
        ))
    }

    /// The names of the containers that run.
    ///
    /// # Panics
    /// If Docker does not tell.
    #[track_caller]
    pub fn running(&self) -> Vec<String> {
        self.sh("docker ps --format '{{.Names}}'")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
