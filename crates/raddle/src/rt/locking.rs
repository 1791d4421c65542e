//! The seam for the toolkit's own locks, which the watch knows by their marks.

use super::mark::Mark;
use super::op::{Kind, Object, Op};
use super::place::Place;
use super::{current, flags, seam, under, watch};

/// Like [`took`](seam::took), for a lock that has a mark.
#[inline]
pub(crate) fn took_lock(op: Op, mark: &Mark) {
    if !flags::quiet() {
        // In parts: a whole op would be copied before the branch, which costs as much as the lock itself.
        observed_took(op.object.address, op.object.size, op.object.what, op.kind, op.at, mark, true);
    }
}

/// Like [`took_lock`], for a lock that any thread may release.
#[inline]
pub(crate) fn took_shared_lock(op: Op, mark: &Mark) {
    if !flags::quiet() {
        observed_took(op.object.address, op.object.size, op.object.what, op.kind, op.at, mark, false);
    }
}

/// Like [`gave`](seam::gave), for a lock that has a mark.
#[inline]
pub(crate) fn gave_lock(op: Op, mark: &Mark) {
    if !flags::quiet() {
        observed_gave(op.object.address, op.object.size, op.object.what, op.kind, op.at, mark);
    }
}

/// Like [`lend`](seam::lend), for a lock that has a mark.
#[inline]
pub(crate) fn lend_lock(op: Op, mark: &Mark) {
    if !flags::quiet() {
        observed_lend(op, mark); // not where speed matters: a wait follows
    }
}

#[cold]
fn observed_lend(op: Op, mark: &Mark) {
    if watches() {
        watch::gave(mark);
    }
    seam::lend(op);
}

#[cold]
fn observed_took(
    address: usize,
    size: usize,
    what: &'static str,
    kind: Kind,
    at: Place,
    mark: &Mark,
    owned: bool,
) {
    let op = Op::at(Object::new(address, size, what), kind, at);
    seam::took(op);
    if watches() {
        watch::took(&current::record(), &op, mark, owned);
    }
}

#[cold]
fn observed_gave(address: usize, size: usize, what: &'static str, kind: Kind, at: Place, mark: &Mark) {
    if watches() {
        watch::gave(mark);
    }
    seam::gave(Op::at(Object::new(address, size, what), kind, at));
}

fn watches() -> bool {
    under::scheduler().is_none() && flags::watching()
}
