//! A Docker data directory with the images loaded, made once and copied to every node.

use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::engine::Engine;
use super::image;
use crate::image::Image;
use crate::paths;
use crate::progress::{Progress as _, Stderr};
use crate::run::run;
use crate::world::Error;

/// The template of the `/var/lib/docker` of the nodes made from `node`: the images, no container. Built if
/// the cache does not have it.
///
/// # Errors
///
/// When a Debian mirror, mmdebstrap or systemd-nspawn is missing, or the caller is not root.
pub fn docker_data(node: &Image) -> Result<PathBuf, Error> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).map_err(|e| format!("cannot make {}: {e}", cache.display()))?;
    // Docker of another release may not read what this one writes.
    let name = format!("pbx-{}-{}", image::key()?, node.name());
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
    let rootfs = node.rootfs();
    let work = image::tempdir_beside(&directory)?;
    let built = build(&cache, &rootfs, &work).and_then(|data| Ok(fs::rename(data, &directory)?));
    fs::remove_dir_all(&work)?;
    built.map(|()| directory)
}

/// Builds the images and the data directory in `work`.
fn build(cache: &Path, rootfs: &Path, work: &Path) -> Result<PathBuf, Error> {
    let progress = Stderr::new();
    progress.step("PBX images: Debian packages, about a minute");
    let archive = work.join("images.tar");
    image::write_archive(cache, work, &archive)?;
    progress.step("PBX images: loading them into Docker");
    let data = work.join("docker");
    fs::create_dir(&data)?;
    load(rootfs, &archive, &data)?;
    progress.finish();
    Ok(data)
}

/// Loads the archive with the node image's own dockerd, so that nodes find what their release writes.
fn load(rootfs: &Path, archive: &Path, data: &Path) -> Result<(), Error> {
    let engine = Engine::start(
        rootfs,
        data,
        &[format!("{}:/run/images.tar", archive.display())],
    )?;
    engine.sh("docker load --quiet --input /run/images.tar")?;
    engine.stop()
}

/// Makes `target`, which must not exist, a node's own copy of the template: layers, which nobody writes to, as
/// hard links where the file system allows; everything that Docker changes in place as copies.
pub fn copy_docker_data(node: &Image, target: &Path) -> Result<(), Error> {
    let template = docker_data(node)?;
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
