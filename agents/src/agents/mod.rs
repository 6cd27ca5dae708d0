//! The agents. Each has a folder or file of its own and a binary of its own name.

mod address;
mod awsebs;
mod awseip;
mod awsipsrcaddr;
mod awsvip;
mod pbx;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use ec2::{AwsError, Deadline, retry_denied, retry_transient};

use crate::ocf;

/// Runs awsebs, awseip or awsvip: the one whose name the program was called by. For the package, a program
/// with the AWS SDK takes minutes to link, so one is built and copied to the three names.
pub fn with_aws_sdk() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().and_then(OsStr::to_str);
    match name {
        Some("awsebs") => ocf::main::<awsebs::AwsEbs>(),
        Some("awseip") => ocf::main::<awseip::AwsEip>(),
        Some("awsvip") => ocf::main::<awsvip::AwsVip>(),
        _ => ocf::misnamed(&program, "awsebs, awseip or awsvip"),
    }
}

/// Calls EC2 until it answers, and for a while until a permission that was just given is known.
async fn call_ec2<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    retry_denied(deadline, async || retry_transient(deadline, &call).await).await
}

/// Runs the agent awsipsrcaddr.
pub fn awsipsrcaddr() -> ExitCode {
    ocf::main::<awsipsrcaddr::AwsIpSrcAddr>()
}

/// Runs the agent pbx.
pub fn pbx() -> ExitCode {
    ocf::main::<pbx::Pbx>()
}
