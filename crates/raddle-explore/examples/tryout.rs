//! x
#[path = "../tests/support/programs.rs"]
mod programs;
fn main() {
    for p in programs::PROGRAMS {
        if std::env::args().nth(1).is_some_and(|a| a != p.name) { continue }
        print!("{:15} {:?} expected {} first {}", p.name, raddle_explore::tryout(p.run), p.classes, p.figures[4]);
        for w in 0..4 {
            let (mean, missed) = raddle_explore::tryrandom(p.run, w);
            print!(" | {mean:.1} ({}) x{:.2} {missed}", p.figures[w], mean / p.figures[w]);
        }
        println!();
    }
}
