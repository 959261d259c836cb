//! Who waits for whom: a table without sockets or time.

use std::collections::HashMap;

use super::handshake::{Asked, Token};

/// Sides whose other side has not come, each with what to call when it does.
pub struct Waiting<T> {
    by_token: HashMap<Token, Vec<(u64, Asked, T)>>,
    count: usize,
    next: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting { by_token: HashMap::new(), count: 0, next: 0 }
    }
}

impl<T> Waiting<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many wait with this token.
    pub fn with(&self, token: &Token) -> usize {
        self.by_token.get(token).map_or(0, Vec::len)
    }

    /// Takes out the one who has waited longest for somebody like `asked`: the same token, and not itself.
    pub fn take(&mut self, asked: &Asked) -> Option<T> {
        let waiters = self.by_token.get_mut(&asked.token)?;
        let other = |their: &Asked| their.side.is_none() || their.side != asked.side;
        let at = waiters.iter().position(|(_, their, _)| other(their))?;
        let (_, _, call) = waiters.remove(at);
        self.forget_empty(&asked.token);
        self.count -= 1;
        Some(call)
    }

    /// Adds somebody; gives the number under which they leave.
    pub fn put(&mut self, asked: Asked, call: T) -> u64 {
        self.next += 1;
        self.count += 1;
        self.by_token.entry(asked.token).or_default().push((self.next, asked, call));
        self.next
    }

    /// Removes who was put as `number`; false when they were taken before.
    pub fn leave(&mut self, token: &Token, number: u64) -> bool {
        let Some(waiters) = self.by_token.get_mut(token) else { return false };
        let before = waiters.len();
        waiters.retain(|(each, ..)| *each != number);
        let left = waiters.len() < before;
        self.forget_empty(token);
        self.count -= usize::from(left);
        left
    }

    fn forget_empty(&mut self, token: &Token) {
        if self.by_token.get(token).is_some_and(Vec::is_empty) {
            self.by_token.remove(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(token: u8, side: Option<u8>) -> Asked {
        Asked { token: [token; 64], side: side.map(|side| [side; 16]) }
    }

    #[test]
    fn two_of_one_token_and_different_sides_belong_together() {
        for (description, one, other, together) in [
            ("two sides", asked(1, Some(1)), asked(1, Some(2)), true),
            ("one side twice", asked(1, Some(1)), asked(1, Some(1)), false),
            ("two tokens", asked(1, Some(1)), asked(2, Some(2)), false),
            ("two old clients", asked(1, None), asked(1, None), true),
            ("an old one waits", asked(1, None), asked(1, Some(1)), true),
            ("an old one comes", asked(1, Some(1)), asked(1, None), true),
        ] {
            let mut waiting = Waiting::default();
            waiting.put(one, ());
            assert_eq!(waiting.take(&other).is_some(), together, "{description}");
            assert_eq!(waiting.len(), usize::from(!together), "{description}");
        }
    }

    #[test]
    fn whoever_waits_longest_is_taken_once_and_nothing_stays_of_those_who_left() {
        let mut waiting = Waiting::default();
        let first = waiting.put(asked(1, Some(1)), "first");
        let second = waiting.put(asked(1, Some(1)), "second");
        let third = waiting.put(asked(1, Some(1)), "third");
        assert_eq!(waiting.take(&asked(1, Some(2))), Some("first"));
        assert_eq!((waiting.with(&[1; 64]), waiting.with(&[2; 64])), (2, 0));
        assert!(!waiting.leave(&[1; 64], first));
        assert!(waiting.leave(&[1; 64], second));
        assert!(!waiting.leave(&[1; 64], second));
        assert_eq!(waiting.take(&asked(1, Some(2))), Some("third"));
        assert!(!waiting.leave(&[1; 64], third));
        assert!(waiting.len() == 0 && waiting.by_token.is_empty());
    }
}
