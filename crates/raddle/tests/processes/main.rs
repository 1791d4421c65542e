//! Programs that end, deadlock or fork, each in a process of its own: see [`child`].

mod exit;
mod fork;
mod interrupt;
mod no_threads;
mod watch;
mod watch_actions;
mod watch_dump;
mod watch_order;

#[path = "../support/child.rs"]
mod child;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/threads.rs"]
mod threads;

use std::process::ExitCode;

use child::Module;

const MODULES: [Module; 8] = [
    Module { name: "exit", tests: exit::tests, scenario: exit::scenario },
    Module { name: "fork", tests: fork::tests, scenario: fork::scenario },
    Module { name: "interrupt", tests: interrupt::tests, scenario: interrupt::scenario },
    Module { name: "no_threads", tests: no_threads::tests, scenario: no_threads::scenario },
    Module { name: "watch", tests: watch::tests, scenario: watch::scenario },
    Module { name: "watch_actions", tests: watch_actions::tests, scenario: watch_actions::scenario },
    Module { name: "watch_dump", tests: watch_dump::tests, scenario: watch_dump::scenario },
    Module { name: "watch_order", tests: watch_order::tests, scenario: watch_order::scenario },
];

fn main() -> ExitCode {
    child::main(&MODULES)
}
