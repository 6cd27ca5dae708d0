//! A volume that is made from a snapshot: each block comes from where snapshots are kept when somebody first touches it,
//! and until then he waits (EBS User Guide, "Initialize Amazon EBS volumes"). A file system in user space (fuse(4)) shows
//! the volume's file in this way; a container node's loop device is on that one.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite,
    Request, WriteFlags,
};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek64};

use crate::world::Error;

/// Snapshots have blocks of this size (EBS direct APIs, "Block": 512 KiB).
const BLOCK: u64 = 512 << 10;
/// How long the first access to a block takes. Chosen: tens of milliseconds, as from an object store; EC2 promises nothing.
const WAIT: Duration = Duration::from_millis(20);
/// What the kernel is told about the file may be another at the next moment.
const NOT_CACHED: Duration = Duration::ZERO;

const DIRECTORY: INodeNo = INodeNo::ROOT;
const FILE: INodeNo = INodeNo(2);

/// Shows a volume's file, which has the content of a snapshot, until what is returned is dropped.
///
/// # Errors
/// The kernel has no FUSE, or the file is missing.
pub fn serve(volume: &Path) -> Result<BackgroundSession, Error> {
    let served = || {
        let directory = directory(volume)?;
        fs::create_dir_all(&directory)?;
        let file = OpenOptions::new().read(true).write(true).open(volume)?;
        let missing = Mutex::new(blocks_with_data(&file)?);
        let volume = Volume {
            file,
            name: name(volume),
            missing,
        };
        fuser::spawn_mount(volume, directory, &Config::default())
    };
    served().map_err(|e| format!("cannot show {} by FUSE: {e}", volume.display()).into())
}

/// The file through which the first access to a volume's blocks is slow, if it was made from a snapshot. One that was torn
/// off from its node since has another file.
pub fn served(volume: &Path) -> Option<PathBuf> {
    let shown = directory(volume).ok()?.join(name(volume));
    let length = |file: &Path| fs::metadata(file).map(|it| it.len()).ok();
    let is_same = length(&shown)? == length(volume)?;
    is_same.then_some(shown)
}

/// The volume behind the file that a loop device is on. Outside of the lab's mount namespace the kernel names that file
/// without its directory, so that its own name has all of it.
pub fn volume_behind(backing: &Path) -> PathBuf {
    let name = backing.file_name().unwrap_or_default().as_bytes();
    match name.first() {
        Some(b'!') => {
            let path = name
                .iter()
                .map(|byte| if *byte == b'!' { b'/' } else { *byte });
            PathBuf::from(OsString::from_vec(path.collect()))
        }
        _ => backing.to_owned(),
    }
}

fn name(volume: &Path) -> OsString {
    let name = volume.as_os_str().as_bytes().iter();
    let name = name.map(|byte| if *byte == b'/' { b'!' } else { *byte });
    OsString::from_vec(name.collect())
}

fn directory(volume: &Path) -> io::Result<PathBuf> {
    match (volume.parent(), volume.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.with_file_name("first-access").join(name)),
        _ => Err(io::Error::other("it has no directory")),
    }
}

/// What was never written is nowhere, and nobody waits for it.
fn blocks_with_data(file: &File) -> io::Result<BTreeSet<u64>> {
    let mut blocks = BTreeSet::new();
    let mut at = 0;
    // ENXIO: there is none from here on.
    while let Ok(data) = lseek64(file, at, Whence::SeekData) {
        let hole = lseek64(file, data, Whence::SeekHole)?;
        blocks.extend(data as u64 / BLOCK..=(hole as u64 - 1) / BLOCK);
        at = hole;
    }
    Ok(blocks)
}

struct Volume {
    file: File,
    name: OsString,
    /// The blocks that nobody has touched yet.
    missing: Mutex<BTreeSet<u64>>,
}

impl Volume {
    fn missing(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the blocks that come now.
    fn touch(&self, offset: u64, length: u64) {
        if length == 0 {
            return;
        }
        let (first, last) = (offset / BLOCK, (offset + length - 1) / BLOCK);
        let touched = (first..=last).filter(|block| self.missing().remove(block));
        sleep(WAIT * touched.count() as u32);
    }

    fn read_up_to(&self, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let length = self.file.metadata()?.len();
        let size = u64::from(size).min(length.saturating_sub(offset));
        self.touch(offset, size);
        let mut data = vec![0; size as usize];
        self.file.read_exact_at(&mut data, offset)?;
        Ok(data)
    }

    fn attributes(&self, of: INodeNo) -> io::Result<FileAttr> {
        let metadata = self.file.metadata()?;
        let (kind, nlink) = match of {
            DIRECTORY => (FileType::Directory, 2),
            _ => (FileType::RegularFile, 1),
        };
        Ok(FileAttr {
            ino: of,
            size: metadata.len(),
            blocks: metadata.blocks(),
            atime: metadata.accessed()?,
            mtime: metadata.modified()?,
            ctime: metadata.modified()?,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm: if kind == FileType::Directory {
                0o700
            } else {
                0o600
            },
            nlink,
            uid: metadata.uid(),
            gid: metadata.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

impl Filesystem for Volume {
    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name != self.name {
            return reply.error(Errno::ENOENT);
        }
        match self.attributes(FILE) {
            Ok(attributes) => reply.entry(&NOT_CACHED, &attributes, Generation(0)),
            Err(error) => reply.error(error.into()),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Ok(attributes) => reply.attr(&NOT_CACHED, &attributes),
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_up_to(offset, size) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error.into()),
        }
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.touch(offset, data.len() as u64);
        match self.file.write_all_at(data, offset) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error.into()),
        }
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        match self.file.sync_data() {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error.into()),
        }
    }

    /// A file system says that it does not need a part any more.
    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = FallocateFlags::from_bits_truncate(mode);
        match fallocate(&self.file, mode, offset as i64, length as i64) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(io::Error::from(error).into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::volume::{self, Loop};

    #[test]
    fn the_first_access_to_a_block_is_slow_and_what_is_written_is_in_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("volumes/vol-1");
        fs::create_dir(dir.path().join("volumes")).unwrap();
        volume::create(&file, 64 << 20).unwrap();
        let open = OpenOptions::new().write(true).open(&file).unwrap();
        open.write_all_at(&[7; 5 << 20], 1 << 20).unwrap();
        let session = serve(&file).unwrap();

        let shown = served(&file).unwrap();
        assert_eq!(volume_behind(&shown), file);
        let device = Loop::attach(&file).unwrap();
        assert_eq!(volume::loops_below(dir.path()), [device.device()]);
        // 5 MiB are ten blocks.
        let (first, second) = (read(device.device()), read(device.device()));
        assert!(first >= 10 * WAIT, "{first:?}");
        assert!(second < first, "{second:?} after {first:?}");

        let through = OpenOptions::new().write(true).open(device.device());
        let through = through.unwrap();
        through.write_all_at(&[8; 4096], 20 << 20).unwrap();
        through.sync_all().unwrap();
        drop(through);
        let mut written = [0; 4096];
        let open = File::open(&file).unwrap();
        open.read_exact_at(&mut written, 20 << 20).unwrap();
        assert_eq!(written, [8; 4096]);

        volume::enlarge(&file, 128 << 20).unwrap();
        device.take_size().unwrap();
        assert_eq!(size(&device), 128 << 20);

        device.tear_off(&file).unwrap();
        assert_eq!(served(&file), None, "its blocks are all here");
        assert_eq!(volume::loops_below(dir.path()), Vec::<PathBuf>::new());
        session.umount_and_join().unwrap();
    }

    /// How long it takes to read 5 MiB, past what the kernel has read already.
    fn read(device: &Path) -> Duration {
        let begun = Instant::now();
        let file = File::open(device).unwrap();
        let mut data = vec![0; 5 << 20];
        file.read_exact_at(&mut data, 1 << 20).unwrap();
        assert!(data.iter().all(|byte| *byte == 7));
        begun.elapsed()
    }

    fn size(device: &Loop) -> u64 {
        use std::io::Seek as _;
        let mut file = File::open(device.device()).unwrap();
        file.seek(io::SeekFrom::End(0)).unwrap()
    }
}
