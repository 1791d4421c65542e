//! Futures: settled once, by hand or by a pool; waited for one by one, all at once, and with `.await`.

mod awaiting;
mod callbacks;
mod completed;
mod depth;
mod outcome;
mod unseen;
mod waiting;
