//! The place of the table in a Markdown file: between two comments, which stay.

use std::fs;
use std::path::Path;

use crate::world::Error;

/// Replaces what is between `<!-- what -->` and `<!-- /what -->` in `file`.
///
/// # Errors
/// The file can't be read or written, or does not have both comments.
pub fn write_into(file: &Path, what: &str, table: &str) -> Result<(), Error> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|e| format!("cannot read {name}: {e}"))?;
    let text = replaced(&text, what, table)
        .ok_or_else(|| format!("{name} has no `<!-- {what} -->` before `<!-- /{what} -->`"))?;
    fs::write(file, text).map_err(|e| format!("cannot write {name}: {e}"))?;
    Ok(())
}

fn replaced(text: &str, what: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {what} -->\n"), format!("<!-- /{what} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_comments_is_replaced() {
        let text = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        assert_eq!(
            replaced(text, "bench", "new\n").as_deref(),
            Some("a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n")
        );
        assert_eq!(replaced("<!-- /bench -->", "bench", "new"), None);
    }
}
