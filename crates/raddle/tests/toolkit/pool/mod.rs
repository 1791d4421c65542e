//! The pool: its workers, its queue, its end, and the end of the program.

mod closing;
mod deadlock;
mod end;
mod execute;
mod gate;
mod map;
mod queue;
mod random;
mod scope;
mod workers;
