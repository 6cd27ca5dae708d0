//! The agent awsipsrcaddr, as Pacemaker calls it.
fn main() -> std::process::ExitCode {
    portsip_ha_agents::agents::awsipsrcaddr()
}
