//! The first line of a client: `please relay TOKEN[ for side SIDE]\n` (magic-wormhole's `transit.md`, "Relay
//! Handshake"; its older form has no side).

const BEGIN: &[u8] = b"please relay ";
const BETWEEN: &[u8] = b" for side ";

/// Hex digits of a token, and characters of a side.
const TOKEN_LENGTH: usize = 64;
const SIDE_LENGTH: usize = 16;

/// Longest line with its end.
pub const MAX_LINE: usize = BEGIN.len() + TOKEN_LENGTH + BETWEEN.len() + SIDE_LENGTH + 1;

/// Names what two sides have in common; derived from their secret, which it does not tell.
pub type Token = [u8; TOKEN_LENGTH];

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub token: Token,
    /// Names the client among those with its token; older clients have none.
    pub side: Option<[u8; SIDE_LENGTH]>,
}

/// What the bytes of a client are so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The beginning of a line.
    Unfinished,
    /// A line, and whether more came after it.
    Whole(Asked, bool),
    /// No line, whatever follows.
    Wrong,
}

/// Reads the first bytes of a client.
pub fn parse(bytes: &[u8]) -> Line {
    let mut rest = Rest(bytes);
    match rest.asked() {
        Ok(asked) => Line::Whole(asked, !rest.0.is_empty()),
        Err(line) => line,
    }
}

/// What is not looked at yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn asked(&mut self) -> Result<Asked, Line> {
        self.exactly(BEGIN)?;
        let token = self.word(u8::is_ascii_hexdigit)?;
        if self.exactly(b"\n").is_ok() {
            return Ok(Asked { token, side: None });
        }
        self.exactly(BETWEEN)?;
        let side = self.word(u8::is_ascii_alphanumeric)?;
        self.exactly(b"\n")?;
        Ok(Asked { token, side: Some(side) })
    }

    fn exactly(&mut self, expected: &[u8]) -> Result<(), Line> {
        let there = self.0.len().min(expected.len());
        if self.0[..there] != expected[..there] {
            return Err(Line::Wrong);
        }
        if there < expected.len() {
            return Err(Line::Unfinished);
        }
        self.0 = &self.0[there..];
        Ok(())
    }

    fn word<const N: usize>(&mut self, fits: impl Fn(&u8) -> bool) -> Result<[u8; N], Line> {
        let there = self.0.len().min(N);
        if !self.0[..there].iter().all(fits) {
            return Err(Line::Wrong);
        }
        let word = self.0.first_chunk::<N>().ok_or(Line::Unfinished)?;
        self.0 = &self.0[N..];
        Ok(*word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn both_forms_of_the_line_are_read() {
        let token = *TOKEN.as_bytes().first_chunk().unwrap();
        let old = format!("please relay {TOKEN}\n");
        let new = format!("please relay {TOKEN} for side 0123456789abcdef\n");
        assert_eq!(new.len(), MAX_LINE);
        assert_eq!(parse(old.as_bytes()), Line::Whole(Asked { token, side: None }, false));
        let asked = Asked { token, side: Some(*b"0123456789abcdef") };
        assert_eq!(parse(new.as_bytes()), Line::Whole(asked, false));
        assert_eq!(parse(format!("{new}x").as_bytes()), Line::Whole(asked, true));
    }

    #[test]
    fn anything_else_is_wrong_at_its_first_byte_that_is() {
        for (line, wrong_at) in [
            ("GET / HTTP/1.1\r\n", 1),
            ("please relay me\n", 14),
            ("please  relay", 8),
            (&format!("please relay {TOKEN}0\n"), 78),
            (&format!("please relay {TOKEN} for side 012345678!"), 97),
            (&format!("please relay {TOKEN} for side 0123456789abcdef0"), 104),
            (&format!("please relay {TOKEN}\r\n"), 78),
            ("\0", 1),
        ] as [(&str, usize); 8]
        {
            assert_eq!(parse(&line.as_bytes()[..wrong_at - 1]), Line::Unfinished, "{line}");
            assert_eq!(parse(&line.as_bytes()[..wrong_at]), Line::Wrong, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_unfinished_until_its_end_and_the_same_however_it_is_cut(
            token in "[0-9a-fA-F]{64}", side in proptest::option::of("[0-9a-zA-Z]{16}"), more in any::<Vec<u8>>(),
        ) {
            let side = side.map_or(String::new(), |side| format!(" for side {side}"));
            let mut bytes = format!("please relay {token}{side}\n").into_bytes();
            let length = bytes.len();
            bytes.extend(&more);
            for end in 0..length {
                prop_assert_eq!(parse(&bytes[..end]), Line::Unfinished);
            }
            let Line::Whole(asked, false) = parse(&bytes[..length]) else { panic!() };
            prop_assert_eq!(parse(&bytes), Line::Whole(asked, !more.is_empty()));
        }

        #[test]
        fn no_bytes_are_read_beyond_the_longest_line_and_wrong_stays_wrong(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..300usize,
        ) {
            prop_assert!(bytes.len() < MAX_LINE || parse(&bytes) != Line::Unfinished);
            let cut = cut.min(bytes.len());
            if parse(&bytes[..cut]) == Line::Wrong {
                prop_assert_eq!(parse(&bytes), Line::Wrong);
            }
        }

        #[test]
        fn a_changed_line_is_another_or_none(
            token in "[0-9a-f]{64}", at in 0..MAX_LINE, to in any::<u8>(),
        ) {
            let line = format!("please relay {token} for side 0123456789abcdef\n").into_bytes();
            let mut changed = line.clone();
            changed[at] = to;
            prop_assert_eq!(parse(&changed) == parse(&line), changed == line);
        }
    }
}
