//! Why a settled future has no value, for those who ask.

use super::error::FutureError;
use super::state::{Core, Outcome};

impl<T, W: ?Sized> Core<T, W> {
    /// Why there is no value, if it failed; whoever asks has looked.
    pub(super) fn failure(&self) -> Option<FutureError> {
        let mut inner = self.inner.lock();
        inner.looked |= !matches!(inner.outcome, Outcome::None);
        match &inner.outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Why there is no value, if it failed; this is no look.
    pub(crate) fn peek_failure(&self) -> Option<FutureError> {
        match &self.inner.lock().outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// A failure that nobody has looked at, which now somebody has.
    pub(crate) fn unseen_failure(&self) -> Option<FutureError> {
        let mut inner = self.inner.lock();
        if std::mem::replace(&mut inner.looked, true) {
            return None;
        }
        match &inner.outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }
}
