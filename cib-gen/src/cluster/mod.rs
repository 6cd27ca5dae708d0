//! The cluster as Pacemaker's terms: resources, constraints, properties. Everything is
//! decided here; a rendering only writes it down.

mod aws;

use crate::site::{Place, Site};

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The names of the nodes, in the order of vars.yml.
    pub nodes: Vec<String>,
    /// What a reader of any rendering must be told.
    pub warnings: Vec<String>,
    /// Cluster properties.
    pub properties: Vec<Setting>,
    /// Meta attributes of resources that do not set them.
    pub resource_defaults: Vec<Setting>,
    /// Resources, in the order in which `pcs status` lists them.
    pub resources: Vec<Primitive>,
    /// Constraints.
    pub constraints: Vec<Constraint>,
}

/// A name, a value, and why it is that value where that is not plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    /// Why.
    pub why: Option<&'static str>,
}

/// A resource that runs once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primitive {
    /// Its id.
    pub id: &'static str,
    /// What runs it.
    pub agent: Agent,
    /// What it is for.
    pub why: &'static str,
    /// Its instance attributes.
    pub parameters: Vec<Setting>,
    /// Its operations, at most one of each kind.
    pub operations: Vec<Operation>,
}

/// A resource agent or a fence agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// `ocf:PROVIDER:NAME`.
    Ocf {
        /// Provider.
        provider: &'static str,
        /// Name.
        name: &'static str,
    },
    /// A fence agent.
    Stonith {
        /// Name.
        name: &'static str,
    },
}

/// An operation and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub action: Action,
    /// Seconds after which it has failed.
    pub timeout: u32,
    /// What Pacemaker does when it fails, where that is not the default.
    pub on_fail: Option<OnFail>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Starts the resource.
    Start,
    /// Stops it.
    Stop,
    /// Looks after it every so many seconds.
    Monitor {
        /// Seconds from one look to the next.
        interval: u32,
    },
}

/// What Pacemaker does when an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
    /// Shows it, and goes on as if it had not failed.
    Ignore,
}

/// A constraint over a chain of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Its id.
    pub id: &'static str,
    /// Which kind.
    pub kind: ConstraintKind,
    /// Why.
    pub why: &'static str,
    /// The chain.
    pub chain: Vec<&'static str>,
}

/// What a constraint asks of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// Each runs where the one before it runs, and nowhere else.
    Together,
    /// Each starts when the one before it has started, and stops before that one stops.
    InOrder,
}

impl Cluster {
    /// The cluster of a site.
    pub fn of(site: &Site) -> Cluster {
        match &site.place {
            Place::Aws(place) => aws::cluster(place, &site.pbx),
        }
    }
}

fn setting(name: &str, value: impl ToString) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.to_string(),
        why: None,
    }
}

fn because(name: &str, value: impl ToString, why: &'static str) -> Setting {
    Setting {
        why: Some(why),
        ..setting(name, value)
    }
}

fn operation(action: Action, timeout: u32) -> Operation {
    Operation {
        action,
        timeout,
        on_fail: None,
    }
}
