//! Names in error texts, and the shapes that a peer's name must have.

use crate::error::{Error, Kind, Result};

/// Gives `name` as text in double quotes, with control characters escaped.
pub fn quoted(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for character in String::from_utf8_lossy(name).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text.push('"');
    text
}

/// As [`quoted`], for a path of this machine.
pub fn quoted_path(path: &std::path::Path) -> String {
    quoted(path.as_os_str().as_encoded_bytes())
}

/// Refuses what is not exactly one ordinary path component: empty, `.`, `..`, or with `/` or NUL.
pub fn check_component(name: &[u8]) -> Result<()> {
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|&b| b == b'/' || b == 0) {
        let text = format!("Cannot use the name {}: it would leave its folder", quoted(name));
        return Err(Error::new(Kind::PathEscapes, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_escapes_what_a_terminal_would_obey() {
        assert_eq!(quoted(b"a\x1b[31m\n\xff"), "\"a\\u{1b}[31m\\n\u{fffd}\"");
    }

    #[test]
    fn only_ordinary_components_pass() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
            assert_eq!(check_component(bad).unwrap_err().kind, Kind::PathEscapes);
        }
        for good in [&b"a"[..], b"...", b"..a", b"\xff\n", b" "] {
            check_component(good).unwrap();
        }
    }
}
