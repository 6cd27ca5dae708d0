//! What an image is built from, the images that there are, and Debian made from it. Nothing of
//! what is put into an image afterwards (keys, certificates) is here.

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
    packages: &'static [&'static str],
    /// Runs in the image when everything is installed.
    customise: &'static str,
    /// Preferences of apt.
    preferences: &'static str,
    /// Paths that dpkg leaves out.
    without: &'static [&'static str],
}

/// What the lab's nodes start from.
pub(super) const NODE: Recipe = Recipe {
    name: "node",
    suite: "bookworm",
    // `docker compose` version 2; the suite's own is version 1. This one needs only the suite's libc.
    other_suite: Some("trixie"),
    packages: &[
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
    ],
    customise: include_str!("node.sh"),
    preferences: "Package: *\nPin: release n=trixie\nPin-Priority: 1\n\n\
                  Package: docker-compose\nPin: release n=trixie\nPin-Priority: 990\n",
    without: &[],
};

/// The next Debian's Pacemaker 3.0, pcs 0.12 and DRBD tools, to judge configurations by.
pub(super) const TOOLS: Recipe = Recipe {
    name: "tools",
    suite: "trixie",
    other_suite: None,
    packages: &[
        "drbd-utils",
        "fence-agents-aws",
        "fence-agents-ipmilan",
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
    ],
    customise: include_str!("tools.sh"),
    preferences: "",
    without: &[
        "/usr/share/doc/*",
        "/usr/share/man/*",
        "/usr/share/locale/*",
        "/usr/share/ri/*",
        // A hundred MB of descriptions of AWS's services: nothing here calls AWS.
        "/usr/lib/python3/dist-packages/botocore/data/*",
    ],
};

impl Recipe {
    /// FNV-1a over what decides the image: it has to be the same in every build of this program,
    /// which the standard hasher does not promise.
    pub(super) fn fingerprint(&self) -> u64 {
        let packages = self.packages.join(" ");
        let mut texts = vec![self.suite];
        texts.extend(self.other_suite);
        texts.extend([
            packages.as_str(),
            self.customise,
            self.preferences,
            std::env::consts::ARCH,
        ]);
        texts.extend(self.without);
        texts
            .iter()
            .flat_map(|text| text.bytes().chain([0]))
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
    }

    /// Makes `dir/rootfs`. `hook` is done in shell, with the root directory as `$1`, before what
    /// the recipe itself does in the image.
    ///
    /// # Errors
    /// mmdebstrap is missing, no Debian mirror can be reached, or the disk is full.
    pub(super) fn debian(
        &self,
        dir: &Path,
        hook: &str,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let name = self.name;
        progress.step(&format!("{name} image: Debian, about a minute"));
        let setup = dir.join("setup");
        fs::create_dir(&setup)?;
        fs::write(setup.join("preferences"), self.preferences)?;
        fs::write(setup.join("customise.sh"), self.customise)?;
        let setup_text = path_text(&setup)?;
        let mirror = debian_mirror();
        let suites = [Some(self.suite), self.other_suite];
        let suites = suites.into_iter().flatten();
        let mut child = Command::new("mmdebstrap")
            .arg("--variant=minbase")
            .arg(format!("--include={}", self.packages.join(",")))
            .args(
                self.without
                    .iter()
                    .map(|path| format!("--dpkgopt=path-exclude={path}")),
            )
            .arg(format!(
                "--setup-hook=install -D -m 644 '{setup_text}/preferences' \
                 \"$1/etc/apt/preferences.d/lab\""
            ))
            .arg(format!(
                "--customize-hook={hook}chroot \"$1\" sh -s < '{setup_text}/customise.sh'"
            ))
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
            return Ok(());
        }
        Err(format!(
            "mmdebstrap could not build the {name} image from {mirror} ({status}):\n{}\nThe whole story is in {}.",
            last.join("\n"),
            log.display()
        )
        .into())
    }
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
