//! Looking at a value without taking it. The value leaves the lock for that time, so that no lock is held while
//! the user's code runs; whoever else wants it waits for its return.

use std::sync::Arc;

use super::error::FutureError;
use super::state::{Core, Take, at_rest};
use crate::rt::{self, Kind, Op};

impl<T> Core<T> {
    /// Calls `look` with the value or with the reason why there is none.
    pub(super) fn look<R>(self: &Arc<Self>, op: Op, look: impl FnOnce(Result<&T, &FutureError>) -> R) -> R {
        loop {
            match self.borrow() {
                Take::Value(value) => {
                    let lent = Lent {
                        core: self,
                        op: Op { kind: Kind::Write, ..op }.does("puts back the result of"),
                        value: Some(value),
                    };
                    return look(lent.value.as_ref().ok_or(&FutureError::Taken));
                }
                Take::Failed(error) => return look(Err(&error)),
                Take::NotDone => return look(Err(&FutureError::NotDone)),
                Take::Lent(by) if by == rt::ident() => return look(Err(&FutureError::Taken)),
                Take::Lent(_) => {
                    if let Err(error) = self.wait(op, None, at_rest) {
                        return look(Err(&error));
                    }
                }
            }
        }
    }
}

/// The value on loan; it goes back also if the looking panics.
struct Lent<'a, T> {
    core: &'a Core<T>,
    op: Op,
    value: Option<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        /// Goes back even if a scheduler throws at the point.
        struct Back<'a, 'b, T>(&'a mut Lent<'b, T>);
        impl<T> Drop for Back<'_, '_, T> {
            fn drop(&mut self) {
                if let Some(value) = self.0.value.take() {
                    self.0.core.give_back(value);
                }
            }
        }
        let op = self.op;
        let _back = Back(self);
        rt::point(op);
    }
}
