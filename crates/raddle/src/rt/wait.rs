//! Waits, as the scheduler and the watch see them.

use std::fmt;
use std::time::Instant;

use super::binding::is_unwinding;
use super::lock_id::LockId;
use super::op::Op;

/// Describes a [`wait`](super::wait) to the scheduler and to the watch: the operation that blocks, its deadline, and the
/// lock that it is for.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, LockId, Op, Wait};
/// use std::time::Duration;
///
/// let id = LockId::new();
/// let acquire = Op::new(&id, "Lock", Kind::Acquire);
/// let wait = Wait::new(&acquire).with_lock(&id).with_deadline(rt::deadline(Duration::from_secs(1)));
/// assert_eq!(wait.op().map(|op| op.kind), Some(Kind::Acquire));
/// ```
#[derive(Clone, Copy)]
#[must_use = "a description has an effect only when it is passed to a wait"]
pub struct Wait<'a> {
    op: Option<&'a Op>,
    lock: Option<&'a LockId>,
    deadline: Option<Instant>,
    may_panic: bool,
    interrupted: Option<&'a dyn Fn() -> bool>,
}

impl<'a> Wait<'a> {
    /// Returns a wait of the operation `op`, without a deadline.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{self, Kind, Op, Wait, WaitOutcome};
    /// use std::sync::atomic::AtomicU32;
    ///
    /// let word = AtomicU32::new(1);
    /// let op = Op::new(&word, "Event", Kind::Await);
    /// assert_eq!(rt::wait(&word, 0, &Wait::new(&op)), WaitOutcome::Changed);
    /// ```
    #[inline]
    pub const fn new(op: &'a Op) -> Self {
        Self { op: Some(op), ..Self::unreported() }
    }

    /// Returns a wait that belongs to no operation, without a deadline: for a lock inside a primitive, which is held for a
    /// few instructions and is not reported.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Wait;
    ///
    /// assert!(Wait::unreported().op().is_none());
    /// ```
    #[inline]
    pub const fn unreported() -> Self {
        Self { op: None, lock: None, deadline: None, may_panic: true, interrupted: None }
    }

    /// Returns the wait with another deadline; `None` means that it does not time out.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{self, Wait, WaitOutcome};
    /// use std::sync::atomic::AtomicU32;
    /// use std::time::Duration;
    ///
    /// let wait = Wait::unreported().with_deadline(rt::deadline(Duration::from_millis(1)));
    /// let word = AtomicU32::new(0);
    /// while rt::wait(&word, 0, &wait) != WaitOutcome::TimedOut {} // a wake-up may be spurious
    /// ```
    #[inline]
    pub const fn with_deadline(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Returns the wait as one for the lock `id`, which the operation acquires.
    ///
    /// From this the watch knows which thread it waits for. If the wait is part of a deadlock, the watch may end it
    /// [by a panic](crate::watch::Action::Panic): the caller must not rely on [`wait`](super::wait) returning.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{self, Kind, LockId, Op, Wait, WaitOutcome};
    /// use std::sync::atomic::AtomicU32;
    ///
    /// static WORD: AtomicU32 = AtomicU32::new(0); // free
    /// static ID: LockId = LockId::new();
    /// let acquire = Op::new(&WORD, "Lock", Kind::Acquire);
    /// assert_eq!(rt::wait(&WORD, 1, &Wait::new(&acquire).with_lock(&ID)), WaitOutcome::Changed);
    /// ```
    #[inline]
    pub const fn with_lock(self, id: &'a LockId) -> Self {
        Self { lock: Some(id), ..self }
    }

    /// Returns the wait as one that the watch does not end by a panic, as where a condition reacquires its lock.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, LockId, Op, Wait};
    ///
    /// let id = LockId::new();
    /// let reacquire = Op::new(&id, "Lock", Kind::Acquire);
    /// let wait = Wait::new(&reacquire).with_lock(&id).without_panic();
    /// ```
    #[inline]
    pub const fn without_panic(self) -> Self {
        Self { may_panic: false, ..self }
    }

    /// Returns the wait as one that a signal can end: [`wait`](super::wait) returns [`WaitOutcome::Interrupted`] when
    /// `interrupted` returns true.
    ///
    /// The waiting thread calls `interrupted` before it parks, after a signal handler has run on it, and every 50 ms: a signal
    /// that arrives just before the thread parks does not wake it, and only Linux reports signals to a parked thread at all.
    /// If `interrupted` returns false, the wait continues. It may perform operations that block.
    ///
    /// A binding for another language ends a wait of the main thread in this way, on Ctrl-C for example. The watch does not
    /// know whether a signal will come, so it reports a deadlock as it does for other waits. A scheduler has no signals, and
    /// does not call `interrupted`.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{self, Kind, Op, Wait, WaitOutcome};
    /// use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
    ///
    /// static INTERRUPTED: AtomicBool = AtomicBool::new(false); // set by a signal handler
    ///
    /// fn wait_for(word: &AtomicU32) -> Result<(), &'static str> {
    ///     let op = Op::new(word, "Event", Kind::Await);
    ///     let is_interrupted = || INTERRUPTED.load(Relaxed);
    ///     let wait = Wait::new(&op).interruptible(&is_interrupted);
    ///     while word.load(Relaxed) == 0 {
    ///         if rt::wait(word, 0, &wait) == WaitOutcome::Interrupted {
    ///             return Err("interrupted");
    ///         }
    ///     }
    ///     Ok(())
    /// }
    ///
    /// assert_eq!(wait_for(&AtomicU32::new(1)), Ok(()));
    /// INTERRUPTED.store(true, Relaxed);
    /// assert_eq!(wait_for(&AtomicU32::new(0)), Err("interrupted"));
    /// ```
    ///
    /// [`WaitOutcome::Interrupted`]: super::WaitOutcome::Interrupted
    #[inline]
    pub const fn interruptible(self, interrupted: &'a dyn Fn() -> bool) -> Self {
        Self { interrupted: Some(interrupted), ..self }
    }

    /// Returns the operation that blocks, if it is reported.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::{Kind, Op, Wait};
    ///
    /// let op = Op::new(&(), "Event", Kind::Await);
    /// assert_eq!(Wait::new(&op).op().map(|op| op.object), Some(op.object));
    /// ```
    #[inline]
    pub const fn op(&self) -> Option<&'a Op> {
        self.op
    }

    /// Returns the deadline, if there is one.
    ///
    /// # Examples
    /// ```
    /// use raddle::rt::Wait;
    ///
    /// assert_eq!(Wait::unreported().deadline(), None);
    /// ```
    #[inline]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns whether a signal can end the wait.
    #[inline]
    pub(crate) fn is_interruptible(&self) -> bool {
        self.interrupted.is_some()
    }

    /// Returns whether the wait is interrupted. Runs code of the user.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.is_some_and(|interrupted| interrupted())
    }

    /// Returns the lock that the wait is for.
    pub(crate) fn lock(&self) -> Option<&'a LockId> {
        self.lock
    }

    /// Returns whether a panic may end the wait. A second panic would abort the process, or meet an exception that a binding makes
    /// of the first.
    pub(crate) fn may_panic(&self) -> bool {
        self.may_panic && self.lock.is_some() && !is_unwinding()
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("op", &self.op)
            .field("lock", &self.lock)
            .field("deadline", &self.deadline)
            .field("may_panic", &self.may_panic)
            .field("interruptible", &self.is_interruptible())
            .finish()
    }
}
