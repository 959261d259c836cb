//! How many whole frames of each bulk stream have been verified and written: the word that the sender goes by.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::frame::MAX_STREAM_NUMBERS;
use crate::error::{Error, Kind, Result};

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Live,
    /// The sender ended it after a whole frame.
    Ended,
    /// It broke, or was given up: nothing more of it counts.
    Lost,
}

/// Number, whole frames so far, state.
pub type Word = (u32, u32, State);

/// One stream.
pub struct Arrival {
    number: u32,
    /// Held while a frame is placed: whoever gives the stream up waits for that frame, and then it counts.
    placing: Mutex<()>,
    progress: Mutex<Progress>,
}

struct Progress {
    frames: u32,
    state: State,
    /// It has begun here; without that it was given up before.
    begun: bool,
    /// It is in the list of what changed.
    listed: bool,
}

/// The streams of one transfer by their number.
#[derive(Default)]
pub struct Arrivals {
    streams: Mutex<HashMap<u32, Arc<Arrival>>>,
    changed: Mutex<Vec<Arc<Arrival>>>,
}

impl Arrivals {
    /// Takes a stream in that begins; none when it was given up before it came.
    ///
    /// # Errors
    /// PROTOCOL when there was one of that number.
    pub fn begin(&self, number: u32) -> Result<Option<Arc<Arrival>>> {
        let arrival = self.get(number);
        let mut progress = arrival.progress.lock().unwrap();
        if std::mem::replace(&mut progress.begun, true) {
            return Err(Error::new(Kind::Protocol, "The peer used the number of a bulk stream twice"));
        }
        if progress.state != State::Live {
            return Ok(None);
        }
        self.list(&arrival, &mut progress);
        drop(progress);
        Ok(Some(arrival))
    }

    /// Runs `place` for the next frame of a stream and counts it; false, with nothing run, when the stream was given up.
    pub fn count(&self, arrival: &Arc<Arrival>, place: impl FnOnce() -> Result<()>) -> Result<bool> {
        let _placing = arrival.placing.lock().unwrap();
        if arrival.progress.lock().unwrap().state != State::Live {
            return Ok(false);
        }
        place()?;
        let mut progress = arrival.progress.lock().unwrap();
        progress.frames += 1;
        self.list(arrival, &mut progress);
        Ok(true)
    }

    /// Takes note of a stream's end.
    pub fn end(&self, arrival: &Arc<Arrival>, state: State) {
        let mut progress = arrival.progress.lock().unwrap();
        if progress.state == State::Live {
            progress.state = state;
            self.list(arrival, &mut progress);
        }
    }

    /// Lets nothing more of a stream count, whether it has come or not; gives its whole frames so far. Blocks while one
    /// is written.
    ///
    /// # Errors
    /// PROTOCOL when there can be no such stream.
    pub fn give_up(&self, number: u32) -> Result<u32> {
        if number >= MAX_STREAM_NUMBERS {
            return Err(Error::new(Kind::Protocol, "The peer named a bulk stream that cannot be"));
        }
        let arrival = self.get(number);
        let _placing = arrival.placing.lock().unwrap();
        self.end(&arrival, State::Lost);
        let progress = arrival.progress.lock().unwrap();
        Ok(progress.frames)
    }

    /// What has changed since the last call.
    pub fn take_changed(&self) -> Vec<Word> {
        let changed = std::mem::take(&mut *self.changed.lock().unwrap());
        let word = |arrival: Arc<Arrival>| {
            let mut progress = arrival.progress.lock().unwrap();
            progress.listed = false;
            (arrival.number, progress.frames, progress.state)
        };
        changed.into_iter().map(word).collect()
    }

    fn get(&self, number: u32) -> Arc<Arrival> {
        let new = || {
            let progress = Progress { frames: 0, state: State::Live, begun: false, listed: false };
            Arc::new(Arrival { number, placing: Mutex::default(), progress: Mutex::new(progress) })
        };
        self.streams.lock().unwrap().entry(number).or_insert_with(new).clone()
    }

    fn list(&self, arrival: &Arc<Arrival>, progress: &mut Progress) {
        if !std::mem::replace(&mut progress.listed, true) {
            self.changed.lock().unwrap().push(arrival.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_once() {
        let arrivals = Arrivals::default();
        let stream = arrivals.begin(3).unwrap().unwrap();
        assert!(arrivals.count(&stream, || Ok(())).unwrap());
        assert!(arrivals.count(&stream, || Ok(())).unwrap());
        assert_eq!(arrivals.take_changed(), [(3, 2, State::Live)]);
        assert!(arrivals.take_changed().is_empty());
        arrivals.end(&stream, State::Ended);
        assert_eq!(arrivals.take_changed(), [(3, 2, State::Ended)]);
        assert_eq!(arrivals.begin(3).err().unwrap().kind, Kind::Protocol);
    }

    #[test]
    fn nothing_counts_after_a_stream_was_given_up() {
        let arrivals = Arrivals::default();
        let stream = arrivals.begin(0).unwrap().unwrap();
        assert!(arrivals.count(&stream, || Ok(())).unwrap());
        assert_eq!(arrivals.give_up(0).unwrap(), 1);
        assert!(!arrivals.count(&stream, || panic!("placed")).unwrap());
        assert_eq!(arrivals.give_up(0).unwrap(), 1);
        assert_eq!(arrivals.take_changed(), [(0, 1, State::Lost)]);
    }

    #[test]
    fn a_stream_that_was_given_up_before_it_came_is_passed_over_once() {
        let arrivals = Arrivals::default();
        assert_eq!(arrivals.give_up(9).unwrap(), 0);
        assert_eq!(arrivals.take_changed(), [(9, 0, State::Lost)]);
        assert!(arrivals.begin(9).unwrap().is_none());
        assert!(arrivals.take_changed().is_empty());
        assert_eq!(arrivals.begin(9).err().unwrap().kind, Kind::Protocol);
        assert_eq!(arrivals.give_up(MAX_STREAM_NUMBERS).err().unwrap().kind, Kind::Protocol);
    }

    #[test]
    fn a_frame_that_cannot_be_placed_does_not_count() {
        let arrivals = Arrivals::default();
        let stream = arrivals.begin(0).unwrap().unwrap();
        let full = || Err(Error::new(Kind::NoSpace, "full"));
        assert_eq!(arrivals.count(&stream, full).err().unwrap().kind, Kind::NoSpace);
        assert_eq!(arrivals.take_changed(), [(0, 0, State::Live)]);
    }
}
