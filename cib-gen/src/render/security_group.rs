//! `--format security-group`: a shell script with AWS CLI commands that add the inbound rules. The
//! vendor's guide opens ssh to everyone and uses example addresses for the VPC; here both are the
//! site's own.

use std::fmt::Write;

use ipnet::Ipv4Net;
use serde_json::json;

use super::not_here;
use super::shell::{opening, quoted};
use crate::Mistakes;
use crate::ec2_facts::WantedRule;
use crate::site::{AwsSite, Pbx, Place, Site};
use crate::vars::SipTransport;

const OPENING: &str = include_str!("security_group.sh");

/// Who may use a port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Anywhere,
    Vpc,
    /// `admin_cidr` of vars.yml.
    Admin,
}
use Source::{Admin, Anywhere, Vpc};

/// Protocol, first port, last port, source, purpose. ICMP has a type and a code instead of ports.
type Port = (&'static str, u16, u16, Source, &'static str);

/// The table of the vendor's guide "High Availability Installations on AWS", section "Inbound rule".
/// Its source for ssh is 0.0.0.0/0, and it calls 5063 `pbx sip/wss`, although the vendor's "Transport management" has
/// SIP over TCP there. The RTP range is that of the media server, which runs on the nodes
/// too and has more ports than the PBX itself (45000-65000).
const PORTS: &[Port] = &[
    ("udp", 35000, 65000, Anywhere, "RTP"),
    ("tcp", 0, 65535, Vpc, "all TCP in the VPC"),
    ("udp", 0, 65535, Vpc, "all UDP in the VPC"),
    ("tcp", 5432, 5432, Vpc, "db"),
    ("tcp", 22, 22, Admin, "ssh"),
    ("udp", 5060, 5060, Anywhere, "pbx sip/udp"),
    ("tcp", 5061, 5061, Anywhere, "pbx sip/tls"),
    ("tcp", 5063, 5063, Anywhere, "pbx sip/tcp"),
    ("tcp", 8882, 8900, Anywhere, "pbx services"),
    ("tcp", 10443, 10443, Anywhere, "sbc webrtc"),
    ("tcp", 80, 80, Anywhere, "http"),
    ("tcp", 443, 443, Anywhere, "https"),
    // Not in the vendor's table. EC2 does not track connections that a rule for everyone lets in, so it
    // drops the ICMP answer "too large" that belongs to them (EC2 User Guide, "Untracked connections").
    // Without this rule, large packets to a peer behind a tunnel vanish without an error.
    ("icmp", 3, 4, Anywhere, "path MTU discovery"),
];

/// The script, which adds each rule by a call of its own.
///
/// A rule that another rule contains is left out, since EC2 allows what any rule allows: the database's
/// 5432 is part of all TCP in the VPC, and so is ssh where vars.yml has no `admin_cidr` (operators then
/// log in through the VPC).
pub fn security_group(site: &Site) -> Result<String, Mistakes> {
    let (aws, rules) = rules(site)?;
    let region = aws.region.iter().map(|region| quoted(region.as_str()));
    let region = region.collect::<String>();
    let mut script = format!(
        "#!/bin/sh
{}{OPENING}main() {{
    group=${{1:-}} region={region}
    case $group in sg-*) ;; *) fail 'name the security group: ... | sh -s sg-...' ;; esac
    command -v aws >/dev/null || fail 'the AWS CLI is not installed here'
",
        opening(&[])
    );
    for rule in &rules {
        let (permission, what) = (quoted(&rule.permission()), quoted(rule.what));
        let _ = writeln!(script, "    rule {permission} \\\n        {what}");
    }
    script += "}\n\n# The last line calls main, so that a script that is cut off does nothing.\n\
               main \"$@\" </dev/null\n";
    Ok(script)
}

/// The same rules, for programs.
pub fn wanted_rules(site: &Site) -> Result<Vec<WantedRule>, Mistakes> {
    let (_, rules) = rules(site)?;
    let wanted = rules.iter().map(|rule| WantedRule {
        protocol: rule.protocol.to_owned(),
        ports: rule.ports,
        from: rule.source.to_string(),
        what: rule.what.to_owned(),
    });
    Ok(wanted.collect())
}

/// The rules, without those that another one contains.
fn rules(site: &Site) -> Result<(&AwsSite, Vec<Rule>), Mistakes> {
    let Place::Aws(aws) = &site.place else {
        return Err(not_here(
            "this is a LAN site, and a LAN site has no security group",
            "another --format; `security-group` is for a vars.yml of the AWS system",
        ));
    };
    let vpc = aws.vpc.or(aws.subnet).ok_or_else(|| {
        not_here(
            "the addresses of the VPC are not known, so the rules for the nodes alone cannot be \
             written",
            "vpc_cidr: (such as 172.31.0.0/16, from `aws ec2 describe-vpcs`); or leave out \
             --offline, to have EC2 asked for the subnet",
        )
    })?;
    let mut rules: Vec<Rule> = (PORTS.iter())
        .map(|port| Rule::of(port, aws, vpc))
        .collect();
    for port in moved(&site.pbx) {
        let rule = Rule::of(&port, aws, vpc);
        if !rules.iter().any(|other| other.allows(&rule)) {
            rules.push(rule);
        }
    }
    let contained = |rule: &Rule| rules.iter().any(|other| other.contains(rule));
    let superfluous: Vec<bool> = rules.iter().map(contained).collect();
    let mut superfluous = superfluous.into_iter();
    rules.retain(|_| superfluous.next() == Some(false));
    Ok((aws, rules))
}

/// The ports of vars.yml, which the vendor's table has unless vars.yml moves them.
fn moved(pbx: &Pbx) -> Vec<Port> {
    let sip = match pbx.sip_transport {
        SipTransport::Udp => Some(("udp", "pbx sip/udp (sip_port of vars.yml)")),
        SipTransport::Tcp => Some(("tcp", "pbx sip/tcp (sip_port of vars.yml)")),
        SipTransport::Tls => Some(("tcp", "pbx sip/tls (sip_port of vars.yml)")),
        SipTransport::None => None,
    };
    let sip = sip.zip(pbx.sip_port);
    let sip = sip.map(|((protocol, what), port)| (protocol, port, port, Anywhere, what));
    let (port, what) = (pbx.web_port, "web portal (web_port of vars.yml)");
    let web = ("tcp", port, port, Anywhere, what);
    sip.into_iter().chain([web]).collect()
}

struct Rule {
    protocol: &'static str,
    /// The first and the last.
    ports: (u16, u16),
    source: Ipv4Net,
    what: &'static str,
}

impl Rule {
    fn of(&(protocol, first, last, source, what): &Port, aws: &AwsSite, vpc: Ipv4Net) -> Self {
        let source = match source {
            Anywhere => Ipv4Net::default(),
            Vpc => vpc,
            Admin => aws.admin.unwrap_or(vpc),
        };
        let (source, ports) = (source.trunc(), (first, last));
        Rule {
            protocol,
            ports,
            source,
            what,
        }
    }

    /// Whether this rule allows all that the other allows, and more.
    fn contains(&self, other: &Rule) -> bool {
        (self.ports, self.source) != (other.ports, other.source) && self.allows(other)
    }

    /// Whether this rule allows all that the other allows. ICMP has no ranges.
    fn allows(&self, other: &Rule) -> bool {
        self.protocol == other.protocol
            && self.protocol != "icmp"
            && self.ports.0 <= other.ports.0
            && self.ports.1 >= other.ports.1
            && self.source.contains(&other.source)
    }

    /// A list with one `IpPermission` of the EC2 API.
    fn permission(&self) -> String {
        let range = json!({ "CidrIp": self.source.to_string(), "Description": self.what });
        let permission = json!([{
            "IpProtocol": self.protocol,
            "FromPort": self.ports.0,
            "ToPort": self.ports.1,
            "IpRanges": [range],
        }]);
        permission.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;

    use super::super::sites::{aws, lan};
    use super::*;

    /// Protocol, first port, last port, source.
    fn rules(more: &str) -> Vec<(String, u64, u64, String)> {
        let text = security_group(&aws(more)).unwrap();
        let permissions = text.lines().filter_map(|line| {
            let word = line.trim().strip_prefix("rule '")?.strip_suffix("' \\")?;
            let list: Vec<serde_json::Value> = serde_json::from_str(word).unwrap();
            Some(list)
        });
        let list: Vec<serde_json::Value> = permissions.flatten().collect();
        let of = |rule: &serde_json::Value| {
            let port = |name: &str| rule[name].as_u64().unwrap();
            let source = rule["IpRanges"][0]["CidrIp"].as_str().unwrap().to_owned();
            let protocol = rule["IpProtocol"].as_str().unwrap().to_owned();
            (protocol, port("FromPort"), port("ToPort"), source)
        };
        list.iter().map(of).collect()
    }

    /// Whether a packet from an address gets in.
    fn open(rules: &[(String, u64, u64, String)], protocol: &str, port: u64, from: &str) -> bool {
        let from: std::net::Ipv4Addr = from.parse().unwrap();
        rules.iter().any(|(p, first, last, source)| {
            let source: Ipv4Net = source.parse().unwrap();
            p == protocol && (*first..=*last).contains(&port) && source.contains(&from)
        })
    }

    #[test]
    fn rules_of_the_vendors_file() {
        let site = aws("vpc_cidr: 172.31.0.0/16\nadmin_cidr: 203.0.113.0/24\n");
        assert_snapshot!(security_group(&site).unwrap());
    }

    #[test]
    fn everyone_reaches_the_pbx_and_only_the_vpc_the_rest() {
        let rules = rules("vpc_cidr: 172.31.0.0/16\n");
        let (everyone, inside) = ("198.51.100.7", "172.31.99.1");
        for (protocol, port) in [
            ("udp", 5060),
            ("tcp", 5061),
            ("tcp", 5063),
            ("tcp", 10443),
            ("tcp", 80),
            ("tcp", 443),
            ("tcp", 8882),
            ("tcp", 8887),
            ("tcp", 8900),
            ("udp", 35000),
            ("udp", 65000),
        ] {
            assert!(open(&rules, protocol, port, everyone), "{protocol} {port}");
        }
        // pcsd, Corosync, the database, ssh, the Docker Engine, the NATS of the PBX.
        for (protocol, port) in [
            ("tcp", 2224),
            ("udp", 5405),
            ("tcp", 5432),
            ("tcp", 22),
            ("tcp", 2375),
            ("tcp", 4222),
            ("tcp", 5060),
            ("tcp", 35000),
            ("udp", 34999),
            ("udp", 65001),
        ] {
            assert!(!open(&rules, protocol, port, everyone), "{protocol} {port}");
            assert!(open(&rules, protocol, port, inside), "{protocol} {port}");
        }
    }

    #[test]
    fn everyone_may_say_that_a_packet_is_too_large() {
        // Type 3 is "destination unreachable", its code 4 "fragmentation needed" (RFC 792).
        let rules = rules("vpc_cidr: 172.31.0.0/16\n");
        let icmp: Vec<_> = rules.iter().filter(|rule| rule.0 == "icmp").collect();
        assert_eq!(icmp, [&("icmp".to_owned(), 3, 4, "0.0.0.0/0".to_owned())]);
    }

    #[test]
    fn ssh_is_for_whom_vars_yml_names() {
        let rules = rules("vpc_cidr: 172.31.0.0/16\nadmin_cidr: 203.0.113.0/24\n");
        assert!(open(&rules, "tcp", 22, "203.0.113.9"));
        assert!(!open(&rules, "tcp", 23, "203.0.113.9"));
        assert!(!open(&rules, "tcp", 22, "198.51.100.7"));
    }

    #[test]
    fn a_port_that_vars_yml_moves_is_opened_beside_the_vendors() {
        let vpc = "vpc_cidr: 172.31.0.0/16\n";
        let vendors = rules(vpc);
        let everyone = "198.51.100.7";
        for (more, protocol, port) in [
            ("sip_port: 5070\n", "udp", 5070),
            ("sip_transport: tcp\nsip_port: 5070\n", "tcp", 5070),
            ("sip_transport: tls\nsip_port: 5071\n", "tcp", 5071),
            ("web_port: 9443\n", "tcp", 9443),
        ] {
            let moved = rules(&format!("{vpc}{more}"));
            assert!(open(&moved, protocol, port, everyone), "{more}");
            assert!(open(&moved, "udp", 5060, everyone), "{more}");
            assert_eq!(moved.len(), vendors.len() + 1, "{more}");
        }
        // The vendor's rules open these already.
        for more in [
            "sip_transport: tcp\n",
            "sip_transport: none\n",
            "web_port: 8899\n",
        ] {
            assert_eq!(rules(&format!("{vpc}{more}")), vendors, "{more}");
        }
    }

    #[test]
    fn no_rule_is_part_of_another() {
        for more in [
            "vpc_cidr: 172.31.0.0/16\n",
            "vpc_cidr: 172.31.0.0/16\nadmin_cidr: 203.0.113.0/24\n",
            "vpc_cidr: 172.31.0.0/16\nadmin_cidr: 172.31.5.0/24\n",
        ] {
            let rules = rules(more);
            for (n, a) in rules.iter().enumerate() {
                for b in rules.iter().skip(n + 1) {
                    let (inner, outer) = if a.2 - a.1 < b.2 - b.1 {
                        (a, b)
                    } else {
                        (b, a)
                    };
                    let source: Ipv4Net = outer.3.parse().unwrap();
                    let within = inner.0 == outer.0
                        && (outer.1..=outer.2).contains(&inner.1)
                        && (outer.1..=outer.2).contains(&inner.2)
                        && source.contains(&inner.3.parse::<Ipv4Net>().unwrap());
                    assert!(!within, "{inner:?} is part of {outer:?}");
                }
            }
        }
    }

    #[test]
    fn the_subnet_stands_for_a_vpc_that_is_not_named() {
        let rules = rules("subnet_cidr: 172.31.16.0/20\n");
        assert!(open(&rules, "tcp", 5432, "172.31.16.1"));
        assert!(!open(&rules, "tcp", 5432, "172.31.32.1"));
    }

    #[test]
    fn without_the_vpcs_addresses_they_are_asked_for() {
        let refused = security_group(&aws("")).unwrap_err().to_string();
        assert!(refused.starts_with("error[E25]: "), "{refused}");
        assert!(refused.contains("vpc_cidr"), "{refused}");
    }

    #[test]
    fn a_lan_has_no_security_group() {
        let refused = security_group(&lan("")).unwrap_err().to_string();
        assert!(refused.starts_with("error[E25]: "), "{refused}");
    }

    #[test]
    fn descriptions_are_of_characters_that_ec2_allows() {
        // API reference, IpRange: "up to 255 characters [...] a-z, A-Z, 0-9, spaces, and
        // ._-:/()#,@[]+=&;{}!$*".
        let transports = ["udp", "tcp", "tls"];
        let ports = transports.map(|word| moved(&aws(&format!("sip_transport: {word}\n")).pbx));
        for (.., what) in PORTS.iter().chain(ports.iter().flatten()) {
            let allowed =
                |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
            assert!(!what.is_empty() && what.len() <= 255, "{what}");
            assert!(what.chars().all(allowed), "{what}");
        }
    }
}
