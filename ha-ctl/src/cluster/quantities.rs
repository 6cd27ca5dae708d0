//! Quantities as a person reads them.

use std::time::Duration;

/// `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..UNITS.len() - 1)
        .find(|n| bytes < 1 << ((n + 1) * 10))
        .unwrap_or(UNITS.len() - 1);
    let tenths = (u128::from(bytes) * 10) >> (unit * 10);
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

/// `95 s`, `12 min`, `5 h`.
pub fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (bytes, text) in [
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (4_227_858_432, "3.9 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_time_is_told_in_the_unit_that_fits() {
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
