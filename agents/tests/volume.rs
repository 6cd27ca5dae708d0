//! awsebs and the kernel: a loop device with the link that udev makes for the volume, in a
//! mount namespace of its own. EC2 can't be reached here. Needs root.
#![allow(clippy::unwrap_used)]

mod call;

use std::fs::File;
use std::process::Command;

use call::{Answer, Call, NOBODY, binary};

/// A loop device, gone when dropped.
struct Disk {
    directory: tempfile::TempDir,
    device: String,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let made = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "losetup (these tests need root): {made:?}"
        );
        let device = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let formatted = Command::new("mkfs.ext4")
            .args(["-q", &device])
            .status()
            .unwrap();
        assert!(formatted.success());
        Self { directory, device }
    }

    /// Runs `script` where /dev has the device and the volume's link to it. `$AGENT` is
    /// the agent, `$POINT` a directory to mount on.
    fn inside(&self, script: &str) -> Answer {
        let dev = self.directory.path().join("dev");
        let point = self.directory.path().join("point");
        for path in [&dev, &point] {
            std::fs::create_dir_all(path).unwrap();
        }
        let whole = format!(
            "set -e; mount -t tmpfs tmpfs $DEV; cp -a /dev/null /dev/urandom $DEVICE $DEV; mkdir -p $DEV/disk/by-id; \
             ln -s $DEVICE $DEV/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67; \
             mount --bind $DEV /dev; {script}"
        );
        Call::through(&["unshare", "--mount", "sh", "-c", &whole], "")
            .set("DEV", dev.to_str().unwrap())
            .set("POINT", point.to_str().unwrap())
            .set("DEVICE", &self.device)
            .set(
                "IMAGE",
                self.directory.path().join("image").to_str().unwrap(),
            )
            .set("AGENT", binary("awsebs"))
            .set(
                "OCF_RESOURCE_INSTANCE",
                &format!("test-{}", std::process::id()),
            )
            .set("AWS_ENDPOINT_URL_EC2", NOBODY)
            .parameter("volume_id", "vol-0e06e1e9da3c49b67")
            .parameter("region", "us-west-1")
            .parameter("CRM_meta_timeout", "4000")
            .run()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .args(["--detach", &self.device])
            .status();
    }
}

#[test]
fn a_live_device_runs_and_ec2_is_not_asked() {
    let disk = Disk::new();
    let answer = disk.inside("$AGENT monitor").expect(0);
    assert!(answer.took.as_secs() < 2, "{answer:?}");
}

#[test]
fn level_10_reads_the_disk_and_an_unreachable_ec2_only_degrades() {
    let disk = Disk::new();
    let answer = disk.inside("OCF_CHECK_LEVEL=10 $AGENT monitor").expect(190);
    assert!(
        answer.reason().contains("the device is here and answers"),
        "{answer:?}"
    );
}

#[test]
fn a_device_without_a_disk_behind_it_is_broken() {
    let disk = Disk::new();
    let cut = "truncate --size 0 $IMAGE; losetup --set-capacity $DEVICE";
    let answer = disk.inside(&format!("{cut}; $AGENT monitor")).expect(1);
    assert!(answer.reason().contains(&disk.device), "{answer:?}");
}

#[test]
fn another_volume_is_not_this_one() {
    let disk = Disk::new();
    disk.inside("OCF_RESKEY_volume_id=vol-0e06e1e9da3c49b68 $AGENT monitor")
        .expect(7);
}

#[test]
fn a_stop_that_cannot_reach_ec2_unmounts_and_then_says_that_it_may_still_write() {
    let disk = Disk::new();
    let answer = disk.inside("mount $DEVICE $POINT; code=0; $AGENT stop || code=$?; grep -c $POINT /proc/self/mountinfo; exit $code");
    let answer = answer.expect(1);
    assert_eq!(answer.stdout.trim(), "0", "it is still mounted: {answer:?}");
    assert!(
        answer.reason().contains("may still be attached"),
        "{answer:?}"
    );
    assert!(answer.took.as_secs() < 4, "{answer:?}");
}

#[test]
fn a_stop_leaves_alone_who_uses_the_volume_and_names_it() {
    let disk = Disk::new();
    let answer = disk.inside(
        "mount $DEVICE $POINT; sleep 60 > $POINT/file & user=$!; code=0; $AGENT stop || code=$?; \
         kill -0 $user && echo alive; kill $user; exit $code",
    );
    let answer = answer.expect(1);
    assert_eq!(answer.stdout.trim(), "alive", "{answer:?}");
    assert!(answer.reason().contains("sleep ("), "{answer:?}");
}
