//! The agent awsebs, as Pacemaker calls it.
fn main() -> std::process::ExitCode {
    portsip_ha_agents::agents::with_aws_sdk()
}
