//! Queues, through which threads pass items to each other.
//!
//! | queue | next item | limit, `task_done`, `join`, `shutdown` |
//! |---|---|---|
//! | [`Queue`] | the one put first | yes |
//! | [`LifoQueue`] | the one put last | yes |
//! | [`PriorityQueue`] | the smallest; of equal items, the one put first | yes |
//! | [`SimpleQueue`] | the one put first | no |
//!
//! The first three are one type, [`BaseQueue`], with an order. All their methods are on its page.
//!
//! # Examples
//! ```
//! use raddle::{Queue, thread};
//!
//! let queue = Queue::bounded(10);
//! thread::scope(|s| {
//!     for _ in 0..2 {
//!         s.spawn(|| {
//!             for job in &queue {
//!                 println!("working on {job}");
//!                 queue.task_done().unwrap();
//!             }
//!         });
//!     }
//!     queue.put_many(1..=20).unwrap();
//!     queue.join(); // all 20 jobs are done
//!     queue.shutdown(); // ends the workers' loops
//! });
//! ```

mod base;
mod blocking;
mod error;
mod flavors;
mod iter;
mod order;
mod simple;
mod state;

pub use base::BaseQueue;
pub use error::{GetError, PutError, ShutDownError, TooManyTasksDoneError};
pub use iter::{IntoIter, Iter, OwnedIter, TryIter};
pub use order::{Fifo, Lifo, Order, SmallestFirst};
pub use simple::SimpleQueue;

/// A queue that is first in, first out.
///
/// # Examples
/// ```
/// use raddle::Queue;
///
/// let queue = Queue::bounded(10);
/// queue.put("first")?;
/// queue.put("second")?;
/// assert_eq!(queue.get()?, "first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Queue<T> = BaseQueue<T, Fifo>;

/// A queue that is last in, first out: a stack.
///
/// # Examples
/// ```
/// use raddle::LifoQueue;
///
/// let queue = LifoQueue::unbounded();
/// queue.put("first")?;
/// queue.put("second")?;
/// assert_eq!(queue.get()?, "second");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type LifoQueue<T> = BaseQueue<T, Lifo>;

/// A queue that returns the smallest item first, as in Python. Equal items are first in, first out.
///
/// For the greatest item first, wrap the items in [`std::cmp::Reverse`].
///
/// `Ord::cmp` runs while the queue's lock is held. It must not use the queue, and should be quick. The items of a blocked put
/// are compared by the get that makes room for them.
///
/// # Panics
/// If `Ord::cmp` panics, the put or get that called it panics, and the queue is as it was before. No item of the queue is lost:
///
/// - Of a batch, the items put before the panic stay in the queue.
/// - The items got before it are returned, and the panic is reported to the
///   [excepthook](crate::thread::set_excepthook) instead.
/// - [`shutdown_now`](BaseQueue::shutdown_now) returns all items in any order, and reports the panic likewise.
///
/// # Examples
/// ```
/// use raddle::PriorityQueue;
///
/// let queue = PriorityQueue::unbounded();
/// queue.put((2, "write"))?;
/// queue.put((1, "read"))?;
/// assert_eq!(queue.get()?, (1, "read"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type PriorityQueue<T> = BaseQueue<T, SmallestFirst>;
