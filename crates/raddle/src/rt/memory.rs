//! What an atomic access orders, for an observer that looks for data races.

use std::sync::atomic::Ordering;

/// An atomic access or a fence, as the memory model of C++20 counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// A load, and a compare-and-exchange that failed.
    Load(Ordering),
    /// A store. It begins a new release sequence.
    Store(Ordering),
    /// A read-modify-write. It continues the release sequence that it reads from.
    Update(Ordering),
    /// A fence.
    Fence(Ordering),
}

impl Memory {
    /// Whether what happened before the store that it reads from happens before what comes after it.
    pub fn acquires(self) -> bool {
        use Ordering::{AcqRel, Acquire, SeqCst};
        match self {
            Memory::Load(order) | Memory::Update(order) | Memory::Fence(order) => {
                matches!(order, Acquire | AcqRel | SeqCst)
            }
            Memory::Store(_) => false,
        }
    }

    /// Whether what came before it happens before what comes after an acquire that reads from it.
    pub fn releases(self) -> bool {
        use Ordering::{AcqRel, Release, SeqCst};
        match self {
            Memory::Store(order) | Memory::Update(order) | Memory::Fence(order) => {
                matches!(order, Release | AcqRel | SeqCst)
            }
            Memory::Load(_) => false,
        }
    }
}
