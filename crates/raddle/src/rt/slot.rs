//! Room in a program for services that modules above the host define: one value of each type.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex};

use super::fork::{Held, locked};

/// One shared value of each type, made when first asked for.
pub(crate) struct Slots(Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Slots {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Locks them.
    pub(super) fn hold(&'static self, held: &mut Vec<Box<dyn Held>>) {
        held.push(Box::new(locked(&self.0)));
    }

    /// The program's `S`, which `make` makes if there is none yet.
    pub(crate) fn get<S: Any + Send + Sync>(&self, make: impl FnOnce() -> S) -> Arc<S> {
        let mut slots = locked(&self.0);
        if let Some((_, service)) = slots.iter().find(|(id, _)| *id == TypeId::of::<S>()) {
            return service.clone().downcast().expect("the slot's key is the type of its value");
        }
        let service = Arc::new(make());
        slots.push((TypeId::of::<S>(), service.clone()));
        service
    }
}
