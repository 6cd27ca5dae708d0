//! What an extended server has to know of the cluster: where the PBX is, from which image it runs, and which extended
//! servers there are. Each node says what it knows.

use std::net::Ipv4Addr;

use super::lines::Lines;
use super::register::{FILE, Register};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::Command;

/// The port of the web portal where the cluster names none.
const WEB_PORT: u16 = 8887;

/// What one node said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The node.
    pub node: String,
    /// By how many seconds its clock is before this machine's.
    pub ahead: Option<f64>,
    lines: Lines,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The virtual address.
    pub vip: Ipv4Addr,
    /// Where the data of the PBX is on the active node; the data of an extended server is below the same directory.
    pub data_path: String,
    /// The port of the web portal.
    pub web_port: u16,
    /// The image of the PBX.
    pub image: String,
    /// Its label `version`.
    pub version: Option<String>,
    /// Its digest in the registry, by which the same image is fetched, whatever the tag means by now.
    pub digest: Option<String>,
    /// Its ID.
    pub image_id: Option<String>,
    /// Whether its tag means another image by now, which the PBX does not run from yet.
    pub is_not_upgraded: bool,
    /// The distribution and its version: `ubuntu 24.04`.
    pub os: String,
    /// By how many seconds the nodes' clocks are before this machine's.
    pub ahead: Option<f64>,
}

/// The command that looks.
pub fn look() -> Command {
    let script = format!(
        "register={}\n{}",
        quoted(FILE),
        include_str!("cluster_look.sh")
    );
    let mut command = Command::look("looking at the cluster", script);
    command.limit = std::time::Duration::from_secs(40);
    command
}

impl Said {
    /// From what the command printed at a moment of this machine's clock, in seconds.
    pub fn parse(node: &str, printed: &str, at: f64) -> Said {
        let lines = Lines::parse(printed);
        let clock = lines.one("clock").and_then(|it| it.parse::<f64>().ok());
        Said {
            node: node.to_owned(),
            ahead: clock.map(|clock| clock - at),
            lines,
        }
    }

    /// Whether the node has the image that the PBX runs from.
    pub fn has_image_of(&self, cluster: &Cluster) -> bool {
        let id = cluster.image_id.as_deref();
        id.is_some_and(|id| self.lines.has("image-id", id))
    }

    /// Whether the PBX runs there.
    pub fn runs_the_pbx(&self) -> bool {
        self.lines.has("active", "yes")
    }

    /// The list of the extended servers that is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn register(&self) -> Result<Option<Register>, String> {
        self.lines.one("register").map(Register::parse).transpose()
    }
}

impl Cluster {
    /// From what the nodes said.
    ///
    /// # Errors
    /// None of them knows something that is needed.
    pub fn of(said: &[Said]) -> Result<Cluster, Failure> {
        let one = |word: &str| said.iter().find_map(|it| it.lines.one(word));
        let missing = |what: &str| {
            let nodes: Vec<&str> = said.iter().map(|it| it.node.as_str()).collect();
            Failure::failed(format!(
                "no node says {what} ({}). Nothing was changed\n  help: an extended server belongs to a PBX that is \
                 deployed: ha-ctl deploy, or sudo pcs cluster start --all where the cluster is stopped",
                nodes.join(", ")
            ))
        };
        let vip = one("vip").and_then(|it| it.parse().ok());
        // Digest and version have to be of the same image: of the active node's, if there is one.
        let with_image = said.iter().filter(|it| it.lines.one("image").is_some());
        let image =
            with_image.max_by_key(|it| (it.runs_the_pbx(), it.lines.one("version").is_some()));
        let image = image.ok_or_else(|| missing("from which image the PBX runs"))?;
        let of_image = |word: &str| image.lines.one(word).map(str::to_owned);
        Ok(Cluster {
            vip: vip.ok_or_else(|| missing("what the virtual address is"))?,
            data_path: one("data")
                .ok_or_else(|| missing("where the data of the PBX is"))?
                .to_owned(),
            web_port: one("web-port")
                .and_then(|it| it.parse().ok())
                .unwrap_or(WEB_PORT),
            image: of_image("image").unwrap_or_default(),
            version: of_image("version"),
            digest: of_image("digest"),
            image_id: of_image("image-id"),
            is_not_upgraded: image.lines.has("not-upgraded", "yes"),
            os: one("os").unwrap_or_default().to_owned(),
            ahead: said.iter().find_map(|it| it.ahead),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn cluster() -> Cluster {
        Cluster::of(&[Said::parse("pbx01", ALL, 1_795_930_000.0)]).unwrap()
    }

    const ALL: &str = "clock 1795930000.5\nos ubuntu 24.04\nvip 192.168.1.130\ndata /var/lib/portsip\nweb-port \nversion \
                       22.4.0\ndigest portsip/pbx@sha256:0123\nimage-id sha256:4567\nimage portsip/pbx:22\nend .\n";

    #[test]
    fn what_one_node_does_not_know_another_says() {
        let first = Said::parse(
            "pbx01",
            "os ubuntu 24.04\nvip \ndata \nimage portsip/pbx:22\n",
            0.0,
        );
        let refused = Cluster::of(std::slice::from_ref(&first)).unwrap_err();
        assert!(
            refused.text.contains("the virtual address is (pbx01)"),
            "{refused}"
        );
        let both = Cluster::of(&[first, Said::parse("pbx02", ALL, 1_795_930_000.0)]).unwrap();
        assert_eq!(both, cluster());
        assert_eq!(both.version.as_deref(), Some("22.4.0"));
        assert_eq!(both.web_port, 8887);
        assert_eq!(both.ahead, Some(0.5));
    }

    #[test]
    fn a_list_that_is_broken_is_told_from_none() {
        let said = |register: &str| Said::parse("pbx01", register, 0.0).register();
        assert_eq!(said("end ."), Ok(None));
        assert!(said("register {").is_err());
        let text = serde_json::to_string(&Register::default()).unwrap();
        assert_eq!(
            said(&format!("register {text}")),
            Ok(Some(Register::default()))
        );
    }

    #[test]
    fn the_script_is_one_that_sh_can_read() {
        let mut sh = std::process::Command::new("sh");
        let status = sh.args(["-n", "-c", &look().script]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}
