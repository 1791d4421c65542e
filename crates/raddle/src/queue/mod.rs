//! Queues: passing items from threads to threads.
//!
//! | queue | gives out first | limit, `task_done`, `join`, `shutdown` |
//! |---|---|---|
//! | [`Queue`] | what came first | yes |
//! | [`LifoQueue`] | what came last | yes |
//! | [`PriorityQueue`] | what is smallest; of equals, what came first | yes |
//! | [`SimpleQueue`] | what came first | no |
//!
//! The first three are one type, [`BaseQueue`], with an order; that page has all that they can do.
//!
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
//!     queue.join(); // all 20 are done with
//!     queue.shutdown(); // the workers' loops end
//! });
//! ```

mod base;
mod batch;
mod burst;
mod error;
mod hand;
mod heap;
mod in_order;
mod iter;
mod limit;
mod monitor;
mod order;
mod quick;
mod ring;
mod sides;
mod simple;
mod state;
mod store;
mod tasks;
mod turns;

pub use base::BaseQueue;
pub use error::{GetError, PutError, ShutDownError, TooManyTasksDoneError};
pub use iter::{IntoIter, Iter, OwnedIter, TryIter};
pub use order::{Fifo, Lifo, Order, SmallestFirst};
pub use simple::SimpleQueue;

/// First in, first out.
///
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

/// Last in, first out: a stack.
///
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

/// The smallest item first, as in Python; equal items in the order in which they were put. For the greatest
/// first, put [`std::cmp::Reverse`] around the items.
///
/// `Ord::cmp` runs while the queue is locked: it must not use the queue itself, and should be quick. If it panics,
/// the put or get that called it panics and the queue is as it was before; items that the same call had put
/// or got already stay put or got, the latter are dropped. The items of a blocked put are compared by the get
/// that makes room for them.
///
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
