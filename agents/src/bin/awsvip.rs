//! The agent awsvip, as Pacemaker calls it.
fn main() -> std::process::ExitCode {
    portsip_ha_agents::ocf::main::<portsip_ha_agents::agents::awsvip::AwsVip>()
}
