//! What an image is built from, the images that there are, and Debian made from it. What the lab
//! changes in an image afterwards is in `deviations.rs`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::path_text;
use crate::progress::Progress;
use crate::run;
use crate::world::Error;

/// Everything that decides what an image holds.
pub(super) struct Recipe {
    /// What its directory in the cache is called.
    pub(super) name: &'static str,
    suite: &'static str,
    /// Another suite whose packages `preferences` may ask for.
    other_suite: Option<&'static str>,
    packages: &'static [&'static [&'static str]],
    /// Whether what the packages recommend is installed too, as `apt install` does on a stock machine.
    with_recommends: bool,
    /// Preferences of apt.
    preferences: &'static str,
    /// Paths that dpkg leaves out.
    without: &'static [&'static str],
}

/// What a cloud image of either Debian has, apart from its kernel and cloud-init.
const CLOUD_IMAGE: &[&str] = &[
    "bash-completion",
    "ca-certificates",
    "curl",
    "dbus",
    "gpg",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "netbase",
    "netplan.io",
    "openssh-server",
    "procps",
    "psmisc",
    "python3",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "vim-tiny",
];

/// What our package depends on or recommends, by the names of Debian 12.
const BOOKWORM_CLUSTER: &[&str] = &[
    "awscli",
    "corosync",
    "docker-compose",
    "docker.io",
    "fence-agents",
    "pacemaker",
    "pacemaker-cli-utils",
    "pcs",
    "resource-agents",
    "xfsprogs",
];

/// What our package depends on or recommends, by the names of Debian 13.
const TRIXIE_CLUSTER: &[&str] = &[
    "awscli",
    "corosync",
    "docker-compose",
    "docker.io",
    "fence-agents-aws",
    "pacemaker",
    "pacemaker-cli-utils",
    "pcs",
    "resource-agents",
    "xfsprogs",
];

/// What the operator of a LAN installs besides, by `docs/lan.md`.
const LAN: &[&str] = &["drbd-utils", "lvm2", "sbd"];

/// Docker and what belongs to it from Debian 13, all else from Debian 12.
const NEW_DOCKER: &str = "Package: *\nPin: release n=trixie\nPin-Priority: 1\n\n\
                  Package: docker.io docker-cli docker-compose docker-buildx containerd\n\
                  Pin: release n=trixie\nPin-Priority: 990\n";

/// Debian 12's cluster with a Docker as new as Ubuntu 24.04's, which is Debian 13's: it asks for glibc
/// 2.34 only. Between them they bracket Ubuntu, which the vendor asks for.
pub(super) const BOOKWORM: Recipe = Recipe {
    name: "stock-bookworm",
    suite: "bookworm",
    other_suite: Some("trixie"),
    packages: &[CLOUD_IMAGE, BOOKWORM_CLUSTER],
    with_recommends: true,
    preferences: NEW_DOCKER,
    without: &[],
};

/// The same for a machine of the LAN.
pub(super) const BOOKWORM_LAN: Recipe = Recipe {
    name: "stock-lan-bookworm",
    packages: &[CLOUD_IMAGE, BOOKWORM_CLUSTER, LAN],
    ..BOOKWORM
};

/// Debian 13, whole.
pub(super) const TRIXIE: Recipe = Recipe {
    name: "stock-trixie",
    suite: "trixie",
    other_suite: None,
    packages: &[CLOUD_IMAGE, TRIXIE_CLUSTER],
    with_recommends: true,
    preferences: "",
    without: &[],
};

/// The same for a machine of the LAN.
pub(super) const TRIXIE_LAN: Recipe = Recipe {
    name: "stock-lan-trixie",
    packages: &[CLOUD_IMAGE, TRIXIE_CLUSTER, LAN],
    ..TRIXIE
};

/// Pacemaker, pcs and the tools of both systems, to judge configurations by. Nothing of it is ever
/// started.
const fn tools(
    suite: &'static str,
    name: &'static str,
    packages: &'static [&'static [&'static str]],
) -> Recipe {
    Recipe {
        name,
        suite,
        other_suite: None,
        packages,
        with_recommends: false,
        preferences: "",
        without: &[
            "/usr/share/doc/*",
            "/usr/share/man/*",
            "/usr/share/locale/*",
            "/usr/share/ri/*",
            // A hundred MB of descriptions of AWS's services: nothing here calls AWS.
            "/usr/lib/python3/dist-packages/botocore/data/*",
        ],
    }
}

/// The tools of Debian 12.
pub(super) const BOOKWORM_TOOLS: Recipe = tools(
    "bookworm",
    "tools-bookworm",
    &[&[
        "drbd-utils",
        "fence-agents",
        "iproute2",
        "libxml2-utils",
        "pacemaker",
        "pacemaker-cli-utils",
        "pcs",
        "procps",
        "resource-agents",
        "sbd",
        // pcs asks it whether SBD is enabled.
        "systemd",
    ]],
);

/// The tools of Debian 13.
pub(super) const TRIXIE_TOOLS: Recipe = tools(
    "trixie",
    "tools-trixie",
    &[&[
        "drbd-utils",
        "fence-agents-aws",
        "fence-agents-ipmilan",
        "fence-agents-virsh",
        "iproute2",
        "libxml2-utils",
        "pacemaker",
        "pacemaker-cli-utils",
        "pcs",
        "procps",
        "resource-agents",
        "sbd",
        "systemd",
    ]],
);

impl Recipe {
    /// The name in the cache: another one when anything that decides the image is another.
    pub(super) fn key(&self) -> String {
        let mut texts = vec![self.suite, self.preferences, std::env::consts::ARCH];
        texts.extend(self.other_suite);
        texts.extend(self.packages.concat());
        texts.extend(self.with_recommends.then_some("with recommends"));
        texts.extend(self.without);
        keyed(self.name, &texts)
    }

    /// Makes `dir/rootfs`: what the distribution installs, and nothing else.
    ///
    /// # Errors
    /// mmdebstrap is missing, no Debian mirror can be reached, or the disk is full.
    pub(super) fn debian(&self, dir: &Path, progress: &dyn Progress) -> Result<(), Error> {
        let name = self.name;
        progress.step(&format!("{name} image: Debian, two minutes"));
        let setup = dir.join("setup");
        fs::create_dir(&setup)?;
        fs::write(setup.join("preferences"), self.preferences)?;
        let setup_text = path_text(&setup)?;
        let mirror = debian_mirror();
        let suites = [Some(self.suite), self.other_suite];
        let suites = suites.into_iter().flatten();
        let mut child = Command::new("mmdebstrap")
            .arg("--variant=minbase")
            .arg(format!("--include={}", self.packages.concat().join(",")))
            .args(
                self.with_recommends
                    .then_some("--aptopt=APT::Install-Recommends \"true\""),
            )
            .args(
                self.without
                    .iter()
                    .map(|path| format!("--dpkgopt=path-exclude={path}")),
            )
            .args((!self.preferences.is_empty()).then(|| {
                format!(
                    "--setup-hook=install -D -m 644 '{setup_text}/preferences' \
                 \"$1/etc/apt/preferences.d/lab\""
                )
            }))
            .arg(self.suite)
            .arg(dir.join("rootfs"))
            .args(suites.map(|suite| format!("deb {mirror} {suite} main")))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run mmdebstrap: {e}; `lab check` says what to install"))?;
        let log = dir.join("build.log");
        let mut written = fs::File::create(&log)?;
        let mut last = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writeln!(written, "{line}")?;
                if let Some(text) = line.strip_prefix("I: ") {
                    progress.step(&format!("{name} image: {text}"));
                }
                last.push(line);
                if last.len() > 8 {
                    last.remove(0);
                }
            }
        }
        let status = child.wait()?;
        if status.success() {
            fs::remove_dir_all(&setup)?;
            return remove_ours(&dir.join("rootfs"));
        }
        Err(format!(
            "mmdebstrap could not build the {name} image from {mirror} ({status}):\n{}\nThe whole story is in {}.",
            last.join("\n"),
            log.display()
        )
        .into())
    }
}

/// Removes what says how the image was built: no stock machine has it.
fn remove_ours(rootfs: &Path) -> Result<(), Error> {
    for file in ["preferences.d/lab", "apt.conf.d/99mmdebstrap"] {
        let path = rootfs.join("etc/apt").join(file);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {e}", path.display()).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// `name` with a hash of `texts`. FNV-1a: it has to be the same in every build of this program, which
/// the standard hasher does not promise.
pub(crate) fn keyed(name: &str, texts: &[&str]) -> String {
    let hash = texts
        .iter()
        .flat_map(|text| text.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{name}-{hash:016x}")
}

/// The mirror that this machine uses for Debian, or the one that works everywhere.
pub(crate) fn debian_mirror() -> String {
    run::run("apt-get", &["indextargets", "--format", "$(REPO_URI)"])
        .unwrap_or_default()
        .lines()
        .map(|uri| uri.trim_end_matches('/'))
        .find(|uri| uri.starts_with("http") && uri.ends_with("/debian"))
        .unwrap_or("http://deb.debian.org/debian")
        .to_owned()
}
