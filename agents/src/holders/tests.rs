#![allow(clippy::unwrap_used)]

use super::process::container;
use super::*;

/// /sys and /proc of a kernel with nothing in them.
fn kernel() -> (tempfile::TempDir, Kernel) {
    let root = tempfile::tempdir().unwrap();
    let kernel = Kernel {
        devices: root.path().join("devices"),
        block: root.path().join("block"),
        proc: root.path().join("proc"),
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

/// The number of the file system that `path` is on.
fn under(path: &Path) -> Vec<String> {
    vec![device::number(fs::metadata(path).unwrap().dev())]
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
    let (root, kernel) = kernel();
    let file = root.path().join("a swap file");
    write(&file, "");
    let path = file.display().to_string().replace(' ', "\\040");
    let head = "Filename\tType\tSize\tUsed\tPriority\n";
    write(
        &kernel.proc.join("swaps"),
        &format!("{head}{path} file 1024 0 -2\n"),
    );
    let numbers = under(root.path());
    let named = format!("swap (swapoff {})", file.display());
    assert_eq!(kernel.swaps_on(&numbers), [named]);
    assert!(kernel.swaps_on(&["0:0".to_owned()]).is_empty());
}

#[test]
fn a_loop_device_counts_unless_it_clears_itself() {
    let (root, kernel) = kernel();
    let file = root.path().join("image");
    write(&file, "");
    for (name, autoclear) in [("loop0", "0\n"), ("loop1", "1\n")] {
        let about = kernel.block.join(name).join("loop");
        write(
            &about.join("backing_file"),
            &format!("{}\n", file.display()),
        );
        write(&about.join("autoclear"), autoclear);
    }
    let found = kernel.loops_on(&under(root.path()));
    let named = format!(
        "loop device /dev/loop0 over {} (losetup --detach /dev/loop0)",
        file.display()
    );
    assert_eq!(found, [named]);
    assert!(kernel.loops_on(&["0:0".to_owned()]).is_empty());
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
