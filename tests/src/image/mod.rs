//! The node image: one Debian root directory from which every node of the lab starts, the key
//! that opens the nodes, and the lab's certificate authority, which the image trusts. Built once
//! into the cache, under a name that is a hash of everything it is built from.

pub mod check;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};

use crate::ec2::server::ServerTls;
use crate::progress::{Progress, Stderr};
use crate::world::Error;
use crate::{paths, run};

const SUITE: &str = "bookworm";

/// `docker compose` version 2; the suite's own is version 1. This one needs only the suite's libc.
const COMPOSE_SUITE: &str = "trixie";

const PACKAGES: &[&str] = &[
    "awscli",
    "ca-certificates",
    "corosync",
    "curl",
    "dbus",
    "docker-compose",
    "docker.io",
    "drbd-utils",
    "e2fsprogs",
    "fence-agents",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "less",
    "libxml2-utils",
    "netbase",
    "nftables",
    "openssh-server",
    "pacemaker",
    "pacemaker-cli-utils",
    "pcs",
    "procps",
    "psmisc",
    "python3-boto3",
    "resource-agents",
    "sbd",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
    "xfsprogs",
];

const CUSTOMISE: &str = include_str!("customise.sh");

const PIN: &str = "Package: *\nPin: release n=trixie\nPin-Priority: 1\n\n\
                   Package: docker-compose\nPin: release n=trixie\nPin-Priority: 990\n";

/// A built image.
#[derive(Debug, Clone)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    /// The root directory. Never written to: nodes put an overlay or a copy on top.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// The private key that opens root's account on every node.
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

/// The image's root directory; builds the image if it is missing.
///
/// # Errors
/// As [`node_image`].
pub fn node_rootfs() -> Result<PathBuf, Error> {
    let progress = Stderr::new();
    let image = node_image(&progress)?;
    progress.finish();
    Ok(image.rootfs())
}

/// The image; builds it if it is missing, which takes a minute or two.
///
/// # Errors
/// A package or a tool is missing, no Debian mirror can be reached, or the disk is full.
pub fn node_image(progress: &dyn Progress) -> Result<Image, Error> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).map_err(|e| format!("cannot make {}: {e}", cache.display()))?;
    let name = format!("node-{:016x}", fingerprint());
    let dir = cache.join(&name);
    if dir.join("rootfs").is_dir() {
        return Ok(Image { dir });
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
        build(&unfinished, progress)?;
        fs::rename(&unfinished, &dir)
            .map_err(|e| format!("cannot rename {}: {e}", unfinished.display()))?;
    }
    Ok(Image { dir })
}

/// FNV-1a over what decides the image: it has to be the same in every build of this program,
/// which the standard hasher does not promise.
fn fingerprint() -> u64 {
    let packages = PACKAGES.join(" ");
    [
        SUITE,
        COMPOSE_SUITE,
        &packages,
        CUSTOMISE,
        PIN,
        std::env::consts::ARCH,
    ]
    .iter()
    .flat_map(|text| text.bytes().chain([0]))
    .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn build(dir: &Path, progress: &dyn Progress) -> Result<(), Error> {
    progress.step("node image: keys");
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
    let setup = dir.join("setup");
    fs::create_dir(&setup)?;
    fs::write(setup.join("pin"), PIN)?;
    fs::write(setup.join("customise.sh"), CUSTOMISE)?;
    let log = dir.join("build.log");
    debian(dir, &setup, &log, progress)?;
    fs::remove_dir_all(&setup)?;
    let host_key = dir.join("rootfs/etc/ssh/ssh_host_ed25519_key.pub");
    let host_key = fs::read_to_string(&host_key)
        .map_err(|e| format!("the image has no {}: {e}", host_key.display()))?;
    fs::write(dir.join("known_hosts"), format!("* {host_key}"))?;
    Ok(())
}

fn debian(dir: &Path, setup: &Path, log: &Path, progress: &dyn Progress) -> Result<(), Error> {
    progress.step("node image: Debian, about a minute");
    let mirror = debian_mirror();
    let rootfs = dir.join("rootfs");
    let setup = path_text(setup)?;
    let dir_text = path_text(dir)?;
    let mut child = Command::new("mmdebstrap")
        .arg("--variant=minbase")
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(format!(
            "--setup-hook=install -D -m 644 '{setup}/pin' \"$1/etc/apt/preferences.d/lab\""
        ))
        .arg(format!(
            "--customize-hook=install -D -m 600 '{dir_text}/ssh_key.pub' \"$1/root/.ssh/authorized_keys\"; \
             install -D -m 644 '{dir_text}/ca.pem' \"$1/usr/local/share/ca-certificates/lab.crt\"; \
             chroot \"$1\" sh -s < '{setup}/customise.sh'"
        ))
        .arg(SUITE)
        .arg(&rootfs)
        .arg(format!("deb {mirror} {SUITE} main"))
        .arg(format!("deb {mirror} {COMPOSE_SUITE} main"))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run mmdebstrap: {e}; `lab check` says what to install"))?;
    let mut written = fs::File::create(log)?;
    let mut last = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            writeln!(written, "{line}")?;
            if let Some(text) = line.strip_prefix("I: ") {
                progress.step(&format!("node image: {text}"));
            }
            last.push(line);
            if last.len() > 8 {
                last.remove(0);
            }
        }
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "mmdebstrap could not build the node image from {mirror} ({status}):\n{}\nThe whole story is in {}.",
        last.join("\n"),
        log.display()
    )
    .into())
}

/// The mirror that this machine uses for Debian, or the one that works everywhere.
fn debian_mirror() -> String {
    run::run("apt-get", &["indextargets", "--format", "$(REPO_URI)"])
        .unwrap_or_default()
        .lines()
        .map(|uri| uri.trim_end_matches('/'))
        .find(|uri| uri.starts_with("http") && uri.ends_with("/debian"))
        .unwrap_or("http://deb.debian.org/debian")
        .to_owned()
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
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
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
