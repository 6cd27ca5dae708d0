//! Quantities as a person reads them.

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
}
