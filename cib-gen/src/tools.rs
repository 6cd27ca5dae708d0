//! Pacemaker's own tools, run as commands.

/// A tool could not be run, or its answer could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {}
