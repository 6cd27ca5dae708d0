//! How a text looks, how wide it is, and where it is broken into lines. The reader's font is not known:
//! the widths are those of DejaVu Sans, the widest usual font.

/// Font size, weight and colour.
pub(super) type Style = (i32, &'static str, &'static str);

pub(super) const TITLE: Style = (22, BOLD, "#202124");
/// The name of a section, a node or a resource.
pub(super) const HEADING: Style = (14, BOLD, "#202124");
pub(super) const PLAIN: Style = (12, "normal", "#202124");
pub(super) const ALARM: Style = (12, "normal", "#a50e0e");
pub(super) const SMALL: Style = (11, "normal", "#5f6368");
/// The state of a node or a resource.
pub(super) const STATE: Style = (11, BOLD, "#5f6368");
const BOLD: &str = "bold";

/// Widths of the printable ASCII characters from the space on, in thousandths of the font size.
#[rustfmt::skip]
const WIDTHS: [i32; 95] = [
    318, 401, 460, 838, 636, 951, 780, 275, 391, 391, 500, 838, 318, 361, 318, 337, //  !"#$%&'()*+,-./
    636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, // 0123456789:;<=>?
    1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787, // @A..O
    603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 391, 337, 391, 838, 500, // P..Z[\]^_
    500, 613, 635, 550, 635, 616, 353, 635, 634, 278, 278, 580, 278, 975, 634, 612, // `a..o
    635, 635, 412, 521, 393, 634, 592, 818, 592, 592, 525, 637, 337, 637, 838,      // p..z{|}~
];

/// The width of a text in one line, rounded up.
pub(super) fn width(text: &str, (size, weight, _): Style) -> i32 {
    let index = |c: char| (c as usize).checked_sub(' ' as usize);
    // A character outside ASCII is taken to be as wide as it is high.
    let of_char = |c| index(c).and_then(|n| WIDTHS.get(n)).unwrap_or(&1000);
    let thousandths: i32 = text.chars().map(of_char).sum();
    // Bold is at most 15 per cent wider.
    let percent = if weight == BOLD { 115 } else { 100 };
    (thousandths * size * percent + 99_999) / 100_000
}

/// The text with single spaces, and without characters that XML 1.0 forbids.
pub(super) fn clean(text: &str) -> String {
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(forbidden, "\u{fffd}")
}

/// The text in lines that fit. A line ends after a word; a word that is too long
/// is broken after a punctuation mark, or anywhere.
pub(super) fn wrap(text: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for c in clean(text).chars() {
        let end = line.len();
        line.push(c);
        if end == 0 || fits(&line) {
            continue;
        }
        let marks = ['-', '.', '/', ':', ';', '_', '='];
        let mark = line.rfind(' ').or(line[..end].rfind(marks));
        let rest = line.split_off(mark.map_or(end, |at| at + 1));
        lines.push(std::mem::replace(&mut line, rest).trim_end().to_owned());
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_its_room_and_no_word_is_lost() {
        let text = "a few words and /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0 again";
        for room in [30, 60, 100, 1000] {
            let lines = wrap(text, |line| width(line, PLAIN) <= room);
            assert!(lines.iter().all(|l| width(l, PLAIN) <= room), "{lines:?}");
            let letters = |t: &str| t.split_whitespace().collect::<String>();
            assert_eq!(letters(&lines.concat()), letters(text));
        }
    }

    #[test]
    fn a_room_for_nothing_still_ends() {
        assert_eq!(wrap("ab c", |_| false), ["a", "b", "c"]);
    }

    #[test]
    fn what_xml_forbids_is_replaced() {
        assert_eq!(
            clean("a\u{1b}[31m\n\u{0}\u{ffff}b"),
            "a\u{fffd}[31m \u{fffd}\u{fffd}b"
        );
    }
}
