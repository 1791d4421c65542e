//! Futures: settled once, by a promise or a pool; waited for one by one, together, and by `.await`.

mod awaiting;
mod callbacks;
mod completed;
mod depth;
mod outcome;
mod unseen;
mod waiting;
