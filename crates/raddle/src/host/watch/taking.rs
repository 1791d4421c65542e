//! Locks that are taken and let go of.

use std::sync::Arc;

use super::{holds, order};
use crate::host::mark::{Mark, NO_LOCK};
use crate::host::op::Op;
use crate::host::record::Record;
use crate::host::{current, settings};

pub(in crate::host) fn took(thread: &Arc<Record>, op: &Op, mark: &Mark, owned: bool) {
    let lock = mark.number();
    holds::took(lock, thread, op, owned);
    if settings::lock_order() {
        order::took(thread, lock, op);
    }
}

pub(in crate::host) fn gave(mark: &Mark) {
    let lock = mark.known();
    if lock != NO_LOCK {
        holds::gave(lock, current::ident());
    }
}
