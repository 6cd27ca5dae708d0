//! How wide a text is, where it is broken, and what of it may stand in XML. A picture can not
//! know the reader's font: widths are those of DejaVu Sans, the widest that is usual.

/// Widths of the printable ASCII characters from the space on, in thousandths of the size.
#[rustfmt::skip]
const WIDTHS: [i32; 95] = [
    318, 401, 460, 838, 636, 951, 780, 275, 391, 391, 500, 838, 318, 361, 318, 337, //  !"#$%&'()*+,-./
    636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, // 0123456789:;<=>?
    1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787, // @A..O
    603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 391, 337, 391, 838, 500, // P..Z[\]^_
    500, 613, 635, 550, 635, 616, 353, 635, 634, 278, 278, 580, 278, 975, 634, 612, // `a..o
    635, 635, 412, 521, 393, 634, 592, 818, 592, 592, 525, 637, 337, 637, 838,      // p..z{|}~
];

/// How much wider bold is, at most.
const BOLD: (i32, i32) = (115, 100);

/// The width of a text, never less than it takes.
pub(super) fn width(text: &str, size: i32, bold: bool) -> i32 {
    let thousandths: i32 = text.chars().map(of_char).sum();
    let (times, by) = if bold { BOLD } else { (1, 1) };
    let by = 1000 * by;
    (thousandths * size * times + by - 1) / by
}

fn of_char(c: char) -> i32 {
    let index = (c as usize).checked_sub(' ' as usize);
    // What is not ASCII is taken for as wide as it is high.
    index.and_then(|n| WIDTHS.get(n)).copied().unwrap_or(1000)
}

/// The text with what XML 1.0 can not hold, and line breaks, replaced.
pub(super) fn clean(text: &str) -> String {
    let replaced = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => '\u{fffd}',
        c => c,
    };
    text.chars().map(replaced).collect()
}

/// The text in lines of at most `room`: broken between words, and in a word that is longer.
pub(super) fn wrap(text: &str, room: i32, size: i32, bold: bool) -> Vec<String> {
    let fits = |line: &str| width(line, size, bold) <= room;
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = match line.is_empty() {
            true => word.to_owned(),
            false => format!("{line} {word}"),
        };
        if fits(&longer) {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut pieces = broken(word, &fits);
        line = pieces.pop().unwrap_or_default();
        lines.extend(pieces);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A word in pieces that fit, broken after a sign where there is one.
fn broken(word: &str, fits: &impl Fn(&str) -> bool) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for c in word.chars() {
        piece.push(c);
        if fits(&piece) || piece.chars().nth(1).is_none() {
            continue;
        }
        piece.pop();
        let cut = piece.rfind(['-', '.', '/', ':', ';', '_', '=']);
        let cut = cut.map_or(piece.len(), |at| at + 1);
        let mut rest = piece.split_off(cut);
        rest.push(c);
        pieces.push(std::mem::replace(&mut piece, rest));
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_its_room_and_no_word_is_lost() {
        let text = "a few words and /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0 again";
        for room in [30, 60, 100, 1000] {
            let lines = wrap(text, room, 12, false);
            assert!(
                lines.iter().all(|l| width(l, 12, false) <= room),
                "{lines:?}"
            );
            let letters = |t: &str| t.split_whitespace().collect::<String>();
            assert_eq!(letters(&lines.concat()), letters(text));
        }
    }

    #[test]
    fn a_room_for_nothing_still_ends() {
        assert_eq!(wrap("ab c", 1, 12, false), ["a", "b", "c"]);
    }

    #[test]
    fn what_xml_can_not_hold_is_replaced() {
        assert_eq!(
            clean("a\u{1b}[31m\n\u{0}\u{ffff}b"),
            "a\u{fffd}[31m \u{fffd}\u{fffd}b"
        );
    }
}
