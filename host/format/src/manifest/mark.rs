//! Marking a manifest: whether it is trained, and who publishes it, without touching anything else.
//!
//! `pack build` marks packs whose weights it made up, and those that it signs; the trainer marks
//! those it has trained. Comments and order are the author's: only the value changes, or one line
//! is added.

use super::read::parse_toml;
use super::{Manifest, ManifestError, Publisher};

/// The text of a manifest with `trained` set; the rest of it is as it was, byte for byte.
///
/// # Errors
///
/// When `text` is no sound manifest, or the new one is longer than manifests are; `file` stands in
/// the message.
pub fn set_trained(text: &str, file: &str, trained: bool) -> Result<String, ManifestError> {
    if Manifest::parse(text, file)?.trained == trained {
        return Ok(text.to_string());
    }
    mark(text, file, "trained", &trained.to_string())
}

/// The text of a manifest with `publisher` set; the rest of it is as it was, byte for byte.
///
/// # Errors
///
/// As for [`set_trained`].
pub fn set_publisher(
    text: &str,
    file: &str,
    publisher: &Publisher,
) -> Result<String, ManifestError> {
    if Manifest::parse(text, file)?.publisher.as_ref() == Some(publisher) {
        return Ok(text.to_string());
    }
    mark(text, file, "publisher", &format!("\"{publisher}\""))
}

/// Puts `value` in the place of the one that `key` has, or on a line of its own, in a text that is
/// a sound manifest.
fn mark(text: &str, file: &str, key: &str, value: &str) -> Result<String, ManifestError> {
    let entries = parse_toml(text, file)?;
    let span = |key: &str| entries.get_ref().get(key).map(|value| value.span());

    let mut marked = text.to_string();
    if let Some(place) = span(key) {
        marked.replace_range(place, value);
    } else {
        // Below `contract`, which every manifest has, and which is no table: so the next line is
        // the manifest's own as well.
        let value_end = span("contract").map_or(0, |value| value.end);
        let rest = text.get(value_end..).unwrap_or_default();
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        match rest.find('\n') {
            Some(line_end) => {
                let line = format!("{key} = {value}{newline}");
                marked.insert_str(value_end + line_end + 1, &line);
            }
            None => marked.push_str(&format!("{newline}{key} = {value}{newline}")),
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

    #[test]
    fn a_publisher_is_added_or_replaced_and_the_rest_stays() {
        let [one, two] = [1, 2].map(|byte| Publisher::from_bytes([byte; 32]));
        let marked = set_publisher(TEXT, "x", &one).unwrap();
        let line = format!("# the first\npublisher = \"{one}\"\n");
        assert_eq!(marked, TEXT.replace("# the first\n", &line));
        assert_eq!(set_publisher(&marked, "x", &one).unwrap(), marked);

        let odd = marked.replace(&format!("\"{one}\""), &format!("'{one}' # me"));
        let other = set_publisher(&odd, "x", &two).unwrap();
        assert_eq!(
            other,
            odd.replace(&format!("'{one}'"), &format!("\"{two}\""))
        );
        assert_eq!(Manifest::parse(&other, "x").unwrap().publisher, Some(two));
    }

    #[test]
    fn a_manifest_that_would_grow_too_long_is_refused() {
        let long = format!(
            "{TEXT}#{}",
            "x".repeat(super::super::MANIFEST_LIMIT - TEXT.len() - 1)
        );
        assert!(Manifest::parse(&long, "x").is_ok());
        let refused = set_trained(&long, "x", false).unwrap_err();
        assert!(
            matches!(refused, ManifestError::TooLong { .. }),
            "{refused}"
        );
    }
}
