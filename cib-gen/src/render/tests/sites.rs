//! Sites for the tests of renderings: the vendor's file for AWS, and a LAN. `more` is added to
//! the end of the file.

#![allow(clippy::unwrap_used)]

use crate::nodes::Known;
use crate::site::{Place, Site};
use crate::{Mistakes, Vars};

const VENDOR: &str = include_str!("../../../tests/vars-vendor.yml");

const LAN: &str = "\
vip: 192.168.1.130
pbx_image: portsip/pbx:22
pbx_datapath_disk: /dev/sdb
pbx_datapath_size: 36G
";

fn resolved(text: &str, known: &Known) -> Site {
    let site: Result<Site, Mistakes> =
        Vars::parse("vars.yml", text).and_then(|vars| vars.resolve(known));
    site.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The vendor's AWS file, with the names that EC2 gives such instances.
pub(super) fn aws(more: &str) -> Site {
    aws_of(3, more)
}

/// The same with more nodes.
pub(super) fn aws_of(count: usize, more: &str) -> Site {
    let given = (0..count).map(|n| {
        let last = 133 + n;
        format!("ip-172-31-16-{last}=172.31.16.{last}")
            .parse()
            .unwrap()
    });
    let known = Known {
        given: given.collect(),
        ..Known::default()
    };
    let instances: String = (4..=count)
        .map(|n| format!("pbx0{n}_instance_id: i-0{n}123456789abcde{n}\n"))
        .collect();
    resolved(&format!("{VENDOR}{instances}{more}"), &known)
}

/// The same site, with what only EC2 knows.
pub(super) fn asked(site: &Site) -> Site {
    let mut site = site.clone();
    let Place::Aws(aws) = &mut site.place else {
        panic!("this is no AWS site");
    };
    aws.account = Some("123456789012".parse().unwrap());
    aws.interfaces = (1..=site.nodes.len())
        .map(|n| format!("eni-0{n}23456789abcdef0").parse().unwrap())
        .collect();
    site
}

/// Three machines of a LAN.
pub(super) fn lan(more: &str) -> Site {
    lan_of(3, more)
}

/// The same with more nodes.
pub(super) fn lan_of(count: usize, more: &str) -> Site {
    let nodes: String = (1..=count)
        .map(|n| {
            format!(
                "pbx0{n}_hostname: pbx0{n}\npbx0{n}_private_ip: 192.168.1.{}\n",
                130 + n
            )
        })
        .collect();
    resolved(&format!("{nodes}{LAN}{more}"), &Known::default())
}
