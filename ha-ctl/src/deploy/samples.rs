//! Sites for tests.

use cib_gen::vars::DrbdVersion;

use super::site::{Aws, Drbd, Lan, Site, System};

/// The vendor's site on AWS.
pub(crate) fn aws() -> Site {
    Site {
        nodes: ["133", "134", "135"]
            .map(|last| (format!("ip-172-31-16-{last}"), format!("172.31.16.{last}")))
            .to_vec(),
        cluster: "ha_cluster".to_owned(),
        image: "portsip/pbx:22".to_owned(),
        data_path: "/var/lib/portsip".to_owned(),
        virtual_address: "172.31.16.130".to_owned(),
        web_port: 8887,
        system: System::Aws(Aws {
            elastic_ip: "54.151.30.9".to_owned(),
            region: "us-west-1".to_owned(),
            device: "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0e06e1e9da3c49b67"
                .to_owned(),
            volume: vec![
                ("volume_id".to_owned(), "vol-0e06e1e9da3c49b67".to_owned()),
                ("region".to_owned(), "us-west-1".to_owned()),
            ],
        }),
    }
}

/// The vendor's site on a LAN, with DRBD 8.4: pbx03 only votes.
pub(crate) fn lan() -> Site {
    Site {
        nodes: ["1", "2", "3"]
            .map(|number| (format!("pbx0{number}"), format!("192.168.1.13{number}")))
            .to_vec(),
        cluster: "ha_cluster".to_owned(),
        image: "portsip/pbx:22".to_owned(),
        data_path: "/var/lib/portsip".to_owned(),
        virtual_address: "192.168.1.130".to_owned(),
        web_port: 8887,
        system: System::Lan(Lan {
            watchdog: Some("/dev/watchdog".to_owned()),
            drbd: Drbd {
                version: DrbdVersion::EightFour,
                name: "pbxdata".to_owned(),
                device: "/dev/drbd1".to_owned(),
                disk: "/dev/sdb".to_owned(),
                volume_group: "pbxvg".to_owned(),
                logical_volume: "pbxlv".to_owned(),
                size: "36G".to_owned(),
                holders: ["pbx01", "pbx02"].map(str::to_owned).to_vec(),
            },
        }),
    }
}
