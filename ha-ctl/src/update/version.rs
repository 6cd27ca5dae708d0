//! Versions of the PBX, as the label of its image and the data have them: `22.4.0`.

/// Whether one is older than another, by their numbers: 22.3 is 22.3.0. A text without a number is older than nothing.
pub fn is_older(version: &str, than: &str) -> bool {
    let (mut one, mut other) = (numbers(version), numbers(than));
    if one.is_empty() || other.is_empty() {
        return false;
    }
    let length = one.len().max(other.len());
    one.resize(length, 0);
    other.resize(length, 0);
    one < other
}

fn numbers(version: &str) -> Vec<u64> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (one, other) in [
            ("22.4.0", "22.10.0"),
            ("22.4", "22.4.1"),
            ("v16.4.2", "22.0"),
            ("22.4.0.1200", "22.4.0.1300"),
        ] {
            assert!(is_older(one, other), "{one} {other}");
            assert!(!is_older(other, one), "{other} {one}");
        }
        for (one, other) in [("22.4", "22.4.0"), ("", "22"), ("22", ""), ("latest", "22")] {
            assert!(!is_older(one, other), "{one} {other}");
        }
    }
}
