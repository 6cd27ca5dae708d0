//! The version of a Docker Engine, and what is known to be wrong with it.

/// The first version that does not lock itself up when containers end at one time (moby/moby#46661).
const UNLOCKED: [u32; 3] = [20, 10, 27];

/// A version of the Docker Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(Option<[u32; 3]>);

impl Version {
    /// What the engine says, such as `20.10.24+dfsg1` or `28.2.2`.
    pub(super) fn of(text: &str) -> Self {
        let mut numbers = text.splitn(3, '.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit());
            part[..end.unwrap_or(part.len())].parse().ok()
        });
        let mut next = || numbers.next().flatten();
        Self(match (next(), next(), next()) {
            (Some(major), Some(minor), Some(patch)) => Some([major, minor, patch]),
            _ => None,
        })
    }

    /// Whether it can lock itself up when containers end at one time. One that can't be read may.
    pub(super) fn locks_up(self) -> bool {
        self.0.is_none_or(|version| version < UNLOCKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_locks_up_and_what_is_newer_does_not() {
        for old in ["20.10.24+dfsg1", "20.10.26", "19.03.15", "", "dev", "24.0"] {
            assert!(Version::of(old).locks_up(), "{old}");
        }
        for new in [
            "20.10.27",
            "23.0.0-rc.1",
            "26.1.5+dfsg1",
            "27.5.1",
            "28.2.2",
        ] {
            assert!(!Version::of(new).locks_up(), "{new}");
        }
    }
}
