//! The peers that DRBD on this node is not connected to, each with the command that mends it. A copy that stays
//! alone gets old, and nothing in `pcs status` says so.

use serde_json::Value;

use crate::cluster::Drbd;
use crate::vars::DrbdVersion;

/// What is told of such peers. `here` is this node; `status` is what `drbdsetup status --json` prints, or the file
/// /proc/drbd of DRBD 8.4.
///
/// # Errors
/// It is no JSON.
pub fn notes(model: &Drbd, here: &str, status: &str) -> Result<Vec<String>, serde_json::Error> {
    let connections = match model.version {
        DrbdVersion::EightFour => connection_84(model, here, status).into_iter().collect(),
        DrbdVersion::Nine => connections(model, status)?,
    };
    let notes = connections.iter();
    Ok(notes
        .filter_map(|(peer, state)| note(model, peer, state))
        .collect())
}

fn note(model: &Drbd, peer: &str, state: &str) -> Option<String> {
    let name = model.name;
    match state {
        "StandAlone" => Some(format!(
            "DRBD on this node no longer tries to connect to {peer} (StandAlone), whose copy of the data gets old or is \
             newer\n  help: here: sudo drbdadm connect {name}. If it is StandAlone again, the kernel's log says why \
             (sudo journalctl -k --grep drbd); after `Split-Brain detected` a person decides which copy is kept"
        )),
        // The words of DRBD 9 and of 8.4.
        "Connecting" | "WFConnection" => Some(format!(
            "DRBD on this node waits for {peer} ({state}), whose copy of the data gets old\n  help: if {peer} is online \
             in `sudo pcs status`, there: sudo drbdadm disconnect {name}; sudo drbdadm connect {name}"
        )),
        _ => None,
    }
}

/// Name and state of each connection.
fn connections(model: &Drbd, status: &str) -> Result<Vec<(String, String)>, serde_json::Error> {
    let resources: Vec<Value> = serde_json::from_str(status)?;
    let ours = resources
        .iter()
        .filter(|resource| resource["name"] == model.name);
    let all = ours.filter_map(|resource| resource["connections"].as_array());
    let pair = |one: &Value| {
        let text = |key: &str| one[key].as_str().map(ToOwned::to_owned);
        Some((text("name")?, text("connection-state")?))
    };
    Ok(all.flatten().filter_map(pair).collect())
}

/// ` 1: cs:WFConnection ro:Primary/Unknown ds:UpToDate/Outdated C r-----`: the connection to the other peer.
fn connection_84(model: &Drbd, here: &str, proc_drbd: &str) -> Option<(String, String)> {
    let minor = format!("{}: cs:", model.minor);
    let mut lines = proc_drbd.lines().map(str::trim_start);
    let rest = lines.find_map(|line| line.strip_prefix(&minor))?;
    let peer = model.peers.iter().find(|peer| peer.name != here)?;
    let state = rest.split(' ').next()?;
    Some((peer.name.clone(), state.to_owned()))
}
