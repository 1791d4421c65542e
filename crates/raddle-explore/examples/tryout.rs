//! x
#[path = "../tests/support/programs.rs"]
mod programs;
fn main() {
    for p in programs::PROGRAMS {
        if std::env::args().nth(1).is_some_and(|a| a != p.name) {
            continue;
        }
        println!(
            "{} {:?} expected {} first {}",
            p.name,
            raddle_explore::tryout(p.run),
            p.classes,
            p.figures[4]
        );
    }
}
