#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use super::process::container;
use super::*;

/// /sys and /proc of a kernel with nothing in them.
fn kernel() -> (tempfile::TempDir, Kernel) {
    let root = tempfile::tempdir().unwrap();
    let kernel = Kernel {
        devices: root.path().join("devices"),
        block: root.path().join("block"),
        proc: root.path().join("proc"),
        containers: root.path().join("containers"),
    };
    for directory in [&kernel.devices, &kernel.block, &kernel.proc] {
        fs::create_dir(directory).unwrap();
    }
    (root, kernel)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn stacked(kernel: &Kernel) -> Vec<String> {
    let mut found = Vec::new();
    kernel.stacked_on(&kernel.devices.join("259:1"), &mut found);
    found
}

const VOLUME: &str = "259:1";

/// What a process sees mounted: the volume on /data, and a server's files on /nfs, at which nobody may look.
fn mounted(kernel: &Kernel, process: &str) {
    let lines = "22 1 252:1 / / rw - ext4 /dev/vda1 rw\n\
                 30 22 259:1 / /data rw - xfs /dev/nvme1n1 rw\n\
                 31 22 0:50 / /nfs rw - nfs4 server:/ rw\n";
    write(&kernel.proc.join(process).join("mountinfo"), lines);
}

#[test]
fn drivers_on_a_disk_are_named_from_the_top_with_the_way_to_end_them() {
    let (_root, kernel) = kernel();
    fs::create_dir_all(kernel.devices.join("259:1/holders/dm-0")).unwrap();
    fs::create_dir_all(kernel.block.join("dm-0/holders/dm-1")).unwrap();
    write(&kernel.block.join("dm-0/dm/name"), "crypt\n");
    write(&kernel.block.join("dm-0/dm/uuid"), "CRYPT-LUKS2-1-crypt\n");
    write(&kernel.block.join("dm-1/dm/name"), "vg-data\n");
    write(&kernel.block.join("dm-1/dm/uuid"), "LVM-abc\n");
    assert_eq!(
        stacked(&kernel),
        [
            "LVM logical volume vg-data (lvchange --activate n /dev/mapper/vg-data)",
            "encrypted mapping crypt (cryptsetup close crypt)",
        ]
    );
}

#[test]
fn other_drivers_are_named_too() {
    let (_root, kernel) = kernel();
    for holder in ["md0", "bcache0"] {
        fs::create_dir_all(kernel.devices.join("259:1/holders").join(holder)).unwrap();
    }
    fs::create_dir_all(kernel.block.join("md0/md")).unwrap();
    let mut found = stacked(&kernel);
    found.sort();
    assert_eq!(
        found,
        [
            "block device bcache0 on top of it",
            "software RAID md0 (mdadm --stop /dev/md0)"
        ]
    );
    fs::remove_dir_all(kernel.devices.join("259:1")).unwrap();
    assert!(stacked(&kernel).is_empty());
}

#[test]
fn swap_on_the_device_is_found_and_other_swap_is_not() {
    let (_root, kernel) = kernel();
    mounted(&kernel, "self");
    let table = "Filename\tType\tSize\tUsed\tPriority\n\
                 /data/a\\040swap\\040file file 1024 0 -2\n/nfs/swap file 1024 0 -3\n/swap file 1024 0 -4\n";
    write(&kernel.proc.join("swaps"), table);
    let found = kernel.swaps_on(&[VOLUME.to_owned()]);
    assert_eq!(found, ["swap (swapoff /data/a swap file)"]);
    assert!(kernel.swaps_on(&["0:0".to_owned()]).is_empty());
}

#[test]
fn a_loop_device_counts_unless_it_clears_itself() {
    let (_root, kernel) = kernel();
    mounted(&kernel, "self");
    for (name, file, autoclear) in [
        ("loop0", "/data/image", "0\n"),
        ("loop1", "/data/image", "1\n"),
        ("loop2", "/nfs/image", "0\n"),
        ("loop3", "/data/gone (deleted)", "0\n"),
    ] {
        let about = kernel.block.join(name).join("loop");
        write(&about.join("backing_file"), &format!("{file}\n"));
        write(&about.join("autoclear"), autoclear);
    }
    let found = kernel.loops_on(&[VOLUME.to_owned()]);
    let named = [
        "loop device /dev/loop0 over /data/image (losetup --detach /dev/loop0)",
        "loop device /dev/loop3 over /data/gone (deleted) (losetup --detach /dev/loop3)",
    ];
    assert_eq!(found, named);
    assert!(kernel.loops_on(&["0:0".to_owned()]).is_empty());
}

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A process of a container that has the volume mounted.
fn in_a_container(kernel: &Kernel, policy: &str, manually_stopped: bool, pending: &str) {
    let process = kernel.proc.join("4242");
    mounted(kernel, "4242");
    fs::create_dir_all(process.join("ns")).unwrap();
    std::os::unix::fs::symlink("mnt:[4026532]", process.join("ns/mnt")).unwrap();
    write(&process.join("comm"), "exporter\n");
    let group = format!("0::/system.slice/docker-{CONTAINER}.scope\n");
    write(&process.join("cgroup"), &group);
    let status = format!("State:\tS (sleeping)\nSigPnd:\t0000000000000000\nShdPnd:\t{pending}\n");
    write(&process.join("status"), &status);
    let about = kernel.containers.join(CONTAINER);
    let config = format!(r#"{{"Name":"/exporter","HasBeenManuallyStopped":{manually_stopped}}}"#);
    write(&about.join("config.v2.json"), &config);
    let host = format!(r#"{{"RestartPolicy":{{"Name":"{policy}","MaximumRetryCount":0}}}}"#);
    write(&about.join("hostconfig.json"), &host);
}

#[test]
fn only_a_container_that_docker_keeps_running_surely_stays() {
    const NONE: &str = "0000000000000000";
    const SIGTERM: &str = "0000000000004000";
    const SIGKILL: &str = "0000000000000100";
    for (policy, manually_stopped, pending, restarted) in [
        ("always", false, NONE, true),
        ("unless-stopped", false, NONE, true),
        ("unless-stopped", true, NONE, false),
        ("always", false, SIGTERM, false),
        ("always", false, SIGKILL, false),
        ("on-failure", false, NONE, false),
        ("no", false, NONE, false),
        ("", false, NONE, false),
    ] {
        let (_root, kernel) = kernel();
        in_a_container(&kernel, policy, manually_stopped, pending);
        let found = RefCell::new(Vec::new());
        kernel.users_of(&[VOLUME.to_owned()], &|user| found.borrow_mut().push(user));
        let user = User {
            name: "container exporter: exporter (pid 4242), which has it mounted on /data"
                .to_owned(),
            remedy: restarted.then(|| "docker stop exporter".to_owned()),
        };
        assert_eq!(
            found.into_inner(),
            [user],
            "{policy}, {manually_stopped}, {pending}"
        );
    }
}

#[test]
fn the_container_is_in_the_control_groups_path_whoever_runs_it() {
    let id = "0123456789abcdef".repeat(4);
    for group in [
        format!("/system.slice/docker-{id}.scope"),
        format!("/docker/{id}"),
        format!("/machine.slice/libpod-{id}.scope/container"),
        format!("/kubepods/besteffort/pod1/cri-containerd-{id}.scope"),
    ] {
        assert_eq!(container(&group), Some(id.as_str()), "{group}");
    }
    assert_eq!(container("/system.slice/ssh.service"), None);
}
