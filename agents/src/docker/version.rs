//! Versions: which ones of the Docker Engine are supported, and which of two of the PBX is older.

use std::cmp::Ordering;

/// The oldest supported version. Before it, Docker can hang for good when containers stop at the same time
/// (<https://github.com/moby/moby/issues/46661>).
pub(super) const OLDEST: &str = "20.10.27";

/// Whether a version, such as `20.10.24+dfsg1`, is older than another. A text that does not begin with a number, such as
/// `dev`, is not taken to be old.
pub(super) fn is_older(version: &str, than: &str) -> bool {
    compare(version, than) == Some(Ordering::Less)
}

/// Compares two versions by their numbers: 22.3 is 22.3.0, and a build number counts only if both have one. None if
/// one of them does not begin with a number.
fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (mut one, mut other) = (numbers(one), numbers(other));
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let compared = one.len().min(other.len()).max(3);
    one.resize(compared, 0);
    other.resize(compared, 0);
    Some(one.cmp(&other))
}

/// The numbers at the beginning: major, minor, patch, and what a version has beyond.
fn numbers(version: &str) -> Vec<u64> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_is_too_old_and_newer_versions_are_not() {
        for old in ["20.10.24+dfsg1", "20.10.26", "20.10", "19.03.15", "1.13.1"] {
            assert!(is_older(old, OLDEST), "{old}");
        }
        for supported in [
            OLDEST,
            "20.10.28",
            "23.0.0-rc.1",
            "24.0",
            "26.1.5+dfsg1",
            "28.2.2-0ubuntu1~24.04.1",
            "dev",
            "",
        ] {
            assert!(!is_older(supported, OLDEST), "{supported}");
        }
    }

    #[test]
    fn versions_of_the_pbx_are_compared_by_their_numbers() {
        for (one, other, order) in [
            ("22.3", "22.3.0", Some(Ordering::Equal)),
            ("22.3", "22.3.1", Some(Ordering::Less)),
            ("22.10.0", "22.9.9", Some(Ordering::Greater)),
            ("22.4.0", "22.4.0.1234", Some(Ordering::Equal)),
            ("22.4.0.7", "22.4.0.8", Some(Ordering::Less)),
            ("v22.4.0\n", "22.4.0-rc1", Some(Ordering::Equal)),
            ("12.8", "22", Some(Ordering::Less)),
            ("latest", "22.4.0", None),
            ("22.4.0", "", None),
        ] {
            assert_eq!(compare(one, other), order, "{one} {other}");
        }
    }
}
