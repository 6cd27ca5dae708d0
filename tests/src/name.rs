//! The name of the lab that this process works with. Labs of different names are up at the same
//! time: each has its own network namespaces, control group, state and disks.

use std::sync::OnceLock;

use crate::world::Error;

/// The environment variable that names the lab, for every command that is given none.
pub const VARIABLE: &str = "PORTSIP_HA_LAB";
/// The name if nobody says another.
pub const DEFAULT: &str = "lab";
/// Control groups, kernel nodes' sockets and machine names are made from it, and have limits.
const LONGEST: usize = 12;

static NAME: OnceLock<String> = OnceLock::new();

/// The name of this process's lab.
pub fn current() -> &'static str {
    NAME.get_or_init(|| from_environment().unwrap_or_else(|| DEFAULT.to_owned()))
}

/// What the environment says; nothing if it does not name a lab.
pub fn from_environment() -> Option<String> {
    std::env::var(VARIABLE)
        .ok()
        .filter(|name| check(name).is_ok())
}

/// Makes `name` the name of this process's lab, for as long as the process lives.
///
/// # Errors
/// It is not a name for a lab, or this process works with another lab already.
pub fn choose(name: &str) -> Result<(), Error> {
    check(name)?;
    let chosen = NAME.get_or_init(|| name.to_owned());
    if chosen == name {
        return Ok(());
    }
    Err(format!("this process works with the lab '{chosen}' already, not with '{name}'").into())
}

/// The name this process has chosen, if it has chosen one.
pub(crate) fn chosen() -> Option<&'static str> {
    NAME.get().map(String::as_str)
}

/// Without a hyphen, so that no lab's namespaces begin like those of another.
fn check(name: &str) -> Result<(), Error> {
    let fits = (1..=LONGEST).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if fits {
        return Ok(());
    }
    Err(format!(
        "'{name}' can't be the name of a lab: it takes 1 to {LONGEST} lower-case letters and digits"
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_another_lab_s_namespaces_could_begin_with_is_refused() {
        assert!(check("demo2").is_ok());
        for wrong in ["", "two-labs", "Lab", "a/b", "thirteenchars"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
