//! A Docker data directory with both images loaded, made once and copied to every node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{Flock, FlockArg};

use super::image;
use crate::paths;
use crate::progress::{Progress as _, Stderr};
use crate::run::run;
use crate::world::Error;

/// Run inside the node image: loads the archive and ends dockerd cleanly. dockerd starts its own containerd.
const LOAD: &str = r#"
set -eu
dockerd --iptables=false --bridge=none --exec-opt native.cgroupdriver=cgroupfs >/run/dockerd.log 2>&1 &
daemon=$!
tries=0
until docker version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ] || ! kill -0 $daemon 2>/dev/null; then
        echo 'dockerd does not come up:'; cat /run/dockerd.log; exit 1
    fi
    sleep 0.1
done
docker load --quiet --input /run/images.tar
kill $daemon
wait $daemon || true
sync -f /var/lib/docker
"#;

/// The template of a node's `/var/lib/docker`: both images, no container. Built if the cache does not have it.
///
/// # Errors
///
/// When a Debian mirror, mmdebstrap or systemd-nspawn is missing, or the caller is not root.
pub fn docker_data() -> Result<PathBuf, Error> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).map_err(|e| format!("cannot make {}: {e}", cache.display()))?;
    let name = format!("pbx-{}", image::key()?);
    let directory = cache.join(&name);
    if directory.is_dir() {
        return Ok(directory);
    }
    // Two builds at once would be twice the work: the second waits and finds it done.
    let lock = fs::File::create(cache.join(format!("{name}.lock")))?;
    let _held = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, e)| format!("cannot lock {name} in {}: {e}", cache.display()))?;
    if directory.is_dir() {
        return Ok(directory);
    }
    let rootfs = crate::image::node_rootfs()?;
    let progress = Stderr::new();
    let work = image::tempdir_beside(&directory)?;
    progress.step("PBX images: Debian packages, about a minute");
    let archive = work.join("images.tar");
    image::write_archive(&cache, &work, &archive)?;
    progress.step("PBX images: loading them into Docker");
    let data = work.join("docker");
    fs::create_dir(&data)?;
    load(&rootfs, &archive, &data)?;
    fs::rename(&data, &directory)?;
    fs::remove_dir_all(&work)?;
    progress.finish();
    Ok(directory)
}

/// Runs the node image's own dockerd on `data`, so that nodes find what their release writes. The
/// image itself is not changed: the root is an overlay in memory.
fn load(rootfs: &Path, archive: &Path, data: &Path) -> Result<(), Error> {
    let output = Command::new("systemd-nspawn")
        .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
        .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1")
        .arg("--directory")
        .arg(rootfs)
        .args([
            "--quiet",
            "--volatile=overlay",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--as-pid2",
        ])
        .arg(format!("--machine=pbx-images-{}", std::process::id()))
        .args([
            "--capability=all",
            "--system-call-filter=@keyring bpf",
            "--console=pipe",
        ])
        .arg(format!("--bind={}:/var/lib/docker", data.display()))
        .arg(format!("--bind-ro={}:/run/images.tar", archive.display()))
        .args(["/bin/sh", "-c", LOAD])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run systemd-nspawn: {e}; `lab check` says what to install"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "the node image's Docker could not load the PBX images ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// Makes `target`, which must not exist, a node's own copy of the template: layers, which nobody writes to, as
/// hard links where the file system allows; everything that Docker changes in place as copies.
pub fn copy_docker_data(target: &Path) -> Result<(), Error> {
    let template = docker_data()?;
    fs::create_dir(target).map_err(|e| {
        format!(
            "cannot make {} for a node's Docker data: {e}",
            target.display()
        )
    })?;
    for entry in fs::read_dir(&template)? {
        let from = entry?.path();
        let layers = from.file_name().is_some_and(|name| name == "overlay2");
        let arguments = |how: &'static str| {
            [
                "--archive".as_ref(),
                how.as_ref(),
                from.as_os_str(),
                target.as_os_str(),
            ]
        };
        if layers && run("cp", &arguments("--link")).is_ok() {
            continue;
        }
        run("cp", &arguments("--one-file-system"))?;
    }
    Ok(())
}
