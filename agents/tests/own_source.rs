//! EC2 has moved the virtual address away, and the kernel still sends from it: packets to it do not
//! arrive here any more. Metadata and EC2 have to be asked all the same. Needs root.
#![allow(clippy::unwrap_used)]

mod call;
mod netns;

use std::io::{Read, Write};
use std::net::TcpListener;

use call::{Answer, Call, Metadata, NOBODY, binary};
use netns::Namespace;

const MAC: &str = "06:1f:3c:5e:7b:01";
const METADATA: &str = "http://169.254.169.254";
/// Where EC2 answers in these tests, by HTTP.
const EC2: &str = "172.31.16.1:8080";

/// A node whose kernel chooses the virtual address, and the machine that it runs on.
struct Site {
    node: Namespace,
    host: Namespace,
    metadata: Metadata,
    resource: String,
}

impl Site {
    fn new(name: &str) -> Self {
        let (node, host) = (Namespace::new(), Namespace::new());
        host.ip("link delete ens5");
        node.ip(&format!("link set ens5-peer netns {} name node", host.0));
        for command in [
            "link set node up",
            "address add 172.31.16.1/20 dev node",
            "address add 169.254.169.254/32 dev node",
        ] {
            host.ip(command);
        }
        node.ip("link set ens5 up");
        node.ip("address add 172.31.16.130/32 dev ens5");
        // As the vendor's agent edits it.
        node.ip("route replace default via 172.31.16.1 dev ens5 src 172.31.16.130");
        assert_eq!(node.source_towards("169.254.169.254"), "172.31.16.130");
        let listener = host.inside(async || TcpListener::bind("169.254.169.254:80").unwrap());
        let site = Self {
            metadata: Metadata::at(listener, &[]),
            node,
            host,
            resource: format!("test-{}-{name}", std::process::id()),
        };
        site.show("172.31.16.133\n172.31.16.130");
        site
    }

    fn show(&self, addresses: &str) {
        let under = format!("network/interfaces/macs/{MAC}");
        let (id, all) = (
            format!("{under}/interface-id"),
            format!("{under}/local-ipv4s"),
        );
        let items = [
            ("mac", MAC),
            (&id, "eni-of-this-instance"),
            (&all, addresses),
        ];
        self.metadata.set(&items);
    }

    /// Nothing that is sent to the virtual address arrives any more.
    fn move_away(&self) {
        self.host.ip("route add blackhole 172.31.16.130/32");
    }

    fn monitor(&self, ec2: &str) -> Answer {
        let words = ["ip", "netns", "exec", &self.node.0, binary("awsvip")];
        Call::through(&words, "monitor")
            .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA)
            .set("AWS_ENDPOINT_URL_EC2", ec2)
            .set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .set("AWS_SECRET_ACCESS_KEY", "secret")
            .set("OCF_RESOURCE_INSTANCE", &self.resource)
            .parameter("secondary_private_ip", "172.31.16.130")
            .parameter("region", "us-west-1")
            .parameter("CRM_meta_interval", "10000")
            .run()
    }

    /// EC2, which has the address on another interface.
    fn serve_ec2(&self) -> String {
        let listener = self.host.inside(async || TcpListener::bind(EC2).unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 8192]);
                let body = "<DescribeNetworkInterfacesResponse><networkInterfaceSet><item>\
                     <networkInterfaceId>eni-of-this-instance</networkInterfaceId>\
                     <privateIpAddressesSet><item><privateIpAddress>172.31.16.133</privateIpAddress>\
                     </item></privateIpAddressesSet>\
                     </item></networkInterfaceSet></DescribeNetworkInterfacesResponse>";
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        format!("http://{EC2}")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/run/portsip-ha/awsvip-{}.json", self.resource));
    }
}

#[test]
fn an_address_that_ec2_has_moved_away_is_missed_at_once() {
    let site = Site::new("moved");
    site.monitor(NOBODY).expect(0);
    site.move_away();
    site.show("172.31.16.133");
    let answer = site.monitor(&site.serve_ec2()).expect(7);
    assert!(
        answer.reason().contains("nor has EC2 it here"),
        "{answer:?}"
    );
    assert!(answer.took.as_secs() < 5, "{answer:?}");
}

#[test]
fn metadata_is_asked_from_the_nodes_own_address_where_the_virtual_one_gets_no_answer() {
    let site = Site::new("own");
    site.monitor(NOBODY).expect(0);
    site.move_away();
    // The metadata lags.
    site.monitor(NOBODY).expect(0);
}

#[test]
fn that_the_nodes_own_address_has_gone_is_told_from_silence() {
    let site = Site::new("gone");
    site.monitor(NOBODY).expect(0);
    site.move_away();
    site.node.ip("address delete 172.31.16.133/20 dev ens5");
    let answer = site.monitor(NOBODY).expect(190);
    let only = "asked from 172.31.16.130, the only address of ens5";
    assert!(answer.reason().contains(only), "{answer:?}");
    site.node.ip("route delete default");
    let answer = site.monitor(NOBODY).expect(190);
    let no_way = "no route to 169.254.169.254";
    assert!(answer.reason().contains(no_way), "{answer:?}");
}
