//! The agent pbx, as Pacemaker calls it.
fn main() -> std::process::ExitCode {
    portsip_ha_agents::agents::pbx()
}
