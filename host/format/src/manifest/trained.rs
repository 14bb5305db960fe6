//! Marking a manifest as trained or not, without touching anything else in it.
//!
//! `pack build` marks packs whose weights it made up, the trainer those it has trained. Comments
//! and order are the author's: only the value changes, or one line is added.

use super::read::parse_toml;
use super::{Manifest, ManifestError};

/// The text of a manifest with `trained` set; the rest of it is as it was, byte for byte.
///
/// # Errors
///
/// When `text` is no sound manifest; `file` stands in the message.
pub fn set_trained(text: &str, file: &str, trained: bool) -> Result<String, ManifestError> {
    let manifest = Manifest::parse(text, file)?;
    if manifest.trained == trained {
        return Ok(text.to_string());
    }
    let entries = parse_toml(text, file)?;
    let span = |key: &str| entries.get_ref().get(key).map(|value| value.span());

    let mut marked = text.to_string();
    if let Some(value) = span("trained") {
        marked.replace_range(value, if trained { "true" } else { "false" });
    } else {
        // Below `contract`, which every manifest has, and which is no table: so the next line is
        // the manifest's own as well.
        let value_end = span("contract").map_or(0, |value| value.end);
        let rest = text.get(value_end..).unwrap_or_default();
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        match rest.find('\n') {
            Some(line_end) => {
                marked.insert_str(
                    value_end + line_end + 1,
                    &format!("trained = {trained}{newline}"),
                );
            }
            None => marked.push_str(&format!("{newline}trained = {trained}{newline}")),
        }
    }
    // The new text is a manifest too, or a mistake of ours; it may have grown past the limit.
    Manifest::parse(&marked, file)?;
    Ok(marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# mine
id = "a"
name = "A"
version = "1.0.0"
description = "d"
license = "MIT"
authors = ["me"]
contract = "0.1.0" # the first
roles = ["expert"]

[base]   # any
width = 8
"#;

    fn trained(text: &str) -> bool {
        Manifest::parse(text, "x").unwrap().trained
    }

    #[test]
    fn one_line_is_added_and_the_rest_stays() {
        let marked = set_trained(TEXT, "x", false).unwrap();
        assert_eq!(
            marked,
            TEXT.replace("# the first\n", "# the first\ntrained = false\n")
        );
        assert!(!trained(&marked));
    }

    #[test]
    fn a_value_that_is_there_is_replaced() {
        let before = TEXT.replace("roles", "trained   =  false # yet\nroles");
        let marked = set_trained(&before, "x", true).unwrap();
        assert_eq!(marked, before.replace("false # yet", "true # yet"));
        assert_eq!(set_trained(&marked, "x", true).unwrap(), marked);
    }

    #[test]
    fn line_endings_and_the_end_of_the_file_are_minded() {
        let crlf = TEXT.replace('\n', "\r\n");
        let marked = set_trained(&crlf, "x", false).unwrap();
        assert!(marked.contains("first\r\ntrained = false\r\nroles"));

        let inline = TEXT.replace("[base]   # any\nwidth = 8\n", "base = { width = 8 }\n");
        let inline = inline.replace("contract = \"0.1.0\" # the first\n", "");
        let last = format!("{inline}contract = \"0.1.0\"");
        let marked = set_trained(&last, "x", false).unwrap();
        assert_eq!(marked, format!("{last}\ntrained = false\n"));
    }
}
