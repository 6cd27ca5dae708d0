//! What installing, upgrading and removing do to a node's files, with the node image's own dpkg, on
//! a copy of the image that is forgotten. No daemon runs there: what a running cluster answers is
//! played by the CIB that Pacemaker leaves on the disk.

use std::fs;
use std::process::{Command, Output};

/// Opens the image: $1 is its root directory, $2 ours with `top`, the packages and `script`.
const ENTER: &str = r#"
set -eu
mount -t tmpfs tmpfs "$2/top"
mkdir "$2/top/upper" "$2/top/work" "$2/top/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/top/upper,workdir=$2/top/work" "$2/top/root"
root=$2/top/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/srv/ours"
mount --bind "$2/ours" "$root/srv/ours"
exec chroot "$root" /bin/sh -eu /srv/ours/script
"#;

/// What every script can use. The vendor's installation has two agents of our names, and one more.
const TOOLS: &str = r#"
exec 2>&1
export DEBIAN_FRONTEND=noninteractive
A=/usr/lib/ocf/resource.d/portsip
KEPT=/usr/lib/portsip-ha/diverted
N=/srv/ours/n.deb N1=/srv/ours/n1.deb

vendor() {
    mkdir -p $A
    for agent in awsebs pbx other; do
        printf '#!/bin/sh\n# the vendor has %s\n' $agent >$A/$agent
        chmod 750 $A/$agent
        touch --date=2020-01-01 $A/$agent
    done
}

# The image has what the package depends on, or has not: that is not the question here.
quietly() {
    "$@" >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }
}
install() { quietly dpkg --force-depends --install "$1"; }

# A package that owns a file.
other_package() {
    mkdir -p /tmp/other/DEBIAN "/tmp/other${1%/*}"
    printf 'Package: other\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' \
        >/tmp/other/DEBIAN/control
    echo "of another package" >"/tmp/other$1"
    dpkg-deb --build /tmp/other /tmp/other.deb >/dev/null
    quietly dpkg --install /tmp/other.deb
}

fails() {
    ! "$@" >/tmp/said 2>&1 || { cat /tmp/said; echo "it succeeded: $*"; exit 1; }
}

is() { [ "$1" = "$2" ] || { echo "it is '$1' and not '$2'"; exit 1; }; }
file() { stat --format='%a %U:%G %Y' "$1"; md5sum <"$1"; }
diverted() { dpkg-divert --list '*/resource.d/portsip/*' | sort; }
ours() { dpkg --verify portsip-ha; is "$(dpkg-query --show --showformat='${db:Status-Status}' portsip-ha)" installed; }
"#;

/// No daemon runs here: what a cluster that runs would answer is the CIB on the disk.
const CLUSTER_RUNS: &str = r#"
mv /usr/sbin/cibadmin /usr/sbin/cibadmin.real
cat >/usr/sbin/cibadmin <<'END'
#!/bin/sh
CIB_file=${CIB_file:-/var/lib/pacemaker/cib/cib.xml} exec cibadmin.real "$@"
END
chmod 755 /usr/sbin/cibadmin
"#;

fn run(script: &str) -> Output {
    let ours = tempfile::tempdir().unwrap();
    let files = ours.path().join("ours");
    for directory in ["top", "ours", "unpacked"] {
        fs::create_dir(ours.path().join(directory)).unwrap();
    }
    fs::copy(super::package(), files.join("n.deb")).unwrap();
    next_version(&ours.path().join("unpacked"), &files.join("n1.deb"));
    fs::write(files.join("script"), format!("{TOOLS}\n{script}")).unwrap();
    let image =
        lab::image::node_rootfs(lab::site::Site::Ec2).expect("the image is there or can be built");
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--pid"])
        .args(["--fork", "--kill-child", "sh", "-c", ENTER, "enter"])
        .arg(image)
        .arg(ours.path())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap()
}

/// The same package with a higher version.
fn next_version(unpacked: &std::path::Path, to: &std::path::Path) {
    let dpkg_deb = |arguments: &[&std::ffi::OsStr]| {
        let status = Command::new("dpkg-deb").args(arguments).output().unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    dpkg_deb(&["-R".as_ref(), super::package().as_ref(), unpacked.as_ref()]);
    let control = unpacked.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let (before, version) = text.split_once("\nVersion: ").unwrap();
    fs::write(&control, format!("{before}\nVersion: 1{version}")).unwrap();
    dpkg_deb(&[
        "--root-owner-group".as_ref(),
        "-b".as_ref(),
        unpacked.as_ref(),
        to.as_ref(),
    ]);
}

/// Runs a script on a copy of a node. It has to succeed; returns what it printed.
fn on_a_node(script: &str) -> String {
    let output = run(script);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn agents_that_no_package_owns_are_kept_and_come_back() {
    let said = on_a_node(
        r#"
        vendor
        before=$(file $A/pbx; file $A/awsebs; file $A/other)
        install $N
        cat /tmp/said
        ours
        is "$(file $KEPT/pbx; file $KEPT/awsebs; file $A/other)" "$before"
        is "$(ls $KEPT)" "awsebs
pbx"
        is "$(diverted | wc -l)" 2

        # Again, and the next version: nothing is diverted twice.
        for deb in $N $N1; do
            install $deb
            ours
            is "$(file $KEPT/pbx; file $KEPT/awsebs; file $A/other)" "$before"
            is "$(diverted | wc -l)" 2
        done

        quietly dpkg --remove portsip-ha
        is "$(file $A/pbx; file $A/awsebs; file $A/other)" "$before"
        is "$(ls $A)" "awsebs
other
pbx"
        is "$(diverted)" ""
        [ ! -e /usr/lib/portsip-ha ]

        # Removed is not purged: the next installation is one of those that dpkg calls so.
        install $N
        ours
        quietly dpkg --purge portsip-ha
        is "$(file $A/pbx; file $A/awsebs; file $A/other)" "$before"
        is "$(diverted)" ""
        "#,
    );
    assert!(
        said.contains("awsebs pbx") && said.contains("come back when portsip-ha is removed"),
        "the operator is not told: {said}"
    );
}

#[test]
fn a_cluster_that_runs_finds_an_agent_at_every_moment() {
    on_a_node(
        r#"
        vendor
        (while [ ! -e /tmp/stop ]; do [ -x $A/pbx ] || echo gap >>/tmp/gaps; done) &
        install $N
        install $N1
        touch /tmp/stop
        wait
        [ ! -e /tmp/gaps ]
        "#,
    );
}

#[test]
fn without_other_agents_nothing_is_diverted_and_nothing_is_left() {
    on_a_node(
        r#"
        # Where the image has a directory of ours, it is the directory alone.
        mkdir -p $A
        install $N
        ours
        is "$(diverted)" ""
        install $N1
        ours
        quietly dpkg --purge portsip-ha
        [ ! -e /usr/lib/portsip-ha ]
        [ ! -e $A/pbx ]
        is "$(find / -xdev -name '*portsip-ha*' -not -path '/srv/*' -not -path '/var/lib/dpkg/*' -not -path '/proc/*')" ""
        "#,
    );
}

#[test]
fn an_installation_that_is_given_up_leaves_everything_as_it_was() {
    on_a_node(
        r#"
        vendor
        before=$(file $A/pbx; file $A/awsebs)
        other_package /usr/bin/cib-gen
        fails dpkg --force-depends --install $N
        grep -q 'trying to overwrite' /tmp/said
        is "$(file $A/pbx; file $A/awsebs)" "$before"
        is "$(diverted)" ""
        [ ! -e /usr/lib/portsip-ha ]
        "#,
    );
}

#[test]
fn an_upgrade_that_is_given_up_leaves_the_version_that_was_there() {
    on_a_node(
        r#"
        vendor
        before=$(file $A/pbx; file $A/awsebs)
        install $N
        # dpkg fails late, when all agents are unpacked.
        dpkg-deb -R $N1 /tmp/n2
        sed -i 's/^Version: .*/Version: 99/' /tmp/n2/DEBIAN/control
        other_package /usr/bin/zzz
        echo x >/tmp/n2/usr/bin/zzz
        dpkg-deb --build /tmp/n2 /tmp/n2.deb >/dev/null
        fails dpkg --force-depends --install /tmp/n2.deb
        ours
        is "$(file $KEPT/pbx; file $KEPT/awsebs)" "$before"
        is "$(diverted | wc -l)" 2
        quietly dpkg --purge portsip-ha
        is "$(file $A/pbx; file $A/awsebs)" "$before"
        "#,
    );
}

#[test]
fn an_agent_of_another_package_is_that_packages() {
    on_a_node(
        r#"
        other_package $A/awsebs
        fails dpkg --force-depends --install $N
        grep -q 'trying to overwrite.*awsebs.*other' /tmp/said
        is "$(cat $A/awsebs)" "of another package"
        is "$(diverted)" ""
        "#,
    );
}

/// A CIB with one volume resource. `parameter` is one of its parameters.
fn cib(parameter: &str, properties: &str) -> String {
    format!(
        "mkdir -p /var/lib/pacemaker/cib\ncat >/var/lib/pacemaker/cib/cib.xml <<'XML'\n\
         <cib validate-with=\"pacemaker-3.8\" epoch=\"1\" num_updates=\"0\" admin_epoch=\"0\">\
         <configuration><crm_config><cluster_property_set id=\"cib-bootstrap-options\">{properties}\
         </cluster_property_set></crm_config><nodes/><resources>\
         <primitive id=\"vendors-volume\" class=\"ocf\" provider=\"portsip\" type=\"awsebs\">\
         <instance_attributes id=\"a\"><nvpair id=\"p\" name=\"{parameter}\" value=\"vol-0\"/>\
         </instance_attributes></primitive></resources><constraints/></configuration><status/></cib>\nXML\n"
    )
}

#[test]
fn resources_that_are_configured_for_the_vendors_agents_are_not_handed_to_ours() {
    let refused = format!(
        r#"
        {}
        vendor
        before=$(file $A/pbx; file $A/awsebs)
        fails dpkg --force-depends --install $N
        cat /tmp/said
        is "$(file $A/pbx; file $A/awsebs)" "$before"
        is "$(diverted)" ""
        [ ! -e /usr/lib/portsip-ha ]
        "#,
        cib("ebs_volume", "")
    );
    let said = on_a_node(&refused);
    assert!(
        said.contains("vendors-volume") && said.contains("maintenance-mode=true"),
        "{said}"
    );
}

#[test]
fn in_maintenance_and_over_resources_of_ours_it_is_installed() {
    let maintenance = "<nvpair id=\"m\" name=\"maintenance-mode\" value=\"true\"/>";
    for cib in [cib("ebs_volume", maintenance), cib("volume_id", "")] {
        on_a_node(&format!(
            "{cib}\nvendor\ninstall $N\nours\nis \"$(diverted | wc -l)\" 2"
        ));
    }
}

#[test]
fn the_handler_is_not_taken_away_from_drbd() {
    let said = on_a_node(
        "install $N
         mkdir -p /etc/drbd.d
         echo 'fence-peer \"/usr/lib/portsip-ha/drbd-fence-peer\";' >/etc/drbd.d/pbxdata.res
         fails dpkg --remove portsip-ha
         cat /tmp/said
         [ -x /usr/lib/portsip-ha/drbd-fence-peer ]
         echo 'protocol C;' >/etc/drbd.d/pbxdata.res
         quietly dpkg --remove portsip-ha",
    );
    assert!(
        said.contains("nothing was removed") && said.contains("/etc/drbd.d/pbxdata.res"),
        "{said}"
    );
}

#[test]
fn the_agents_are_not_taken_away_from_a_cluster_that_calls_them() {
    let said = on_a_node(&format!(
        "install $N\n{}\n{CLUSTER_RUNS}\n{}",
        cib("volume_id", ""),
        "fails dpkg --remove portsip-ha\ncat /tmp/said\nours\n\
         sed -i 's|</cluster_property_set>|<nvpair id=\"m\" name=\"maintenance-mode\" value=\"true\"/>&|' \
             /var/lib/pacemaker/cib/cib.xml\n\
         quietly dpkg --remove portsip-ha"
    ));
    assert!(
        said.contains("nothing was removed") && said.contains("pcs cluster stop"),
        "{said}"
    );
}
