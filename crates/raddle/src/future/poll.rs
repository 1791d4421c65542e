//! `.await`: a future of the toolkit is one of the language's.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use super::error::FutureError;
use super::handle::{FUTURE, Future};
use super::listen::Listener;
use super::state::{Take, at_rest};
use crate::rt::{self, Kind, Op};
use crate::thread::drop_guarded;

/// Gives what [`result`](Future::result) gives. Dropping it before it is ready does not cancel the task.
impl<T> std::future::Future for Future<T> {
    type Output = Result<T, FutureError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        rt::point(Op::new(&*self.core, FUTURE, Kind::Write).does("polls"));
        loop {
            match self.core.take() {
                Take::Value(value) => return Poll::Ready(Ok(value)),
                Take::Failed(error) => return Poll::Ready(Err(error)),
                Take::Lent(by) if by == rt::ident() => return Poll::Ready(Err(FutureError::Taken)),
                Take::Lent(_) | Take::NotDone => {}
            }
            if self.leave_waker(context.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Future<T> {
    /// Leaves a waker in place of the one left before; false: there is nothing to wait for any more.
    fn leave_waker(&mut self, waker: &Waker) -> bool {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let key = *self.waker.get_or_insert_with(|| KEYS.fetch_add(1, Relaxed));
        let new = waker.clone(); // the executor's code, as is dropping one: not under the lock
        let mut inner = self.core.inner.lock();
        if self.core.is(at_rest) {
            return false;
        }
        let mine = inner.listeners.all_mut().iter_mut().find(|listener| is_mine(listener, key));
        let old = if let Some(listener) = mine {
            Some(std::mem::replace(listener, Listener::Waker(key, new)))
        } else {
            inner.listeners.push(Listener::Waker(key, new));
            None
        };
        drop(inner);
        drop_guarded("the destructor of a waker", old);
        true
    }
}

fn is_mine<C>(listener: &Listener<C>, key: u64) -> bool {
    matches!(listener, Listener::Waker(other, _) if *other == key)
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        let Some(key) = self.waker else { return };
        let mut inner = self.core.inner.lock();
        let old = inner.listeners.remove(|listener| is_mine(listener, key));
        drop(inner);
        drop_guarded("the destructor of a waker", old);
    }
}
