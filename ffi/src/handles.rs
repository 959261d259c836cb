//! Handles: what TypeScript holds instead of pointers.
//!
//! A handle is a u32: the low 20 bits a slot, the high 12 bits the slot's generation, so that a
//! handle used after its object was closed is refused instead of meeting a stranger.

use std::any::Any;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Kind, Result};

const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATION_MASK: u32 = (1 << (32 - SLOT_BITS)) - 1;

#[derive(Default)]
struct Slot {
    generation: u32,
    object: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// Objects of every type behind one kind of handle; a handle of the wrong type is refused.
#[derive(Default)]
pub struct Handles {
    table: Mutex<Table>,
}

impl Handles {
    /// Stores `object` and gives its handle (never 0).
    pub fn insert<T: Any + Send + Sync>(&self, object: Arc<T>) -> Result<u32> {
        let mut table = self.table.lock().unwrap();
        let slot = match table.free.pop() {
            Some(slot) => slot,
            None if table.slots.len() < SLOT_MASK as usize => {
                table.slots.push(Slot::default());
                table.slots.len() as u32 - 1
            }
            None => return Err(Error::new(Kind::LimitExceeded, "too many open native objects")),
        };
        let entry = &mut table.slots[slot as usize];
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        if entry.generation == 0 {
            entry.generation = 1;
        }
        entry.object = Some(object);
        Ok(entry.generation << SLOT_BITS | slot)
    }

    /// Gives the object behind `handle`, or `CLOSED` when it is gone or of another type.
    pub fn get<T: Any + Send + Sync>(&self, handle: u32) -> Result<Arc<T>> {
        let table = self.table.lock().unwrap();
        let object = find(&table, handle).ok_or_else(closed)?;
        object.clone().downcast::<T>().map_err(|_| closed())
    }

    /// Forgets `handle` and gives its object, which lives on while anybody else holds it.
    pub fn remove<T: Any + Send + Sync>(&self, handle: u32) -> Result<Arc<T>> {
        let mut table = self.table.lock().unwrap();
        let object = find(&table, handle).ok_or_else(closed)?;
        let object = object.clone().downcast::<T>().map_err(|_| closed())?;
        let slot = handle & SLOT_MASK;
        table.slots[slot as usize].object = None;
        table.free.push(slot);
        Ok(object)
    }

    /// Drops every object.
    pub fn clear(&self) {
        let slots = std::mem::take(&mut *self.table.lock().unwrap());
        drop(slots);
    }

    /// How many objects are held.
    pub fn len(&self) -> usize {
        let table = self.table.lock().unwrap();
        table.slots.len() - table.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn find(table: &Table, handle: u32) -> Option<&Arc<dyn Any + Send + Sync>> {
    let slot = table.slots.get((handle & SLOT_MASK) as usize)?;
    if slot.generation != handle >> SLOT_BITS {
        return None;
    }
    slot.object.as_ref()
}

fn closed() -> Error {
    Error::new(Kind::Closed, "the native object is closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_handle_is_refused_even_when_its_slot_is_used_again() {
        let handles = Handles::default();
        let first = handles.insert(Arc::new(1u8)).unwrap();
        assert_eq!(*handles.get::<u8>(first).unwrap(), 1);
        handles.remove::<u8>(first).unwrap();
        let second = handles.insert(Arc::new(2u8)).unwrap();
        assert_ne!(first, second);
        assert_eq!(handles.get::<u8>(first).unwrap_err().kind, Kind::Closed);
        assert_eq!(*handles.get::<u8>(second).unwrap(), 2);
    }

    #[test]
    fn a_handle_of_another_type_is_refused() {
        let handles = Handles::default();
        let handle = handles.insert(Arc::new(1u8)).unwrap();
        assert_eq!(handles.get::<u16>(handle).unwrap_err().kind, Kind::Closed);
        assert_eq!(handles.get::<u8>(0).unwrap_err().kind, Kind::Closed);
        assert_eq!(handles.len(), 1);
    }
}
