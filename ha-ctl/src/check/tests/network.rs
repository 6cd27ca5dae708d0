//! The checks of what stands between the nodes, and of what only a LAN has.

use cib_gen::vars::DrbdVersion;

use super::*;

const ADDRESSES: [&str; 3] = ["172.31.16.133", "172.31.16.134", "172.31.16.135"];

/// Three nodes that have listened on a port, and heard the others.
fn listened(port: &str) -> Vec<Inspection> {
    let nodes = names().into_iter().zip(ADDRESSES);
    nodes
        .map(|(name, own)| {
            let mut it = node(&name, &good());
            let others = ADDRESSES.iter().filter(|address| **address != own);
            let heard: String = others.map(|it| format!("heard {port} {it}\n")).collect();
            let printed = format!("free {port}\nlistened {port}\n{heard}listened-for 3.5\n");
            it.add_heard(&printed, 1000.0);
            it
        })
        .collect()
}

fn found_on(nodes: &[Inspection]) -> Vec<Finding> {
    let site = Site {
        machines: &machines(),
        data_disk: Some("/dev/sdb"),
        ..Site::default()
    };
    found_in(nodes, &site)
}

#[test]
fn a_packet_that_does_not_arrive_is_named_with_both_nodes() {
    for (port, name, text) in [
        ("udp/5405", "network.corosync", "port 5405/udp"),
        ("tcp/7789", "network.drbd", "port 7789/tcp"),
        ("tcp/2224", "network.pcsd", "port 2224/tcp"),
    ] {
        let mut nodes = listened(port);
        assert_eq!(found_on(&nodes), []);
        let deaf = format!("{}listened {port}\nheard {port} 172.31.16.134\n", good());
        nodes[2] = node(&names()[2], &deaf);
        nodes[2].add_heard("listened-for 6.0\n", 1001.0);
        let found = found_on(&nodes);
        let [finding] = &found[..] else {
            panic!("{found:#?}")
        };
        assert_eq!((finding.name, finding.level), (name, Level::Error));
        assert_eq!(finding.node.as_deref(), Some("ip-172-31-16-135"));
        let wanted = format!("nothing of ip-172-31-16-133 arrives on {text}");
        assert_eq!(finding.found, wanted);
        // With ufw, the command is known.
        nodes[2].add("ufw active\n");
        let found = found_on(&nodes);
        let mut commands = found.iter().filter_map(|it| it.command.as_deref());
        let command = "sudo ufw allow from 172.31.16.133   (there)";
        assert!(commands.any(|it| it == command), "{found:#?}");
    }
}

#[test]
fn nodes_that_did_not_listen_at_the_same_time_say_nothing() {
    let port = "udp/5405";
    let mut nodes = listened(port);
    nodes[2] = node(&names()[2], &format!("{}listened {port}\n", good()));
    nodes[2].add_heard("listened-for 6.0\n", 1005.0);
    let found = found_on(&nodes);
    assert_eq!(found.len(), 2, "{found:#?}");
    for it in found {
        assert_eq!((it.name, it.level), ("network.corosync", Level::Note));
        assert!(it.found.contains("too busy"), "{it:?}");
    }
}

#[test]
fn the_matrix_has_every_pair_of_nodes_once_for_each_port() {
    let without = good()
        .replace("\nlink ", "\nother ")
        .replace("pcsd 172", "other 172");
    let mut nodes = listened("udp/5405");
    for (n, it) in nodes.iter_mut().enumerate() {
        let heard: String = ADDRESSES
            .map(|it| format!("heard udp/5405 {it}\n"))
            .concat();
        let heard = if n == 2 { "" } else { &heard };
        *it = node(&it.node, &format!("{without}listened udp/5405\n{heard}"));
        it.add_heard("listened-for 6.0\n", 1000.0);
    }
    let site_machines = machines();
    let site = Site {
        machines: &site_machines,
        ..Site::default()
    };
    let found = passages(&nodes, &site);
    assert_eq!(found.len(), 6, "{found:#?}");
    let closed: Vec<_> = found.iter().filter(|it| !it.open).collect();
    assert!(closed.iter().all(|it| it.to == names()[2]), "{closed:#?}");
    assert_eq!(closed.len(), 2, "{closed:#?}");
    // A running cluster says it itself: each node of two links, and of pcsd of two nodes.
    let running: Vec<_> = names().iter().map(|name| node(name, &good())).collect();
    let found = passages(&running, &site);
    assert_eq!(found.len(), 12, "{found:#?}");
    assert!(found.iter().all(|it| it.open));
}

#[test]
fn only_ports_that_are_free_are_listened_on_and_sent_to() {
    let mut nodes = listened("udp/5405");
    let site_machines = machines();
    let site = Site {
        machines: &site_machines,
        data_disk: Some("/dev/sdb"),
        drbd: Some(DrbdVersion::EightFour),
        ..Site::default()
    };
    nodes[0].add("free tcp/7789\n");
    nodes[2].add("free tcp/7789\n");
    let script = |n: usize, nodes: &[Inspection]| probe(&nodes[n], nodes, &site).unwrap().script;
    let first = script(0, &nodes);
    let words = "python3 - '172.31.16.133' 'udp/5405 tcp/7789' 'udp/5405/172.31.16.134 udp/5405/172.31.16.135'";
    assert!(first.contains(words), "{first}");
    // With DRBD 8.4 the third node has none.
    assert!(!script(2, &nodes).contains("'udp/5405 tcp/7789'"));
    // Corosync runs there.
    nodes[1] = node(&names()[1], &good());
    assert!(!script(0, &nodes).contains("172.31.16.134"));
    assert!(probe(&nodes[1], &nodes, &site).is_none());
}

#[test]
fn the_listener_hears_its_neighbour() {
    let free = || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let (udp, tcp) = (free(), free());
    let start = |own: &str, other: &str| {
        let mut python = std::process::Command::new("python3");
        python.args(["-c", include_str!("../probe.py"), own]);
        python.arg(format!("udp/{udp} tcp/{tcp}"));
        python.arg(format!("udp/{udp}/{other} tcp/{tcp}/{other}"));
        python.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let both = [
        (start("127.0.0.2", "127.0.0.3"), "127.0.0.3"),
        (start("127.0.0.3", "127.0.0.2"), "127.0.0.2"),
    ];
    for (process, other) in both {
        let output = process.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        for port in [format!("udp/{udp}"), format!("tcp/{tcp}")] {
            let heard = format!("heard {port} {other}\n");
            assert!(printed.contains(&heard), "{printed}");
        }
    }
}

#[test]
fn a_proxy_must_leave_out_the_nodes() {
    let proxied = |lines: &str| {
        let found = found(&(good() + lines));
        found.into_iter().next()
    };
    let proxy = "proxy-env services https_proxy http://10.0.0.1:3128\n";
    let finding = proxied(proxy).unwrap();
    assert_eq!(
        (finding.name, finding.level),
        ("network.proxy", Level::Warning)
    );
    let lacks =
        "no_proxy lacks ip-172-31-16-133, ip-172-31-16-134, ip-172-31-16-135, 172.31.16.133";
    assert!(finding.found.contains(lacks), "{finding:?}");
    let login = proxied("proxy-env login HTTPS_PROXY http://10.0.0.1:3128\n").unwrap();
    assert!(login.command.unwrap().contains("/etc/environment"));
    let all = [&names()[..], &ADDRESSES.map(str::to_owned)]
        .concat()
        .join(",");
    assert_eq!(
        proxied(&format!("{proxy}proxy-env services NO_PROXY {all}\n")),
        None
    );
    assert_eq!(
        proxied(&format!("{proxy}proxy-env services no_proxy *\n")),
        None
    );
}

#[test]
fn a_registry_that_does_not_answer_is_named_only_where_the_image_is_missing() {
    let closed = "registry closed registry-1.docker.io 443\n";
    let named = |lines: &str| {
        let found = found(&(good() + lines));
        let [finding] = &found[..] else {
            panic!("{found:#?}")
        };
        assert_eq!(
            (finding.name, finding.level),
            ("docker.registry", Level::Warning)
        );
        format!("{} {}", finding.found, finding.command.as_deref().unwrap())
    };
    assert!(named(closed).contains("registry-1.docker.io does not answer on port 443"));
    let apt = named(&format!("{closed}apt-proxy http://10.0.0.1:3128\n"));
    assert!(apt.contains("docker.service.d"), "{apt}");
    let docker = named(&format!("{closed}docker-proxy http://10.0.0.1:3128\n"));
    assert!(
        docker.contains("Docker pulls through http://10.0.0.1:3128"),
        "{docker}"
    );
    for (image, registry) in [
        ("portsip/pbx:22", "registry-1.docker.io 443"),
        ("postgres", "registry-1.docker.io 443"),
        ("docker.io/portsip/pbx:22", "registry-1.docker.io 443"),
        ("registry.example.com/pbx:22", "registry.example.com 443"),
        ("10.0.0.5:5000/portsip/pbx:22", "10.0.0.5 5000"),
    ] {
        assert_eq!(docker_checks::registry(image), registry, "{image}");
    }
}

#[test]
fn proxies_of_apt_and_docker_are_looked_at() {
    let apt = good() + "apt-proxy http://10.0.0.1:3128\napt-proxy-state ";
    assert_eq!(found(&(apt.clone() + "open\n")), []);
    one(
        &(apt + "closed\n"),
        "apt.proxy",
        Level::Warning,
        "10.0.0.1:3128",
    );
    let with = |image: &str, lines: &str| {
        let printed = good() + "docker-proxy http://10.0.0.1:3128\n" + lines;
        let nodes = [node("ip-172-31-16-133", &printed)];
        let site = Site {
            machines: &machines(),
            image: Some(image),
            ..Site::default()
        };
        found_in(&nodes, &site)
    };
    assert_eq!(with("portsip/pbx:22", ""), []);
    let found = with("10.0.0.5:5000/portsip/pbx:22", "");
    assert_eq!(
        (found.len(), found[0].name),
        (1, "docker.proxy"),
        "{found:#?}"
    );
    let excepted = "docker-no-proxy localhost,10.0.0.5\n";
    assert_eq!(with("10.0.0.5:5000/portsip/pbx:22", excepted), []);
}

fn on_lan(drbd: DrbdVersion, lines: [&str; 3]) -> Vec<Finding> {
    let nodes = names().into_iter().zip(lines);
    let nodes: Vec<Inspection> = nodes
        .map(|(name, lines)| {
            let utils = "package drbd-utils ii 9.22";
            let good = good() + "drbd-at-boot .\n";
            let printed = good.replace("package drbd-utils un", utils) + lines;
            node(&name, &printed)
        })
        .collect();
    let site = Site {
        machines: &machines(),
        data_disk: Some("/dev/sdb"),
        data_size: Some(40 << 30),
        vip: Some("172.31.16.130".parse().unwrap()),
        drbd: Some(drbd),
        ..Site::default()
    };
    found_in(&nodes, &site)
}

#[test]
fn the_drbd_of_the_kernel_is_the_one_of_vars_yml() {
    use DrbdVersion::{EightFour, Nine};
    let (old, new) = ("drbd-module 8.4.11\n", "drbd-module 9.2.8\n");
    assert_eq!(on_lan(Nine, [new; 3]), []);
    // The third node has no copy with DRBD 8.4.
    assert_eq!(on_lan(EightFour, [old, old, ""]), []);
    for (wanted, third, text) in [
        (Nine, old, "has DRBD 8.4.11, and vars.yml says 9"),
        (Nine, "drbd-loaded 9.1.4\n", "has DRBD 9.1.4"),
        (Nine, "", "has no DRBD"),
    ] {
        let found = on_lan(wanted, [new, new, third]);
        assert_eq!((found.len(), found[0].name), (1, "lan.drbd"), "{found:#?}");
        assert!(found[0].found.contains(text), "{found:#?}");
    }
    // Not where there is no module to load.
    let names = names();
    let with =
        |name: &String, lines: &str| node(name, &(good() + "package drbd-utils ii 9.22\n" + lines));
    let site = Site {
        machines: &machines(),
        data_disk: Some("/dev/sdb"),
        drbd: Some(EightFour),
        ..Site::default()
    };
    let nodes = [
        with(&names[0], old),
        with(&names[1], ""),
        with(&names[2], old),
    ];
    let found = found_in(&nodes, &site);
    let at_boot: Vec<_> = found
        .iter()
        .filter(|it| it.name == "lan.drbd-boot")
        .collect();
    let [finding] = &at_boot[..] else {
        panic!("{found:#?}")
    };
    assert_eq!(
        (finding.node.as_deref(), finding.fixable),
        (Some(names[0].as_str()), true)
    );
    let found = on_lan(EightFour, [old, new, ""]);
    assert!(found[0].found.contains("vars.yml says 8.4"), "{found:#?}");
    let lost = format!("{new}drbd-connection Connecting\n");
    let found = on_lan(Nine, [&lost, new, new]);
    assert_eq!(found[0].name, "lan.drbd-connected");
}

#[test]
fn a_virtual_address_that_somebody_else_has_is_found() {
    let module = "drbd-module 9.2.8\n";
    let with = |vip: &str| format!("{module}{vip}");
    let here = with("vip here 172.31.16.130/32 dev ens5\n");
    let mac = with("vip 06:1f:3c:5e:7b:09\n");
    let found = |first: &str, second: &str| on_lan(DrbdVersion::Nine, [first, second, module]);
    // The cluster has it, and the others hear it.
    assert_eq!(found(&here, &mac), []);
    let foreign = found(module, &mac);
    assert_eq!(
        (foreign.len(), foreign[0].name),
        (1, "lan.vip"),
        "{foreign:#?}"
    );
    assert!(
        foreign[0]
            .found
            .contains("06:1f:3c:5e:7b:09 answers for it")
    );
    let left = with("vip here 172.31.16.130/32 dev ens5\nservice pacemaker failed enabled\n");
    let nodes = on_lan(DrbdVersion::Nine, [&left, module, module]);
    assert_eq!(nodes, [], "the first line of a service counts");
}

#[test]
fn a_disk_that_is_too_small_is_named() {
    let small = good().replace("data-disk 42949672960", "data-disk 32212254720");
    let nodes: Vec<Inspection> = names().iter().map(|name| node(name, &small)).collect();
    let site = Site {
        machines: &machines(),
        data_disk: Some("/dev/sdb"),
        data_size: Some(36 << 30),
        ..Site::default()
    };
    let found = found_in(&nodes, &site);
    assert_eq!((found.len(), found[0].name), (3, "lan.disk"), "{found:#?}");
    assert!(
        found[0].found.contains("/dev/sdb has 30.0 GiB"),
        "{found:#?}"
    );
}

#[test]
fn a_watchdog_that_is_gone_after_a_reboot_is_named() {
    let soft = good() + "watchdog-kind Software Watchdog\n";
    one(&soft, "lan.watchdog", Level::Warning, "next boot");
    let fixable = |printed: &str| found(printed)[0].fixable;
    assert!(!fixable(&soft), "without the package there is no service");
    assert!(fixable(
        &(soft.clone() + "service portsip-ha-softdog inactive disabled\n")
    ));
    let hardware = soft.replace("Software Watchdog", "iTCO_wdt");
    assert_eq!(found(&hardware), []);
    assert_eq!(found(&(soft + "softdog-at-boot softdog\n")), []);
}
