//! Extended servers that are EC2 instances: an instance id stands for its addresses, and what EC2 says of security
//! groups and public addresses is compared with what the server needs. Nothing is created there.

use std::ops::RangeInclusive;
use std::time::Duration;

use cib_gen::ec2_facts::{InboundRule, ServerAnswer, ServerAnswers};
use ipnet::Ipv4Net;

use super::kind::Kind;
use super::request::{At, Request};
use super::server::{Server, Wanted, distinct, refused};
use crate::check::covers;
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::{Answer, Command};

/// What media servers exchange with telephones, over UDP (`cib-gen --format security-group`).
const MEDIA: (i32, i32) = (35000, 65000);

/// Has cib-gen ask EC2 on a node, with the node's vars.yml and credentials.
pub fn ask_ec2(requests: &[Request]) -> Command {
    let servers: Vec<String> = requests.iter().map(|it| it.at.to_string()).collect();
    let script = format!(
        "env -u HOME cib-gen ec2-servers /etc/portsip/vars.yml --servers {}",
        quoted(&servers.join(","))
    );
    let mut command = Command::look("asking EC2 on the node", script);
    command.limit = Duration::from_secs(20);
    command
}

/// What cib-gen answered. None: this is no site on EC2.
///
/// # Errors
/// It could not ask.
pub fn answers(answer: &Answer) -> Result<Option<ServerAnswers>, String> {
    match answer.is_success() {
        false => Err(answer.said()),
        true => serde_json::from_str(&answer.stdout)
            .map_err(|error| format!("what cib-gen printed cannot be used: {error}")),
    }
}

/// The servers with their addresses.
///
/// # Errors
/// EC2 has no such instance, it has no address, or two requests mean the same machine.
pub fn resolved(
    requests: Vec<Request>,
    answers: Option<&ServerAnswers>,
) -> Result<Vec<Wanted>, Failure> {
    let mut mistakes = Vec::new();
    let mut wanted = Vec::new();
    for request in requests {
        let Request {
            place,
            kind,
            name,
            at,
            mut public_address,
        } = request;
        let address = match &at {
            At::Address(address) => Ok(*address),
            At::Instance(id) => match (answers, found(answers, id)) {
                (None, _) => Err(format!(
                    "{id}: an instance is of EC2, and this cluster is not"
                )),
                (Some(answers), None) => {
                    Err(format!("EC2 in {} has no instance {id}", answers.region))
                }
                (_, Some(it)) => {
                    // Another public address than an Elastic IP is lost with the next stop.
                    let lasting = it.public.filter(|_| it.elastic && kind == Kind::Media);
                    public_address = public_address.or(lasting);
                    it.address.ok_or_else(|| {
                        format!("{id} has no private address: EC2 calls it {}", it.state)
                    })
                }
            },
        };
        match address {
            Err(mistake) => mistakes.push(format!("{place}: {mistake}")),
            Ok(address) => wanted.push(Wanted {
                place,
                server: Server {
                    kind,
                    name,
                    address,
                    public_address,
                },
            }),
        }
    }
    refused(mistakes)?;
    distinct(&wanted)?;
    Ok(wanted)
}

fn found<'a>(answers: Option<&'a ServerAnswers>, asked: &str) -> Option<&'a ServerAnswer> {
    let mut servers = answers?.servers.iter();
    servers.find(|(name, _)| name == asked)?.1.as_ref()
}

/// What EC2 says against a server. `asked` is the address or the id that it was asked for by.
pub fn ec2_warnings(server: &Server, asked: &str, answers: &ServerAnswers) -> Vec<String> {
    let Some(it) = found(Some(answers), asked) else {
        return vec![format!(
            "EC2 in {} has no instance with the address {} in the VPC of the nodes",
            answers.region, server.address
        )];
    };
    let mut said = Vec::new();
    if it.state != "running" {
        said.push(format!("EC2 calls {} {}", it.id, it.state));
    }
    said.extend(public_address(server, it));
    said.extend(ports(server, it, answers));
    said
}

/// Telephones get the public address from the portal, and it has to stay.
fn public_address(server: &Server, it: &ServerAnswer) -> Option<String> {
    let id = &it.id;
    let text = match (server.public_address, it.public) {
        (None, Some(public)) if server.kind == Kind::Media && it.elastic => format!(
            "{id} has the Elastic IP {public}\n  help: -A {public}   if telephones on the Internet use it"
        ),
        (None, _) => return None,
        (Some(wanted), Some(public)) if wanted == public && it.elastic => return None,
        (Some(wanted), Some(public)) if wanted == public => format!(
            "{wanted} is an address that EC2 lends {id}, and takes back with the next stop\n  help: associate an \
             Elastic IP with {id}, and name that"
        ),
        (Some(wanted), Some(public)) => {
            format!("{wanted} does not lead to {id}: EC2 has {public} there")
        }
        (Some(wanted), None) => format!(
            "{wanted} does not lead to {id}: it has no public address\n  help: aws ec2 associate-address --instance-id \
             {id} --allocation-id ALLOCATION"
        ),
    };
    Some(text)
}

/// The PBX has to reach the server's own ports, and telephones the media.
fn ports(server: &Server, it: &ServerAnswer, answers: &ServerAnswers) -> Vec<String> {
    let rules = match &answers.rules {
        Err(refusal) => {
            return vec![format!(
                "its security groups were not looked at: {}",
                refusal.said
            )];
        }
        Ok(rules) => rules.iter().filter(|rule| it.groups.contains(&rule.group)),
    };
    let rules: Vec<&InboundRule> = rules.collect();
    if it.groups.is_empty() {
        return Vec::new();
    }
    let own = server.kind.ports();
    let closed = ["tcp", "udp"].into_iter().filter(|protocol| {
        let lets_in = |node: &ServerAnswer| lets_in(&rules, protocol, &own, node);
        !answers.nodes.iter().all(lets_in)
    });
    let closed: Vec<&str> = closed.collect();
    let mut said = Vec::new();
    let (groups, region) = (it.groups.join(", "), &answers.region);
    let group = &it.groups[0];
    let ingress =
        format!("aws ec2 authorize-security-group-ingress --region {region} --group-id {group}");
    if !closed.is_empty() {
        let source = answers.nodes.iter().find_map(|node| node.groups.first());
        let commands = closed.iter().map(|protocol| {
            format!(
                "{ingress} --protocol {protocol} --port {}-{} --source-group {}",
                own.start(),
                own.end(),
                source.map_or("GROUP_OF_THE_NODES", String::as_str)
            )
        });
        said.push(format!(
            "{groups} does not let the nodes in on {}-{}/{} by one rule{}\n  help: {}",
            own.start(),
            own.end(),
            closed.join(" and "),
            match rules.iter().any(|rule| rule.from_others) {
                true => " (what is in a prefix list was not looked at)",
                false => "",
            },
            commands.collect::<Vec<_>>().join("\n        ")
        ));
    }
    let anywhere = Ipv4Net::default();
    let media = |rule: &&&InboundRule| covers(rule, "udp", MEDIA) && is_from(rule, anywhere);
    if server.kind == Kind::Media && !rules.iter().any(|rule| media(&rule)) {
        let (first, last) = MEDIA;
        said.push(format!(
            "{groups} does not let in RTP, {first}-{last}/udp, from everywhere\n  help: {ingress} --protocol udp --port \
             {first}-{last} --cidr 0.0.0.0/0   where telephones on the Internet use the server"
        ));
    }
    said
}

fn lets_in(
    rules: &[&InboundRule],
    protocol: &str,
    ports: &RangeInclusive<u16>,
    node: &ServerAnswer,
) -> bool {
    let ports = (i32::from(*ports.start()), i32::from(*ports.end()));
    let address = node.address.map(Ipv4Net::from);
    rules.iter().any(|rule| {
        let of_group = rule.from_groups.iter().any(|it| node.groups.contains(it));
        let of_address = address.is_none_or(|address| is_from(rule, address));
        covers(rule, protocol, ports) && (of_group || of_address)
    })
}

fn is_from(rule: &InboundRule, source: Ipv4Net) -> bool {
    let mut nets = rule
        .from
        .iter()
        .filter_map(|text| text.parse::<Ipv4Net>().ok());
    nets.any(|net| net.contains(&source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv4Addr;

    use super::super::server::tests::server;
    use super::*;

    const ID: &str = "i-0c41d7a6be35f9021";
    const ADDRESS: &str = "172.31.16.141";
    const PUBLIC: Ipv4Addr = Ipv4Addr::new(54, 183, 20, 141);

    fn instance(id: &str, address: &str, group: &str) -> ServerAnswer {
        ServerAnswer {
            id: id.to_owned(),
            state: "running".to_owned(),
            address: address.parse().ok(),
            public: Some(PUBLIC),
            elastic: true,
            vpc: None,
            groups: vec![group.to_owned()],
        }
    }

    fn rule(protocol: &str, ports: (i32, i32), from: &str, groups: &[&str]) -> InboundRule {
        InboundRule {
            group: "sg-servers".to_owned(),
            protocol: protocol.to_owned(),
            ports: Some(ports),
            from: vec![from.to_owned()],
            from_groups: groups.iter().map(|&it| it.to_owned()).collect(),
            from_others: false,
        }
    }

    fn all(asked: &str) -> ServerAnswers {
        ServerAnswers {
            region: "us-west-1".to_owned(),
            nodes: vec![instance("i-0c41d7a6be35f9011", "172.31.16.133", "sg-nodes")],
            servers: vec![(asked.to_owned(), Some(instance(ID, ADDRESS, "sg-servers")))],
            rules: Ok(vec![
                rule("tcp", (8840, 8845), "10.0.0.0/8", &["sg-nodes"]),
                rule("udp", (8800, 8900), "172.31.0.0/16", &[]),
                rule("udp", (35000, 65000), "0.0.0.0/0", &[]),
            ]),
        }
    }

    fn said(server: &Server, answers: &ServerAnswers) -> Vec<String> {
        ec2_warnings(server, ADDRESS, answers)
    }

    fn request(at: &str) -> Request {
        Request {
            place: "the command line".to_owned(),
            kind: Kind::Media,
            name: "media-1".parse().unwrap(),
            at: at.parse().unwrap(),
            public_address: None,
        }
    }

    #[test]
    fn an_instance_id_stands_for_its_addresses() {
        let wanted = resolved(vec![request(ID)], Some(&all(ID))).unwrap();
        let server = &wanted[0].server;
        assert_eq!(server.address.to_string(), ADDRESS);
        assert_eq!(server.public_address, Some(PUBLIC));
        let twice = resolved(vec![request(ID), request(ADDRESS)], Some(&all(ID)));
        assert!(twice.unwrap_err().text.contains("has the address"));
    }

    #[test]
    fn an_instance_that_is_none_is_refused() {
        let mut answers = all(ID);
        answers.servers[0].1 = None;
        let unknown = resolved(vec![request(ID)], Some(&answers)).unwrap_err();
        assert!(
            unknown.text.contains("EC2 in us-west-1 has no instance"),
            "{unknown}"
        );
        let lan = resolved(vec![request(ID)], None).unwrap_err();
        assert!(lan.text.contains("this cluster is not"), "{lan}");
    }

    #[test]
    fn ports_and_addresses_that_are_missing_are_named_with_the_command() {
        let mut media = server(Kind::Media, "media-1", ADDRESS);
        media.public_address = Some(PUBLIC);
        let mut answers = all(ADDRESS);
        assert_eq!(said(&media, &answers), Vec::<String>::new());

        answers.rules.as_mut().unwrap().truncate(1);
        let closed = said(&media, &answers);
        assert_eq!(closed.len(), 2, "{closed:?}");
        assert!(closed[0].contains("8840-8845/udp"), "{closed:?}");
        assert!(closed[0].contains("--source-group sg-nodes"), "{closed:?}");
        assert!(closed[1].contains("RTP"), "{closed:?}");

        let of_server = answers.servers[0].1.as_mut().unwrap();
        of_server.elastic = false;
        assert!(said(&media, &answers)[0].contains("lends"));
        answers.servers[0].1.as_mut().unwrap().public = None;
        assert!(said(&media, &answers)[0].contains("has no public address"));

        let queue = server(Kind::Queue, "queue-1", ADDRESS);
        assert!(said(&queue, &answers)[0].contains("8916-8921/tcp and udp"));
    }
}
