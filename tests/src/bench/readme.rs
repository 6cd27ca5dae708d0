//! The place of the table in a Markdown file: between two comments, which stay.

use std::fs;
use std::path::Path;

use crate::world::Error;

const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->";

/// Replaces what is between `<!-- bench -->` and `<!-- /bench -->` in `file`.
///
/// # Errors
/// The file can't be read or written, or does not have both comments.
pub fn write_into(file: &Path, table: &str) -> Result<(), Error> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|e| format!("cannot read {name}: {e}"))?;
    let text = replaced(&text, table)
        .ok_or_else(|| format!("{name} has no `<!-- bench -->` before `{END}`"))?;
    fs::write(file, text).map_err(|e| format!("cannot write {name}: {e}"))?;
    Ok(())
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_comments_is_replaced() {
        let text = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        assert_eq!(
            replaced(text, "new\n").as_deref(),
            Some("a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n")
        );
        assert_eq!(replaced("<!-- /bench -->", "new"), None);
    }
}
