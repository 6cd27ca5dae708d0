//! A tap device: a kernel node's end of the site's network.

use crate::world::Error;
use crate::{netns, run};

/// The device; gone when dropped.
#[derive(Debug)]
pub struct Tap {
    /// The network namespace that has it.
    pub namespace: String,
    /// Its name there.
    pub device: String,
}

impl Tap {
    /// Makes one.
    ///
    /// # Errors
    /// It exists, or there is no such namespace.
    pub fn add(namespace: String, device: String) -> Result<Self, Error> {
        netns::ip_batch(&namespace, &format!("tuntap add {device} mode tap\n"))?;
        Ok(Self { namespace, device })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // No caller is left for an error; `lab down` removes the namespace.
        let _ = run::run(
            "ip",
            &["-n", &self.namespace, "link", "delete", &self.device],
        );
    }
}
