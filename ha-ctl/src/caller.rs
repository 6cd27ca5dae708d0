//! Who runs ha-ctl, for notes that others read.

use time::OffsetDateTime;
use time::macros::format_description;

/// The person, and the machine: `ubuntu on pbx01`.
pub fn caller() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let who = variable("SUDO_USER")
        .or_else(|| variable("USER"))
        .unwrap_or_else(|| "root".to_owned());
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{who} on {}", host.to_string_lossy())
}

/// This moment: `2026-11-29 09:00:00Z`.
pub fn now() -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    OffsetDateTime::now_utc()
        .format(&format)
        .unwrap_or_default()
}
