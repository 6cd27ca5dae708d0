//! The instance metadata service, version 2: what one instance learns about itself at
//! 169.254.169.254. Who asks is decided by the interface that a request comes in on, by the lab.

use std::sync::Arc;

use crate::ec2::Ec2;

/// The service as the instance `instance_id` sees it.
pub fn router(_ec2: Arc<Ec2>, _instance_id: &str) -> axum::Router {
    axum::Router::new()
}
