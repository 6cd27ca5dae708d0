//! Stock tools of the cluster on files, inside an image of the lab: nothing of them is on the
//! host, nothing that they write stays in the image, and nothing of it reaches a network.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use cib_gen::Cluster;

/// The Debian whose tools are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Suite {
    /// Pacemaker 2.1, pcs 0.11, resource-agents 4.12, drbd-utils 9.22.
    Bookworm,
    /// Pacemaker 3.0, pcs 0.12, resource-agents 4.16, drbd-utils 9.22.
    Trixie,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Suite::Bookworm => "Debian 12",
            Suite::Trixie => "Debian 13",
        })
    }
}

/// Makes a test of each function for each suite: `NAME::bookworm` and `NAME::trixie`.
macro_rules! in_both_suites {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use $crate::bench::Suite;

            #[test]
            fn bookworm() {
                super::$name(Suite::Bookworm);
            }

            #[test]
            fn trixie() {
                super::$name(Suite::Trixie);
            }
        }
    )+};
}
pub(crate) use in_both_suites;

/// The agents of the package and their parameters, for a machine where they are not built.
const AGENTS: [(&str, &[&str]); 5] = [
    (
        "awseip",
        &[
            "allocation_id",
            "elastic_ip",
            "private_ip_address",
            "region",
        ],
    ),
    ("awsvip", &["secondary_private_ip", "region"]),
    (
        "awsebs",
        &["volume_id", "region", "cluster_instances", "device"],
    ),
    ("awsipsrcaddr", &["ipaddress"]),
    (
        "pbx",
        &[
            "ip_address",
            "data_path",
            "sip_transport",
            "sip_port",
            "web_port",
        ],
    ),
];

/// Opens the image for one command: an overlay that is forgotten with the mount namespace.
/// $1 is the image, $2 a directory of ours with `files` and `agents`, the rest the command.
const ENTER: &str = r#"
set -eu
image=$1 ours=$2
shift 2
mount -t tmpfs tmpfs "$ours/top"
mkdir "$ours/top/upper" "$ours/top/work" "$ours/top/root"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$ours/top/upper,workdir=$ours/top/work" "$ours/top/root"
root=$ours/top/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$ours/tools" "$root/srv"
mkdir -p "$root/usr/lib/ocf/resource.d/portsip"
cp "$ours"/agents/* "$root/usr/lib/ocf/resource.d/portsip/"
mount --bind "$ours/files" "$root/mnt"
exec chroot "$root" /bin/sh -c 'cd /mnt; exec "$@"' sh "$@"
"#;

/// Stands before an agent. Asked whether it could run, it notes that in `asked`, and refuses with what is in the file
/// `NAME-says`, if that is there.
const ASKED: &str = r#"#!/bin/sh
[ "$1" = validate-all ] || exec /srv/NAME "$@"
echo "NAME level=$OCF_CHECK_LEVEL" >> /mnt/asked
env | grep '^OCF_RESKEY_[a-z]*_[a-z_]*=' | sort >> /mnt/parameters
[ -e /mnt/NAME-says ] || exit 0
echo "ocf-exit-reason:$(cat /mnt/NAME-says)" >&2
exit 5
"#;

/// Stands before pcs. Where pcs reads the running cluster and pushes to it, is the file that CLUSTER names.
/// What it prints of SBD, pcs's own code prints, of the nodes in sbd.json.
const RUNNING: &str = r#"#!/bin/sh
case "$1 $2 $3" in
"cluster cib "*) exec cp "$CLUSTER" "$3" ;;
"cluster cib-push "*) exec cp "$3" "$CLUSTER" ;;
"stonith sbd status") exec python3 status.py ;;
esac
PATH=${PATH#/mnt/before:}
exec pcs "$@"
"#;

const SBD_STATUS: &str = r#"
import json
from pcs.cli.common.parse_args import InputModifiers
from pcs.stonith import sbd_status


class Cluster:
    class sbd:
        def get_cluster_sbd_status():
            return json.load(open("sbd.json"))

        def get_local_devices_info(full):
            return []


sbd_status(Cluster, [], InputModifiers({}))
"#;

/// What a node's pcsd says of SBD there: installed, enabled, running.
pub(crate) type Sbd = Option<[bool; 3]>;

/// A directory of files that the tools work on.
pub(crate) struct Bench {
    pub(crate) suite: Suite,
    image: PathBuf,
    ours: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn of(suite: Suite) -> Bench {
        let image = match suite {
            Suite::Bookworm => lab::image::tools_rootfs(lab::image::Suite::Bookworm),
            Suite::Trixie => lab::image::tools_rootfs(lab::image::Suite::Trixie),
        };
        let image = image.expect("the image is there or can be built");
        let ours = tempfile::tempdir().expect("a temporary directory");
        for dir in ["files", "agents", "tools", "tools/called", "top"] {
            fs::create_dir(ours.path().join(dir)).expect("a new directory");
        }
        let bench = Bench { suite, image, ours };
        bench.put_agents();
        fs::create_dir(bench.path("before")).expect("a new directory");
        put_program(&bench.path("before/pcs"), RUNNING);
        bench.write("status.py", SBD_STATUS);
        for name in ["preloaded-pcs", "called/pcs"] {
            let path = bench.ours.path().join("tools").join(name);
            put_program(&path, include_str!("preloaded_pcs.py"));
        }
        bench
    }

    /// The agents that were built, where the environment says so; else what pcs reads of them. There is no EC2 and no
    /// Docker here, so a double answers in depth for each.
    fn put_agents(&self) {
        let agents = self.ours.path().join("tools");
        let built = env::var_os("PORTSIP_HA_BIN").map(PathBuf::from);
        for (name, parameters) in AGENTS {
            let agent = agents.join(name);
            match &built {
                Some(dir) => {
                    let from = dir.join(name);
                    fs::copy(&from, &agent)
                        .unwrap_or_else(|e| panic!("no agent {}: {e}", from.display()));
                }
                None => put_program(&agent, &meta_data_only(name, parameters)),
            }
            let double = self.ours.path().join("agents").join(name);
            put_program(&double, &ASKED.replace("NAME", name));
        }
    }

    /// Where a file of the bench is on the host.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.ours.path().join("files").join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("a file of the bench");
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("a file of the bench")
    }

    /// Runs a command in the image, in the directory with the files.
    pub(crate) fn try_run(&self, command: &[&str]) -> Output {
        self.command(command).output().expect("unshare runs")
    }

    /// A command in the image, in the directory with the files.
    pub(crate) fn command(&self, command: &[&str]) -> Command {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--mount", "--propagation", "private", "--net", "--uts"])
            .args(["--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", ENTER, "enter"])
            .arg(&self.image)
            .arg(self.ours.path())
            .args(command)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        unshare
    }

    /// Puts the command cib-gen, as it was built, beside the files: `./cib-gen`.
    pub(crate) fn put_cib_gen(&self) {
        let beside = env::current_exe().expect("the path of this test");
        let beside = beside
            .ancestors()
            .nth(2)
            .expect("it is in a target directory");
        let built = env::var_os("PORTSIP_HA_BIN").map(PathBuf::from);
        let from = built.unwrap_or_else(|| beside.to_owned()).join("cib-gen");
        let to = self.path("cib-gen");
        fs::copy(&from, &to)
            .unwrap_or_else(|e| panic!("no {} (cargo build --workspace): {e}", from.display()));
    }

    /// The same for a command that has to succeed; returns what it printed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        let output = self.try_run(command);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{} failed with {} in {}:\n{printed}\n{}",
            command.join(" "),
            output.status,
            self.suite,
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }

    /// Makes a CIB with nothing in it, as Pacemaker does for a new cluster.
    pub(crate) fn empty_cib(&self, file: &str) {
        let empty = self.run(&["cibadmin", "--empty"]);
        self.write(file, &empty);
    }

    /// Makes the CIB of a new cluster in which these nodes are online.
    pub(crate) fn online(&self, names: &[&str], file: &str) {
        self.empty_cib(file);
        let (mut nodes, mut states) = (String::new(), String::new());
        for (n, name) in names.iter().enumerate() {
            let node = format!("id=\"{}\" uname=\"{name}\"", n + 1);
            nodes += &format!("<node {node}/>");
            states += &format!(
                "<node_state {node} in_ccm=\"true\" crmd=\"online\" join=\"member\" \
                 expected=\"member\"><lrm id=\"{}\"><lrm_resources/></lrm></node_state>",
                n + 1
            );
        }
        let empty = self.read(file);
        let cib = empty.replace("<nodes/>", &format!("<nodes>{nodes}</nodes>"));
        let with = cib.replace("<status/>", &format!("<status>{states}</status>"));
        assert!(cib != empty && with != cib, "{empty}");
        self.write(file, &with);
    }

    /// Makes the CIB of a new cluster of these nodes, whose SBD runs.
    pub(crate) fn new_cluster(&self, cluster: &Cluster, file: &str) {
        let names = cluster.corosync.nodes.iter();
        let names: Vec<&str> = names.map(|node| node.name.as_str()).collect();
        self.online(&names, file);
        let with = self.read(file);
        let sbd = "<cluster_property_set id=\"cib-bootstrap-options\"><nvpair \
                   id=\"cib-bootstrap-options-have-watchdog\" name=\"have-watchdog\" value=\"true\"/>\
                   </cluster_property_set>";
        let with = match cluster.corosync.watchdog {
            Some(_) => with.replace("<crm_config/>", &format!("<crm_config>{sbd}</crm_config>")),
            None => with,
        };
        self.write(file, &with);
        let runs = names.iter().map(|name| (*name, Some([true; 3])));
        self.sbd(&runs.collect::<Vec<_>>());
    }

    /// What the nodes say of SBD.
    pub(crate) fn sbd(&self, nodes: &[(&str, Sbd)]) {
        let word = |said: &Sbd, n: usize| said.map_or("null".to_owned(), |s| s[n].to_string());
        let nodes = nodes.iter().map(|(name, said)| {
            format!(
                "{{\"node\":\"{name}\",\"status\":{{\"installed\":{},\"enabled\":{},\"running\":{}}}}}",
                word(said, 0),
                word(said, 1),
                word(said, 2)
            )
        });
        let nodes: Vec<String> = nodes.collect();
        self.write("sbd.json", &format!("[{}]", nodes.join(",")));
    }

    /// Runs a script of pcs commands on a node of a cluster whose CIB is a file.
    pub(crate) fn try_pcs(&self, script: &str, cib: &str) -> Output {
        self.write("script.sh", script);
        self.try_script(&["sh", "-c", &format!("{} sh script.sh", on_a_node(cib))])
    }

    /// Runs a command that calls pcs often.
    pub(crate) fn try_script(&self, command: &[&str]) -> Output {
        let mut all = vec!["python3", "/srv/preloaded-pcs"];
        all.extend(command);
        self.try_run(&all)
    }

    /// The same for a script that has to succeed.
    pub(crate) fn pcs(&self, script: &str, cib: &str) {
        let output = self.try_pcs(script, cib);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the script failed in {}:\n{said}",
            self.suite
        );
    }

    /// Runs pcs commands on a CIB file, each of which has to change it.
    pub(crate) fn change(&self, cib: &str, commands: &[&str]) {
        let mut script = "set -e\n".to_owned();
        for command in commands {
            script += &format!(
                "cp {cib} before.xml\npcs -f {cib} {command}\n\
                 if cmp -s {cib} before.xml; then echo '{command} changed nothing' >&2; exit 1; fi\n"
            );
        }
        let output = self.try_script(&["sh", "-c", &script]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", self.suite);
    }

    /// Writes a file as `to` with what the cluster itself would have written into it by now:
    /// that SBD runs, where Pacemaker is told to count on it.
    pub(crate) fn lived_in(&self, cib: &str, to: &str) {
        let text = self.read(cib);
        let set = "<cluster_property_set id=\"cib-bootstrap-options\">";
        let told = text.contains("stonith-watchdog-timeout") && !text.contains("have-watchdog");
        let text = if told {
            let sbd = "<nvpair id=\"cib-bootstrap-options-have-watchdog\" name=\"have-watchdog\" value=\"true\"/>";
            text.replacen(set, &format!("{set}{sbd}"), 1)
        } else {
            text
        };
        self.write(to, &text);
    }

    /// What crm_verify thinks of a file: nothing, if it is good.
    pub(crate) fn verify(&self, cib: &str) {
        self.lived_in(cib, "lived-in.xml");
        let output = self.try_run(&["crm_verify", "--verbose", "--xml-file", "lived-in.xml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.trim().is_empty(),
            "{}: {said}",
            self.suite
        );
    }
}

/// The environment in which pcs takes a file for the CIB of the cluster that runs here.
pub(crate) fn on_a_node(cib: &str) -> String {
    format!("CLUSTER={cib} PATH=/mnt/before:$PATH")
}

fn put_program(path: &Path, text: &str) {
    fs::write(path, text).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable");
}

fn meta_data_only(name: &str, parameters: &[&str]) -> String {
    let parameters: String = parameters
        .iter()
        .map(|parameter| {
            format!(
                "<parameter name=\"{parameter}\"><longdesc lang=\"en\">-</longdesc>\
                 <shortdesc lang=\"en\">-</shortdesc><content type=\"string\"/></parameter>"
            )
        })
        .collect();
    format!(
        "#!/bin/sh\n[ \"$1\" = meta-data ] || exit 3\ncat <<'END'\n\
         <?xml version=\"1.0\"?>\n<resource-agent name=\"{name}\" version=\"1.0\">\
         <version>1.1</version><longdesc lang=\"en\">-</longdesc><shortdesc lang=\"en\">-</shortdesc>\
         <parameters>{parameters}</parameters><actions>\
         <action name=\"start\" timeout=\"20s\"/><action name=\"stop\" timeout=\"20s\"/>\
         <action name=\"monitor\" timeout=\"20s\" interval=\"10s\"/>\
         <action name=\"meta-data\" timeout=\"5s\"/></actions></resource-agent>\nEND\n"
    )
}
