//! The node image: one Debian root directory from which every node of the lab starts, the key
//! that opens the nodes, and the lab's certificate authority, which the image trusts. It is a stock
//! machine: what the lab changes in it is listed in `deviations.rs`. And the tools image: the next
//! Debian's tools of the cluster. Built once into the cache, under names that are a hash of
//! everything they are built from (`recipe.rs`).

pub mod check;
pub mod deviations;
pub mod manifest;
pub(crate) mod recipe;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::ec2::server::ServerTls;
use crate::progress::{Progress, Stderr};
use crate::site::Site;
use crate::world::Error;
use crate::{paths, run};
use deviations::deviations;
use recipe::{Recipe, keyed};

/// The environment variable that says which Debian the nodes have.
pub const SUITE: &str = "SUITE";

/// The Debian of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12's Pacemaker 2.1 and pcs 0.11, with Debian 13's Docker.
    Bookworm,
    /// Debian 13 whole: Pacemaker 3.0, pcs 0.12.
    Trixie,
}

impl Suite {
    /// What [`SUITE`] says; Debian 12 if it says nothing.
    ///
    /// # Errors
    /// It is neither.
    pub fn chosen() -> Result<Self, Error> {
        match std::env::var(SUITE).as_deref() {
            Err(_) | Ok("" | "bookworm") => Ok(Self::Bookworm),
            Ok("trixie") => Ok(Self::Trixie),
            Ok(other) => Err(format!("{SUITE}={other}: nodes are `bookworm` or `trixie`").into()),
        }
    }

    /// What the image of a node is called.
    fn node(self, site: Site) -> &'static str {
        match (self, site) {
            (Self::Bookworm, Site::Ec2) => "node-bookworm",
            (Self::Trixie, Site::Ec2) => "node-trixie",
            (Self::Bookworm, Site::Lan) => "node-lan-bookworm",
            (Self::Trixie, Site::Lan) => "node-lan-trixie",
        }
    }

    fn recipe(self, site: Site) -> &'static Recipe {
        match (self, site) {
            (Self::Bookworm, Site::Ec2) => &recipe::BOOKWORM,
            (Self::Trixie, Site::Ec2) => &recipe::TRIXIE,
            (Self::Bookworm, Site::Lan) => &recipe::BOOKWORM_LAN,
            (Self::Trixie, Site::Lan) => &recipe::TRIXIE_LAN,
        }
    }
}

/// A built image.
#[derive(Debug, Clone)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    /// The image in a directory of the cache.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Its name in the cache, which is another when anything that it is built from is.
    pub(crate) fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The root directory. Never written to: nodes put an overlay or a copy on top.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// The private key that opens the account [`Site::user`] on every node.
    pub fn ssh_key(&self) -> PathBuf {
        self.dir.join("ssh_key")
    }

    /// A known_hosts file that fits every node, whatever its address.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Certificate of the lab's authority, in PEM.
    pub fn ca_certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate by the lab's authority for a server with these names.
    ///
    /// # Errors
    /// The authority's key cannot be read, or a name is not one.
    pub fn certificate_for(&self, names: &[&str]) -> Result<ServerTls, Error> {
        let path = self.dir.join("ca.key");
        let key = fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let authority = rcgen::Issuer::new(authority()?, rcgen::KeyPair::from_pem(&key)?);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names)?;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = rcgen::KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        Ok(ServerTls {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// The root directory of a site's image; builds the image if it is missing.
///
/// # Errors
/// As [`node_image`].
pub fn node_rootfs(site: Site) -> Result<PathBuf, Error> {
    let progress = Stderr::new();
    let image = node_image(site, &progress)?;
    progress.finish();
    Ok(image.rootfs())
}

/// The root directory with the tools of `suite` by which configurations are judged; builds it if it is
/// missing. Never written to.
///
/// # Errors
/// A package or a tool is missing, no Debian mirror can be reached, or the disk is full.
pub fn tools_rootfs(suite: Suite) -> Result<PathBuf, Error> {
    let progress = Stderr::new();
    let recipe = match suite {
        Suite::Bookworm => &recipe::BOOKWORM_TOOLS,
        Suite::Trixie => &recipe::TRIXIE_TOOLS,
    };
    let rootfs = stock_rootfs(recipe, &progress)?;
    progress.finish();
    Ok(rootfs)
}

/// The image of a site's machines, of the suite that [`SUITE`] says; builds it if it is missing, which takes some minutes.
///
/// # Errors
/// A package or a tool is missing, no Debian mirror can be reached, or the disk is full.
pub fn node_image(site: Site, progress: &dyn Progress) -> Result<Image, Error> {
    let suite = Suite::chosen()?;
    let recipe = suite.recipe(site);
    let stock = recipe.key();
    let mut texts = vec![stock.as_str()];
    texts.extend(deviations(site).map(|deviation| deviation.script));
    let dir = built(&keyed(suite.node(site), &texts), |dir| {
        node(site, &stock_rootfs(recipe, progress)?, dir, progress)
    })?;
    Ok(Image { dir })
}

/// A stock machine of a site, of the suite that [`SUITE`] says, as its distribution installs it.
///
/// # Errors
/// As [`node_image`].
pub fn stock(site: Site, progress: &dyn Progress) -> Result<PathBuf, Error> {
    stock_rootfs(Suite::chosen()?.recipe(site), progress)
}

fn stock_rootfs(recipe: &Recipe, progress: &dyn Progress) -> Result<PathBuf, Error> {
    let dir = built(&recipe.key(), |dir| recipe.debian(dir, progress))?;
    Ok(dir.join("rootfs"))
}

/// The directory of an image in the cache. `build` makes it in the directory that it is given,
/// if it is missing.
fn built(name: &str, build: impl Fn(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).map_err(|e| format!("cannot make {}: {e}", cache.display()))?;
    let dir = cache.join(name);
    if dir.join("rootfs").is_dir() {
        return Ok(dir);
    }
    // Two builds at once would be twice the work: the second waits and finds it done.
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = fs::File::create(&lock_path)
        .map_err(|e| format!("cannot make {}: {e}", lock_path.display()))?;
    let _held = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, e)| format!("cannot lock {}: {e}", lock_path.display()))?;
    if !dir.join("rootfs").is_dir() {
        let unfinished = cache.join(format!("{name}.unfinished"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .map_err(|e| format!("cannot remove {}: {e}", unfinished.display()))?;
        }
        fs::create_dir(&unfinished)
            .map_err(|e| format!("cannot make {}: {e}", unfinished.display()))?;
        build(&unfinished)?;
        // Whatever the umask: a node's services that are not root's walk through it.
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
        fs::rename(&unfinished, &dir)
            .map_err(|e| format!("cannot rename {}: {e}", unfinished.display()))?;
    }
    Ok(dir)
}

fn node(site: Site, stock: &Path, dir: &Path, progress: &dyn Progress) -> Result<(), Error> {
    progress.step("node image: what differs from a stock machine");
    let rootfs = dir.join("rootfs");
    run::run(
        "cp",
        &[
            "--archive",
            "--reflink=auto",
            path_text(stock)?,
            path_text(&rootfs)?,
        ],
    )?;
    let key = dir.join("ssh_key");
    run::run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "portsip-ha-lab",
            "-f",
            path_text(&key)?,
        ],
    )?;
    make_authority(dir)?;
    deviate(site, dir, &rootfs)?;
    let host_key = rootfs.join("etc/ssh/ssh_host_ed25519_key.pub");
    let host_key = fs::read_to_string(&host_key)
        .map_err(|e| format!("the image has no {}: {e}", host_key.display()))?;
    fs::write(dir.join("known_hosts"), format!("* {host_key}"))?;
    Ok(())
}

/// Makes the lab's own changes, with the lab's files in /lab for as long as it takes.
fn deviate(site: Site, dir: &Path, rootfs: &Path) -> Result<(), Error> {
    let lab = rootfs.join("lab");
    fs::create_dir(&lab)?;
    for file in ["ssh_key.pub", "ca.pem"] {
        fs::copy(dir.join(file), lab.join(file))?;
    }
    for deviation in deviations(site) {
        let script = format!("set -eu\numask 022\n{}", deviation.script);
        run::run_with_input("chroot", &[path_text(rootfs)?, "sh", "-s"], &script)?;
    }
    fs::remove_dir_all(&lab)?;
    Ok(())
}

/// The nodes reach the EC2 model at EC2's real name: they need an authority that vouches for it.
/// The same every time but for its key, so that it can sign from the key alone.
fn authority() -> Result<rcgen::CertificateParams, Error> {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "PortSIP HA lab");
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2044, 1, 1);
    Ok(params)
}

fn make_authority(dir: &Path) -> Result<(), Error> {
    let key = rcgen::KeyPair::generate()?;
    fs::write(dir.join("ca.pem"), authority()?.self_signed(&key)?.pem())?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join("ca.key"))?
        .write_all(key.serialize_pem().as_bytes())?;
    Ok(())
}

fn path_text(path: &Path) -> Result<&str, Error> {
    path.to_str()
        .filter(|text| !text.contains('\''))
        .ok_or_else(|| {
            format!(
                "the cache directory's name is not plain text: {}; set XDG_CACHE_HOME to another",
                path.display()
            )
            .into()
        })
}
