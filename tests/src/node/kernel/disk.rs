//! The disk that every kernel node starts from: the node image as ext4, with the PBX's images in Docker's data, the
//! kernel's modules and the lab's first process in it. Each node writes to a copy-on-write file on top of it.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::program::Kernel;
use crate::image::Image;
use crate::image::recipe::keyed;
use crate::progress::Progress;
use crate::world::Error;
use crate::{paths, pbx, run};

/// Where the lab's own files are inside a guest.
pub(super) const GUEST_DIR: &str = "usr/lib/portsip-ha-lab";

macro_rules! generator {
    ($name:literal) => {
        (
            concat!("etc/systemd/system-generators/", $name),
            "/dev/null",
        )
    };
}

const BUILD: &str = include_str!("disk.sh");

/// Path, mode and content of what the lab adds to the node image.
const ADDITIONS: &[(&str, u32, &str)] = &[
    (
        "usr/lib/portsip-ha-lab/init",
        0o755,
        include_str!("guest/init"),
    ),
    (
        "usr/lib/portsip-ha-lab/volume",
        0o755,
        include_str!("guest/volume"),
    ),
    (
        "etc/udev/rules.d/60-portsip-ha-lab.rules",
        0o644,
        include_str!("guest/udev.rules"),
    ),
    (
        "etc/modprobe.d/portsip-ha-lab.conf",
        0o644,
        include_str!("guest/modprobe.conf"),
    ),
    (
        "etc/systemd/system/docker.service.d/portsip-ha-lab.conf",
        0o644,
        include_str!("guest/docker.conf"),
    ),
];

/// Links, and what they point to. Ctrl-Alt-Del is the only key of a kernel node: it is the power
/// button, which EC2 presses to stop an instance. The rest are programs that systemd runs, to find nothing,
/// whenever it reads its units: 4 s on a kernel node, and pcs makes it do so many times.
const LINKS: &[(&str, &str)] = &[
    (
        "etc/systemd/system/ctrl-alt-del.target",
        "/lib/systemd/system/poweroff.target",
    ),
    generator!("systemd-cryptsetup-generator"),
    generator!("systemd-debug-generator"),
    generator!("systemd-getty-generator"),
    generator!("systemd-gpt-auto-generator"),
    generator!("systemd-hibernate-resume-generator"),
    generator!("systemd-integritysetup-generator"),
    generator!("systemd-rc-local-generator"),
    generator!("systemd-run-generator"),
    generator!("systemd-system-update-generator"),
    generator!("systemd-sysv-generator"),
    generator!("systemd-veritysetup-generator"),
];

/// The disk made from `image`, with the modules of a kernel; builds it if it is missing, which takes some seconds.
///
/// # Errors
/// depmod has not run on the modules, or the disk is full.
pub fn kernel_disk(
    image: &Image,
    kernel: &Kernel,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let Kernel {
        modules, release, ..
    } = kernel;
    let docker = pbx::docker_data(image)?;
    let cache = paths::cache();
    let name = format!("{}.img", key(image, &docker, release, modules)?);
    let disk = cache.join(&name);
    if disk.exists() {
        return Ok(disk);
    }
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = fs::File::create(&lock_path)
        .map_err(|e| format!("cannot make {}: {e}", lock_path.display()))?;
    let _held = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, e)| format!("cannot lock {}: {e}", lock_path.display()))?;
    if !disk.exists() {
        progress.step("kernel nodes' disk");
        let work = cache.join(format!("{name}.unfinished"));
        if work.exists() {
            fs::remove_dir_all(&work)
                .map_err(|e| format!("cannot remove {}: {e}", work.display()))?;
        }
        build(&image.rootfs(), &docker, modules, release, &work).map_err(|e| {
            format!(
                "cannot build the kernel nodes' disk {}: {e}",
                disk.display()
            )
        })?;
        fs::rename(work.join("disk"), &disk)?;
        fs::remove_dir_all(&work)?;
    }
    Ok(disk)
}

/// What the disk is called in the cache. The directories of the image and of Docker's data are named for
/// what decides them.
fn key(image: &Image, docker: &Path, release: &str, modules: &Path) -> Result<String, Error> {
    let rootfs = image.rootfs();
    let (rootfs, docker) = (rootfs.to_string_lossy(), docker.to_string_lossy());
    // depmod has written it for what is in the directory: a module that was built anew may not be told from
    // the one before by it, so the times and sizes of all files count too.
    let dependencies = modules.join("modules.dep");
    if !dependencies.is_file() {
        return Err(format!(
            "there is no {}\nhelp: run depmod on {}",
            dependencies.display(),
            modules.display()
        )
        .into());
    }
    let listing = run::run(
        "find",
        &[
            modules.as_os_str(),
            "-type".as_ref(),
            "f".as_ref(),
            "-printf".as_ref(),
            "%P %s %T@\n".as_ref(),
        ],
    )?;
    let mut files: Vec<&str> = listing.lines().collect();
    files.sort_unstable();
    let mut texts = vec![BUILD, release, &rootfs, &docker];
    texts.extend(files);
    texts.extend(
        ADDITIONS
            .iter()
            .flat_map(|(path, _, content)| [*path, *content]),
    );
    texts.extend(LINKS.iter().flat_map(|(path, target)| [*path, *target]));
    Ok(keyed("kernel-disk", &texts))
}

fn build(
    rootfs: &Path,
    docker: &Path,
    modules: &Path,
    release: &str,
    work: &Path,
) -> Result<(), Error> {
    let additions = work.join("additions");
    for (path, mode, content) in ADDITIONS {
        let path = additions.join(path);
        make_parent(&path)?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(*mode)
            .open(path)?;
        std::io::Write::write_all(&mut file, content.as_bytes())?;
    }
    for (path, target) in LINKS {
        let path = additions.join(path);
        make_parent(&path)?;
        symlink(target, path)?;
    }
    fs::create_dir_all(additions.join(GUEST_DIR).join("host"))?;
    fs::create_dir_all(additions.join("usr/lib/modules").join(release))?;
    fs::create_dir_all(additions.join("var/lib/docker"))?;
    let mountpoint = work.join("mountpoint");
    fs::create_dir(&mountpoint)?;
    run::run(
        "unshare",
        &[
            "--mount".as_ref(),
            "sh".as_ref(),
            "-c".as_ref(),
            BUILD.as_ref(),
            "disk.sh".as_ref(),
            rootfs.as_os_str(),
            additions.as_os_str(),
            docker.as_os_str(),
            modules.as_os_str(),
            release.as_ref(),
            mountpoint.as_os_str(),
            work.join("disk").as_os_str(),
        ],
    )?;
    Ok(())
}

fn make_parent(path: &Path) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| format!("cannot make {}: {e}", parent.display()))?;
    }
    Ok(())
}
