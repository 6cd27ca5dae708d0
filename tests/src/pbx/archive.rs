//! Writes what `docker load` reads: image configurations and layers. No Docker needed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::run::{run, run_with_input};
use crate::world::Error;

/// A file of a layer.
#[derive(Debug)]
pub(super) struct File {
    /// Path without the leading slash.
    pub(super) path: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Regular { mode: u32, bytes: &'static str },
    Link(&'static str),
}

impl File {
    /// A file with these bytes.
    pub(super) fn regular(path: &str, mode: u32, bytes: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            content: Content::Regular { mode, bytes },
        }
    }

    /// A symbolic link.
    pub(super) fn link(path: String, target: &'static str) -> Self {
        Self {
            path,
            content: Content::Link(target),
        }
    }
}

/// An image: a shared base and its own files on top.
#[derive(Debug)]
pub(super) struct Image {
    /// Name and tag.
    pub(super) name: &'static str,
    /// The top layer.
    pub(super) files: Vec<File>,
    /// The `config` object of the image specification.
    pub(super) config: serde_json::Value,
}

/// First 16 hex digits of the SHA-256 of `text`: a name in the cache.
pub(super) fn key(text: &str) -> Result<String, Error> {
    let mut digest = sha256_of_text(text)?;
    digest.truncate(16);
    Ok(digest)
}

/// The key of everything that a set of images is built from.
pub(super) fn key_of(images: &[Image], base_recipe: &str) -> Result<String, Error> {
    key(&format!("{base_recipe}\n{images:?}"))
}

/// Writes the archive of `images`, all on the layer `base`, to `target`; `work` is an empty directory.
pub(super) fn write(
    images: &[Image],
    base: &Path,
    work: &Path,
    target: &Path,
) -> Result<(), Error> {
    let base_name = "base.tar";
    std::os::unix::fs::symlink(base, work.join(base_name))?;
    let base_digest = sha256_of_file(base)?;
    let mut manifest = Vec::new();
    let mut members = vec!["manifest.json".to_owned(), base_name.to_owned()];
    for (number, image) in images.iter().enumerate() {
        let layer_name = format!("layer{number}.tar");
        let layer = work.join(&layer_name);
        write_layer(&image.files, &work.join(format!("layer{number}")), &layer)?;
        let configuration = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "0001-01-01T00:00:00Z",
            "config": image.config,
            "rootfs": {
                "type": "layers",
                "diff_ids": [
                    format!("sha256:{base_digest}"),
                    format!("sha256:{}", sha256_of_file(&layer)?),
                ],
            },
            "history": [
                {"created": "0001-01-01T00:00:00Z", "comment": "Debian packages"},
                {"created": "0001-01-01T00:00:00Z", "comment": "PBX stand-in"},
            ],
        })
        .to_string();
        let configuration_name = format!("{}.json", sha256_of_text(&configuration)?);
        fs::write(work.join(&configuration_name), configuration)?;
        manifest.push(json!({
            "Config": configuration_name,
            "RepoTags": [image.name],
            "Layers": [base_name, layer_name],
        }));
        members.extend([layer_name, configuration_name]);
    }
    fs::write(
        work.join("manifest.json"),
        serde_json::Value::from(manifest).to_string(),
    )?;
    // --dereference: the base layer is a link to where the cache keeps it.
    let mut arguments: Vec<&OsStr> = vec!["--dereference".as_ref()];
    arguments.extend(members.iter().map(OsStr::new));
    tar(work, target, &arguments)
}

/// Makes `directory` hold `files` and packs it as a layer.
fn write_layer(files: &[File], directory: &Path, layer: &Path) -> Result<(), Error> {
    for file in files {
        let path = directory.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match file.content {
            Content::Regular { mode, bytes } => {
                fs::write(&path, bytes)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
            Content::Link(target) => std::os::unix::fs::symlink(target, &path)?,
        }
    }
    tar(directory, layer, &[OsStr::new("usr")])
}

/// Packs `members` of `directory`, the same bytes for the same files.
fn tar(directory: &Path, target: &Path, members: &[&OsStr]) -> Result<(), Error> {
    let mut arguments: Vec<&OsStr> = vec![
        "--create".as_ref(),
        "--sort=name".as_ref(),
        "--mtime=@0".as_ref(),
        "--owner=0".as_ref(),
        "--group=0".as_ref(),
        "--numeric-owner".as_ref(),
        // Whatever the umask was when the directories were made.
        "--mode=u=rwX,go=rX".as_ref(),
        "--directory".as_ref(),
        directory.as_ref(),
        "--file".as_ref(),
        target.as_ref(),
    ];
    arguments.extend(members);
    run("tar", &arguments).map(drop)
}

fn sha256_of_text(text: &str) -> Result<String, Error> {
    digest(&run_with_input("sha256sum", &[] as &[&str], text)?)
}

fn sha256_of_file(path: &Path) -> Result<String, Error> {
    digest(&run("sha256sum", &[path])?)
}

fn digest(answer: &str) -> Result<String, Error> {
    match answer.split_whitespace().next() {
        Some(digest) if digest.len() == 64 => Ok(digest.to_owned()),
        _ => Err(format!("sha256sum answered '{answer}' instead of a digest").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn image() -> Image {
        Image {
            name: "example/one:1",
            files: vec![
                File::regular("usr/local/bin/run", 0o755, "#!/bin/sh\n"),
                File::link("usr/local/bin/again".to_owned(), "run"),
            ],
            config: json!({"Labels": {"version": "1"}}),
        }
    }

    #[test]
    fn an_archive_names_its_layers_by_their_content() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("rootfs.tar");
        fs::write(&base, "not really a tar").unwrap();
        let work = dir.path().join("work");
        fs::create_dir(&work).unwrap();
        let target = dir.path().join("images.tar");
        write(&[image()], &base, &work, &target).unwrap();

        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(work.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "example/one:1");
        let configuration = fs::read(work.join(manifest[0]["Config"].as_str().unwrap())).unwrap();
        let configuration: serde_json::Value = serde_json::from_slice(&configuration).unwrap();
        for (number, layer) in manifest[0]["Layers"].as_array().unwrap().iter().enumerate() {
            let digest = sha256_of_file(&work.join(layer.as_str().unwrap())).unwrap();
            assert_eq!(
                configuration["rootfs"]["diff_ids"][number],
                format!("sha256:{digest}")
            );
        }
        let listing = run("tar", &["-tvf".as_ref(), target.as_os_str()]).unwrap();
        assert!(
            listing.contains("base.tar") && !listing.contains("->"),
            "links in the archive:\n{listing}"
        );
    }

    #[test]
    fn a_changed_file_changes_the_key() {
        let before = key_of(&[image()], "bookworm").unwrap();
        let mut changed = image();
        changed.files[0] = File::regular("usr/local/bin/run", 0o755, "#!/bin/bash\n");
        assert_ne!(before, key_of(&[changed], "bookworm").unwrap());
        assert_ne!(before, key_of(&[image()], "trixie").unwrap());
        assert_eq!(before, key_of(&[image()], "bookworm").unwrap());
    }
}
