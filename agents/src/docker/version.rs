//! Which versions of the Docker Engine are supported.

/// The oldest supported version. Before it, Docker can hang for good when containers stop at the same time
/// (<https://github.com/moby/moby/issues/46661>).
pub(super) const OLDEST: &str = "20.10.27";

/// Whether a version, such as `20.10.24+dfsg1`, is older than [`OLDEST`]. A text that does not begin with a
/// number, such as `dev`, is not: nothing is known about it.
pub(super) fn is_too_old(version: &str) -> bool {
    let numbers = numbers(version);
    !numbers.is_empty() && numbers < self::numbers(OLDEST)
}

/// The numbers at the beginning: major, minor, patch.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok())
        .take(3)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_is_too_old_and_newer_versions_are_not() {
        for old in ["20.10.24+dfsg1", "20.10.26", "20.10", "19.03.15", "1.13.1"] {
            assert!(is_too_old(old), "{old}");
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
            assert!(!is_too_old(supported), "{supported}");
        }
    }
}
