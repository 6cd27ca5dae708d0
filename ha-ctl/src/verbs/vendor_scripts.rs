//! `vendor-scripts`: scripts with the vendor's names that only call ha-ctl, for runbooks.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::VendorScriptsArgs;
use crate::exit::{Exit, Failure};
use crate::output::{say, tell};

/// By this a script of ours is known.
const OURS: &str = "# Written by `ha-ctl vendor-scripts`.";

const HA_CTL: &str = r#"#!/bin/sh
# Written by `ha-ctl vendor-scripts`. ha-ctl has the vendor's words: show, status, master, start|stop|restart -s pbx.
exec ha-ctl "$@"
"#;

const DEPLOY: &str = r#"#!/bin/sh
# Written by `ha-ctl vendor-scripts`. It may be interrupted, and run again.
vars=$(dirname -- "$0")/res/vars.yml
[ -e "$vars" ] || vars=/etc/portsip/vars.yml
exec ha-ctl deploy "$vars" "$@"
"#;

const INSTALL: &str = r#"#!/bin/sh
# Written by `ha-ctl vendor-scripts`. deploy_pbx.sh installs what is needed; this says what would stand in its way.
vars=$(dirname -- "$0")/res/vars.yml
[ -e "$vars" ] || vars=/etc/portsip/vars.yml
exec ha-ctl check "$vars" "$@"
"#;

const EXTEND: &str = r#"#!/bin/sh
# Written by `ha-ctl vendor-scripts`. It may be interrupted, and run again.
exec ha-ctl extend "$@"
"#;

const UPDATE: &str = r#"#!/bin/sh
# Written by `ha-ctl vendor-scripts`. It may be interrupted, and run again.
# Only root may read the nodes' vars.yml. Where sudo wants a password, it asks for it here.
vars=/etc/portsip/vars.yml
[ ! -e "$vars" ] || [ -r "$vars" ] || sudo -n true 2>/dev/null || exec sudo ha-ctl update "$@"
exec ha-ctl update "$@"
"#;

const SCRIPTS: [(&str, &str); 5] = [
    ("ha_ctl.sh", HA_CTL),
    ("deploy_pbx.sh", DEPLOY),
    ("install_dependencies.sh", INSTALL),
    ("extend.sh", EXTEND),
    ("update.sh", UPDATE),
];

/// The end of the name of what was the vendor's.
const KEPT: &str = ".vendor";

/// Writes the scripts. One of the vendor's is kept beside, with `.vendor` after its name.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn vendor_scripts(args: &VendorScriptsArgs) -> Result<Exit, Failure> {
    let directory = &args.directory;
    if !directory.exists() {
        fs::create_dir(directory).map_err(|error| {
            Failure::failed(format!(
                "could not make the directory {}: {error}",
                directory.display()
            ))
        })?;
    }
    for (name, script) in SCRIPTS {
        let path = directory.join(name);
        let kept = write(&path, script).map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::PermissionDenied => "run ha-ctl with sudo",
                _ => "look at the directory",
            };
            Failure::failed(format!(
                "could not write {}: {error}\n  help: {help}",
                path.display()
            ))
        })?;
        tell(&path.display().to_string());
        if kept {
            say(&format!("the vendor's {name} is kept as {name}{KEPT}"));
        }
    }
    Ok(Exit::Done)
}

fn is_of_vendor(path: &Path) -> bool {
    let text = fs::read(path);
    text.is_ok_and(|text| !String::from_utf8_lossy(&text).contains(OURS))
}

/// Writes a script, and says whether one of the vendor's was kept.
fn write(path: &Path, script: &str) -> io::Result<bool> {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name
    };
    let is_of_vendor = is_of_vendor(path);
    if is_of_vendor {
        fs::rename(path, beside(KEPT))?;
    }
    let new = beside(".new");
    fs::write(&new, script)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, path)?;
    Ok(is_of_vendor)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_scripts_call_ha_ctl_and_the_vendors_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("deploy_pbx.sh"), "ansible-playbook deploy.yaml\n").unwrap();
        fs::write(at("update.sh"), "ansible-playbook update.yaml\n").unwrap();
        let args = VendorScriptsArgs {
            directory: directory.path().to_owned(),
        };
        for _ in 0..2 {
            assert_eq!(vendor_scripts(&args).unwrap(), Exit::Done);
        }
        let kept = fs::read_to_string(at("deploy_pbx.sh.vendor")).unwrap();
        assert!(kept.contains("ansible"), "{kept}");
        assert!(!at("ha_ctl.sh.vendor").exists());
        assert!(at("update.sh.vendor").exists());
        assert!(!is_of_vendor(&at("update.sh")) && !is_of_vendor(&at("deploy_pbx.sh")));
    }

    #[test]
    fn a_script_hands_its_words_and_the_kits_vars_yml_to_ha_ctl() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("res")).unwrap();
        fs::write(at("res/vars.yml"), "").unwrap();
        write(&at("ha-ctl"), "#!/bin/sh\necho \"$@\"\n").unwrap();
        let args = VendorScriptsArgs {
            directory: directory.path().to_owned(),
        };
        vendor_scripts(&args).unwrap();
        let path = format!("{}:/usr/bin:/bin", directory.path().display());
        let run = |script: &str, words: &[&str]| {
            let mut command = std::process::Command::new("/bin/bash");
            let output = command
                .arg(at(script))
                .args(words)
                .env("PATH", &path)
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        let vars = at("res/vars.yml").display().to_string();
        assert_eq!(
            run("ha_ctl.sh", &["restart", "-s", "pbx"]),
            "restart -s pbx\n"
        );
        let stop = ["stop", "-s", "media-server-only"];
        assert_eq!(
            run("extend.sh", &stop),
            "extend stop -s media-server-only\n"
        );
        assert_eq!(run("deploy_pbx.sh", &["-c"]), format!("deploy {vars} -c\n"));
        assert_eq!(
            run("install_dependencies.sh", &[]),
            format!("check {vars}\n")
        );
        assert_eq!(
            run("update.sh", &["portsip/pbx:22", "-c"]),
            "update portsip/pbx:22 -c\n"
        );
    }

    #[test]
    fn a_directory_is_made_where_its_own_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let run = |name: &str| {
            vendor_scripts(&VendorScriptsArgs {
                directory: directory.path().join(name),
            })
        };
        assert_eq!(run("guide").unwrap(), Exit::Done);
        assert!(directory.path().join("guide/ha_ctl.sh").exists());
        let failure = run("no/such").unwrap_err();
        assert!(failure.text.contains("no/such"), "{failure}");
    }
}
