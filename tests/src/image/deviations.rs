//! All that the lab changes in a machine beyond what the distribution and our package install, each
//! with its reason. `tests/image.rs` fails when an image differs from a stock installation in
//! anything else. Files of one node alone (its name) are in `node/personal.rs`.

use crate::site::Site::{self, Ec2, Lan};

/// A change of the image.
#[derive(Debug)]
pub struct Deviation {
    /// The sites whose machines have it.
    sites: &'static [Site],
    /// Why a stock machine would not do.
    pub reason: &'static str,
    /// The paths that it changes, below the root directory; with `/**`, all that is below.
    pub paths: &'static [&'static str],
    /// Makes it: a shell script that runs in the image, with the lab's files in /lab.
    pub(super) script: &'static str,
}

/// The changes in the machines of a site, in the order in which they are made.
pub fn deviations(site: Site) -> impl Iterator<Item = &'static Deviation> {
    DEVIATIONS
        .iter()
        .filter(move |deviation| deviation.sites.contains(&site))
}

/// The files that a new user changes, and these.
macro_rules! with_accounts {
    ($($path:literal),*) => {
        &[
            "etc/passwd",
            "etc/passwd-",
            "etc/shadow",
            "etc/shadow-",
            "etc/group",
            "etc/group-",
            "etc/gshadow",
            "etc/gshadow-",
            "etc/subuid",
            "etc/subuid-",
            "etc/subgid",
            "etc/subgid-",
            $($path),*
        ]
    };
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        sites: &[Ec2],
        reason: "The lab's EC2 has EC2's real name and can't have a certificate by a public authority.",
        paths: &[
            "usr/local/share/ca-certificates/lab.crt",
            "etc/ssl/certs/ca-certificates.crt",
            "etc/ssl/certs/**",
        ],
        script: "
install -m 644 /lab/ca.pem /usr/local/share/ca-certificates/lab.crt
update-ca-certificates >/dev/null
",
    },
    Deviation {
        sites: &[Ec2],
        reason: "cloud-init makes this user at the first boot of an instance, with the key that the \
                 instance was launched with and sudo without a password (cloud-init, module Users and \
                 Groups; the cloud images' cloud.cfg).",
        paths: with_accounts![
            "etc/sudoers.d/90-cloud-init-users",
            "home/ubuntu",
            "home/ubuntu/**"
        ],
        script: "
useradd --create-home --shell /bin/bash --groups adm,sudo ubuntu
install -m 440 /dev/null /etc/sudoers.d/90-cloud-init-users
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
install -d -m 700 -o ubuntu -g ubuntu /home/ubuntu/.ssh
install -m 600 -o ubuntu -g ubuntu /lab/ssh_key.pub /home/ubuntu/.ssh/authorized_keys
",
    },
    Deviation {
        sites: &[Lan],
        reason: "SBD is in the image because the nodes reach no mirror. `docs/lan.md` has the operator install it \
                 after the watchdog. Enabled without one, it keeps Corosync from starting.",
        paths: &[
            "etc/systemd/system/corosync.service.requires/sbd.service",
            "etc/systemd/system/dlm.service.requires/sbd.service",
            "etc/systemd/system/pacemaker.service.requires/sbd.service",
        ],
        script: "
for service in corosync dlm pacemaker; do
    rm /etc/systemd/system/$service.service.requires/sbd.service
done
",
    },
    Deviation {
        sites: &[Ec2],
        reason: "Debian's cloud images come with this file, which is in no package: every interface is a \
                 client of DHCP (debian-cloud-images, config_space). systemd-networkd is the one that \
                 asks, on Ubuntu's cloud images too.",
        paths: &["etc/netplan/90-default.yaml"],
        script: "
cat >/etc/netplan/90-default.yaml <<'YAML'
network:
    version: 2
    ethernets:
        all-en:
            match:
                name: en*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
YAML
chmod 600 /etc/netplan/90-default.yaml
",
    },
    Deviation {
        sites: &[Lan],
        reason: "The installer makes this user, whose sudo asks for a password (Debian's installer, user-setup; \
                 Ubuntu's, identity). The administrator has put a key there.",
        paths: with_accounts!["home/pbx", "home/pbx/**"],
        script: "
useradd --create-home --shell /bin/bash --groups adm,sudo pbx
echo pbx:lab-pbx | chpasswd
install -d -m 700 -o pbx -g pbx /home/pbx/.ssh
install -m 600 -o pbx -g pbx /lab/ssh_key.pub /home/pbx/.ssh/authorized_keys
",
    },
    Deviation {
        sites: &[Ec2, Lan],
        reason: "The nodes reach no mirror. All that they need is installed before, and on Debian 12 Docker \
                 is Debian 13's, by the preferences in `recipe.rs`: one as new as Ubuntu 24.04's.",
        paths: &["etc/apt/sources.list"],
        script: "
: >/etc/apt/sources.list
",
    },
    Deviation {
        sites: &[Ec2, Lan],
        reason: "The journal of a node is the evidence of a test: it survives a power cut, and nothing in \
                 it is dropped.",
        paths: &[
            "etc/systemd/journald.conf.d",
            "etc/systemd/journald.conf.d/lab.conf",
            "var/log/journal",
        ],
        script: "
mkdir -p /var/log/journal /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/lab.conf <<'CONF'
[Journal]
SyncIntervalSec=1s
RateLimitBurst=0
CONF
",
    },
    Deviation {
        sites: &[Ec2, Lan],
        reason: "Each machine gets an id of its own at its first boot, as a cloud image's instances do.",
        paths: &["etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname"],
        script: "
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/hostname
",
    },
];
