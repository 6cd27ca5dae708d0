//! The kernels that nodes can have: user-mode Linux, a kernel as a program. Nodes have that of Debian's testing. The one
//! that this machine's Debian has may be older, and is used where somebody gives modules for it.

use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::image::recipe::{debian_mirror, keyed};
use crate::progress::Progress;
use crate::world::Error;
use crate::{paths, run};

/// The distribution whose kernel nodes have: it runs where the kernels of Debian 12 and 13 end with a panic, which is on
/// processors with AMX, and it starts a process in 3 ms instead of 25.
const SUITE: &str = "forky";
/// Where Debian's package `user-mode-linux` has the modules.
const MODULES: &str = "usr/lib/uml/modules";
const PROGRAM: &str = "usr/bin/linux.uml";
/// Where its C library is, which is newer than this machine's.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its program.
    pub program: PathBuf,
    /// Its modules.
    pub modules: PathBuf,
    /// Its version, for example `7.2.7`.
    pub release: String,
}

impl Kernel {
    /// The kernel that `modules` are for, with those; or the one that nodes have.
    ///
    /// # Errors
    /// No kernel is there for the modules, or Debian's could not be fetched.
    pub fn of(modules: Option<&Path>, progress: &dyn Progress) -> Result<Kernel, Error> {
        let ours = fetched(progress)?;
        let Some(given) = modules else {
            return Ok(ours);
        };
        let wanted = release_of(given)?;
        let installed = Path::new("/").join(PROGRAM);
        let mut kernels = vec![(ours.program, ours.release)];
        if let Ok(release) = release(&installed) {
            kernels.push((installed, release));
        }
        let releases: Vec<String> = kernels.iter().map(|(_, release)| release.clone()).collect();
        let found = kernels.into_iter().find(|(_, release)| *release == wanted);
        let (program, release) = found.ok_or_else(|| {
            format!(
                "the modules of {} are for the kernel {wanted}, and the kernels here are {}",
                given.display(),
                releases.join(" and ")
            )
        })?;
        Ok(Kernel {
            program,
            modules: given.to_owned(),
            release,
        })
    }
}

/// Debian's, from the cache, or fetched.
fn fetched(progress: &dyn Progress) -> Result<Kernel, Error> {
    let cache = paths::cache();
    let directory = cache.join(keyed("kernel", &[SUITE, LIBRARIES]));
    if !directory.is_dir() {
        fs::create_dir_all(&cache).map_err(|e| format!("cannot make {}: {e}", cache.display()))?;
        let lock = fs::File::create(directory.with_extension("lock"))?;
        let _held = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, e)| format!("cannot lock {}: {e}", directory.display()))?;
        if !directory.is_dir() {
            progress.step("kernel nodes' kernel");
            fetch(&directory)?;
        }
    }
    let program = directory.join(PROGRAM);
    let release = release(&program)?;
    let modules = directory.join(MODULES).join(&release);
    Ok(Kernel {
        program,
        modules,
        release,
    })
}

/// Fetches it with the C library that it needs, which its program names from then on by where it is.
fn fetch(directory: &Path) -> Result<(), Error> {
    let work = directory.with_extension("unfinished");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(|e| format!("cannot remove {}: {e}", work.display()))?;
    }
    let source = format!("deb {} {SUITE} main", debian_mirror());
    run::run(
        "mmdebstrap",
        &[
            "--quiet".as_ref(),
            "--variant=extract".as_ref(),
            "--include=user-mode-linux".as_ref(),
            // A mirror that is some weeks behind is no worse here. The signature counts.
            "--aptopt=Acquire::Check-Valid-Until \"false\"".as_ref(),
            SUITE.as_ref(),
            work.as_os_str(),
            source.as_ref(),
        ],
    )
    .map_err(|e| {
        format!("the kernel of kernel nodes cannot be fetched from Debian {SUITE}: {e}")
    })?;
    let libraries = directory.join(LIBRARIES);
    run::run(
        "patchelf",
        &[
            "--set-interpreter".as_ref(),
            libraries.join("ld-linux-x86-64.so.2").as_os_str(),
            "--set-rpath".as_ref(),
            libraries.as_os_str(),
            work.join(PROGRAM).as_os_str(),
        ],
    )?;
    fs::rename(&work, directory)?;
    Ok(())
}

/// What a kernel says of itself.
fn release(program: &Path) -> Result<String, Error> {
    let said = run::run(&program.to_string_lossy(), &["--version"])
        .map_err(|e| format!("no user-mode kernel: {e}"))?;
    Ok(said.trim().to_owned())
}

/// Which kernel the modules of a directory are for.
fn release_of(modules: &Path) -> Result<String, Error> {
    let listing = run::run(
        "find",
        &[
            modules.as_os_str(),
            "-name".as_ref(),
            "*.ko*".as_ref(),
            "-print".as_ref(),
            "-quit".as_ref(),
        ],
    )?;
    let no_module = || {
        format!(
            "{} is not a directory of a kernel's modules\nhelp: give a copy of /{MODULES}/RELEASE with the other module \
             in updates/, and run depmod on it",
            modules.display()
        )
    };
    let module = listing.lines().next().ok_or_else(no_module)?;
    let said = run::run("modinfo", &["--field", "vermagic", module])?;
    Ok(said.split(' ').next().ok_or_else(no_module)?.to_owned())
}
