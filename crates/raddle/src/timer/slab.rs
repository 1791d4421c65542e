//! Places for values, found by index and told apart by number: a place is used again, a number is not.

/// Which value, and where it is; ordered by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    number: u64,
    index: u32,
}

pub(super) struct Slab<T> {
    places: Vec<Option<(u64, T)>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Gives `value` a place. No other value has, had or will have the number.
    pub(super) fn insert(&mut self, number: u64, value: T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("memory ends before four billion values")
        });
        self.places[index as usize] = Some((number, value));
        Key { number, index }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (number, value) = self.places.get_mut(key.index as usize)?.as_mut()?;
        (*number == key.number).then_some(value)
    }

    pub(super) fn holds(&self, key: Key) -> bool {
        let place = self.places.get(key.index as usize).and_then(Option::as_ref);
        place.is_some_and(|(number, _)| *number == key.number)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        let (_, value) = self.places[key.index as usize].take()?;
        self.free.push(key.index);
        Some(value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Gives back the memory of an empty slab, but for `few` places.
    pub(super) fn shrink(&mut self, few: usize) {
        debug_assert!(self.is_empty(), "the places of values would go to others");
        self.places.clear();
        self.places.shrink_to(few);
        self.free.clear();
        self.free.shrink_to(few);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.places.capacity().max(self.free.capacity())
    }
}
