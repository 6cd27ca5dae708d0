//! How DRBD sees the copies of the data, on one node: from what `states.sh` prints there.

use std::fmt;

/// For sh(1), with $resource: the states of the connections and of the copies, this node's first, a word and a state in
/// each line. Nothing, where DRBD is down.
pub const STATES: &str = include_str!("states.sh");

/// The states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    /// Of the connections to the others.
    pub connections: Vec<String>,
    /// Of this copy and of the others.
    pub disks: Vec<String>,
}

impl States {
    /// One line of what was printed.
    pub fn read(&mut self, words: &[&str]) {
        match words {
            ["connection", state] => self.connections.push((*state).to_owned()),
            ["copy", state] => self.disks.push((*state).to_owned()),
            _ => {}
        }
    }

    /// Whether DRBD is down here.
    pub fn is_down(&self) -> bool {
        self.connections.is_empty() && self.disks.is_empty()
    }

    /// Whether so many copies are there, connected and up to date.
    pub fn are_whole(&self, copies: usize) -> bool {
        self.disks.len() == copies
            && self.connections.len() + 1 == copies
            && self.connections.iter().all(|it| it == "Connected")
            && self.disks.iter().all(|it| it == "UpToDate")
    }
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_down() {
            return f.write_str("DRBD is down");
        }
        let (connections, disks) = (self.connections.join("/"), self.disks.join("/"));
        write!(f, "connection {connections}, copies {disks}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_when_all_are_connected_and_up_to_date() {
        let states = |connections: &[&str], disks: &[&str]| {
            let mut states = States::default();
            for it in connections {
                states.read(&["connection", it]);
            }
            for it in disks {
                states.read(&["copy", it]);
            }
            states
        };
        let whole = states(&["Connected"], &["UpToDate", "UpToDate"]);
        assert!(whole.are_whole(2) && !whole.are_whole(3));
        assert_eq!(
            whole.to_string(),
            "connection Connected, copies UpToDate/UpToDate"
        );
        for (connections, disks) in [
            (&["WFConnection"][..], &["UpToDate", "DUnknown"][..]),
            (&["SyncSource"], &["UpToDate", "Inconsistent"]),
            (&["Connected"], &["Diskless", "UpToDate"]),
            (&[], &["UpToDate"]),
            (&[], &[]),
        ] {
            assert!(!states(connections, disks).are_whole(2), "{disks:?}");
        }
        assert!(States::default().is_down());
        assert!(!states(&["unknown"], &[]).is_down());
    }
}
