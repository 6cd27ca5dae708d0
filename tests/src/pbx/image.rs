//! Builds the images: one layer of Debian packages that all share, and for each a small layer
//! of our own files.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{self, File, Image};
use super::{CERTIFICATE_MANAGER_IMAGE, DATABASE_IMAGE, PBX_IMAGE, VERSION};
use crate::run::run;
use crate::world::Error;

/// Debian release of the images.
const SUITE: &str = "bookworm";
/// What the images run.
const PACKAGES: &str = "postgresql-15,nats-server,kamailio,kamailio-tls-modules,lighttpd,lighttpd-mod-openssl,openssl,netbase";
/// Never unpacked: documentation, other languages, and the LLVM that PostgreSQL would compile queries with.
const EXCLUDED_PATHS: [&str; 9] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/i18n/*",
    "/usr/share/zoneinfo/right/*",
    "/usr/lib/x86_64-linux-gnu/libLLVM*",
    "/usr/lib/x86_64-linux-gnu/libz3*",
    "/usr/lib/postgresql/15/lib/bitcode/*",
    "/usr/lib/postgresql/15/lib/llvmjit*",
];
/// Before any package: users with the vendor's and the official image's numbers, no services started
/// by packages, and no database cluster made by one.
const BEFORE_PACKAGES: &str = r#"
set -eu
printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"
mkdir -p "$1/etc/postgresql-common"; echo 'create_main_cluster = false' > "$1/etc/postgresql-common/createcluster.conf"
echo 'portsip:x:888:888:PortSIP PBX:/var/lib/portsip:/usr/sbin/nologin' >> "$1/etc/passwd"; echo 'portsip:x:888:' >> "$1/etc/group"
echo 'postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh' >> "$1/etc/passwd"; echo 'postgres:x:999:' >> "$1/etc/group"
"#;
/// After the packages.
const AFTER_PACKAGES: &str = include_str!("../../pbx/image/rootfs.sh");

/// Services that are one small process, which says so.
const STAND_INS: [&str; 15] = [
    "mediaserver",
    "gateway",
    "wsspublisher",
    "voicemail",
    "virtualreceptionist",
    "notificationcenter",
    "provision",
    "conference",
    "callqueue",
    "callpark",
    "announcement",
    "loadbalancer",
    "ai",
    // These roles of an extended server have names of their own.
    "conf",
    "vr",
];

macro_rules! image_file {
    ($path:literal, $mode:literal, $source:literal) => {
        File::regular(
            $path,
            $mode,
            include_str!(concat!("../../pbx/image/", $source)),
        )
    };
}

/// Our files of the PBX image.
pub(super) fn pbx_layer() -> Vec<File> {
    let mut files = vec![
        image_file!("usr/local/bin/nats", 0o755, "pbx/nats"),
        image_file!("usr/local/bin/callmanager", 0o755, "pbx/callmanager"),
        image_file!("usr/local/bin/webserver", 0o755, "pbx/webserver"),
        image_file!("usr/local/bin/initdt.sh", 0o755, "pbx/initdt.sh"),
        image_file!("usr/local/bin/portsip-health", 0o755, "pbx/portsip-health"),
        image_file!("usr/local/lib/portsip/stand-in", 0o755, "pbx/stand-in"),
        image_file!("usr/local/lib/portsip/extended", 0o644, "pbx/extended"),
        image_file!("usr/local/lib/portsip/arguments", 0o644, "pbx/arguments"),
        image_file!("usr/local/lib/portsip/behaviour", 0o644, "pbx/behaviour"),
        image_file!(
            "usr/local/etc/portsip/behaviour",
            0o644,
            "pbx/behaviour.defaults"
        ),
        image_file!(
            "usr/local/etc/portsip/kamailio.cfg",
            0o644,
            "pbx/kamailio.cfg"
        ),
        image_file!(
            "usr/local/etc/portsip/lighttpd.conf",
            0o644,
            "pbx/lighttpd.conf"
        ),
        image_file!(
            "usr/local/share/portsip/www/index.html",
            0o644,
            "pbx/index.html"
        ),
        image_file!("usr/local/share/portsip/README.md", 0o644, "../README.md"),
    ];
    files.extend(
        STAND_INS
            .iter()
            .map(|name| File::link(format!("usr/local/bin/{name}"), "../lib/portsip/stand-in")),
    );
    files
}

/// Our files of the database's image.
fn database_layer() -> Vec<File> {
    vec![
        image_file!(
            "usr/local/bin/docker-entrypoint.sh",
            0o755,
            "postgresql/docker-entrypoint.sh"
        ),
        image_file!(
            "usr/local/bin/portsip-health",
            0o755,
            "postgresql/portsip-health"
        ),
        image_file!("usr/local/share/portsip/README.md", 0o644, "../README.md"),
    ]
}

/// Our files of the certificate manager's image.
pub(super) fn certificate_manager_layer() -> Vec<File> {
    vec![
        image_file!(
            "usr/local/bin/certmanager",
            0o755,
            "certmanager/certmanager"
        ),
        image_file!("usr/local/share/portsip/README.md", 0o644, "../README.md"),
    ]
}

const PATH: &str =
    "PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `docker inspect` says about the images.
fn configurations() -> [Image; 3] {
    let labels = |program: &str| {
        serde_json::json!({
            "version": VERSION,
            "org.portsip-ha.stand-in": format!(
                "not PortSIP's image: {program}, with the names of PortSIP's, to try a cluster without it"
            ),
        })
    };
    [
        Image {
            name: DATABASE_IMAGE,
            files: database_layer(),
            config: serde_json::json!({
                "Env": [PATH, "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"],
                "Entrypoint": ["docker-entrypoint.sh"],
                "Cmd": ["postgres", "-c", "listen_addresses=*", "-c", "unix_socket_directories=/run/postgresql"],
                "WorkingDir": "/",
                // Fast shutdown; on SIGTERM PostgreSQL would wait for its clients to leave.
                "StopSignal": "SIGINT",
                "Labels": labels("Debian's PostgreSQL 15, whatever the tag says"),
            }),
        },
        Image {
            name: PBX_IMAGE,
            files: pbx_layer(),
            config: serde_json::json!({
                "Env": [PATH, format!("PORTSIP_VERSION={VERSION}"), "LANG=C.UTF-8"],
                "User": "888:888",
                "WorkingDir": "/",
                "Labels": labels("Debian's Kamailio, NATS and lighttpd, and processes that do nothing"),
            }),
        },
        Image {
            name: CERTIFICATE_MANAGER_IMAGE,
            files: certificate_manager_layer(),
            config: serde_json::json!({
                "Env": [PATH, "LANG=C.UTF-8"],
                "User": "888:888",
                "WorkingDir": "/",
                "Labels": labels("a process that does nothing"),
            }),
        },
    ]
}

/// What the Debian layer is built from.
fn base_recipe() -> String {
    format!("{SUITE}\n{PACKAGES}\n{EXCLUDED_PATHS:?}\n{BEFORE_PACKAGES}\n{AFTER_PACKAGES}")
}

/// The key of the images in the cache.
pub(super) fn key() -> Result<String, Error> {
    archive::key_of(&configurations(), &base_recipe())
}

/// Writes the archive for `docker load` with the images to `target`, by way of the empty directory
/// `work`. The Debian layer, which takes a minute, is kept in `cache`.
pub(super) fn write_archive(cache: &Path, work: &Path, target: &Path) -> Result<(), Error> {
    let base = cache.join(format!("pbx-rootfs-{}.tar", archive::key(&base_recipe())?));
    if !base.exists() {
        build_rootfs(&base)?;
    }
    archive::write(&configurations(), &base, work, target)
}

/// Runs mmdebstrap; the finished tar appears at `target` whole or not at all.
fn build_rootfs(target: &Path) -> Result<(), Error> {
    let work = tempdir_beside(target)?;
    let partial = work.join("rootfs.tar");
    let script = work.join("rootfs.sh");
    fs::write(&script, AFTER_PACKAGES)?;
    let mut arguments: Vec<String> = [
        "--variant=minbase",
        "--mode=root",
        "--quiet",
        "--format=tar",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--include={PACKAGES}"));
    arguments.extend(EXCLUDED_PATHS.map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.push(format!("--essential-hook={BEFORE_PACKAGES}"));
    arguments.push(format!("--customize-hook=sh '{}' \"$1\"", script.display()));
    arguments.push(SUITE.to_owned());
    arguments.push(partial.display().to_string());
    run("mmdebstrap", &arguments).map_err(|e| {
        format!("the Debian layer of the PBX images could not be built (it takes root and a Debian mirror): {e}")
    })?;
    fs::rename(&partial, target)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// An empty directory beside `target`, on the same file system so that a rename ends the work.
pub(super) fn tempdir_beside(target: &Path) -> Result<PathBuf, Error> {
    let name = target
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let dir = target.with_file_name(format!(".{name}.{}", std::process::id()));
    match fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    fs::create_dir_all(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
    Ok(dir)
}
