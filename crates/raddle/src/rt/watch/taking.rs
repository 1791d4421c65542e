//! Locks that are taken and let go of.

use std::sync::Arc;

use super::{holds, order};
use crate::rt::mark::{Mark, NO_LOCK};
use crate::rt::op::Op;
use crate::rt::record::Record;
use crate::rt::{current, settings};

pub(in crate::rt) fn took(thread: &Arc<Record>, op: &Op, mark: &Mark, owned: bool) {
    let lock = mark.number();
    holds::took(lock, thread, op, owned);
    if settings::lock_order() {
        order::took(thread, lock, op);
    }
}

pub(in crate::rt) fn gave(mark: &Mark) {
    let lock = mark.known();
    if lock != NO_LOCK {
        holds::gave(lock, current::ident());
    }
}
