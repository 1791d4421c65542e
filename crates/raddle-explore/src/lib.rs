//! Explorer.
#![forbid(unsafe_code)]
mod crew;
mod hook;
mod search;
mod stage;

#[doc(hidden)]
pub fn tryout(program: impl Fn() + Send + Sync + 'static) -> (u64, u64, Option<u64>) {
    use search::*;
    let crew = crew::Crew::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let program: Program = std::sync::Arc::new(program);
    let c2 = crew.clone();
    crew.run(
        Box::new(move || {
            let pulse = std::sync::Arc::default();
            let mut dpor = Dpor::default();
            let (mut n, mut first) = (0, None);
            while !dpor.is_exhausted() {
                let (execution, policy) =
                    Execution::perform(&program, stage::Rules::default(), dpor, &c2, &pulse);
                dpor = policy;
                n += 1;
                if execution.failure.is_some() && first.is_none() {
                    first = Some(n);
                    if std::env::var("V").is_ok() {
                        println!("{:?}", execution.failure);
                    }
                }
                if std::env::var("VV").is_ok() {
                    println!(
                        "{}",
                        execution
                            .events
                            .iter()
                            .map(|e| format!(
                                "{}:{}{}{:?}",
                                e.thread,
                                e.op.map_or("-", |op| op.kind.verb()),
                                e.op.map_or(String::new(), |o| execution
                                    .objects
                                    .find(o.object.address, o.object.what)
                                    .map_or("?".into(), |n| n.to_string())),
                                e.more
                                    .iter()
                                    .map(|a| (
                                        a.object,
                                        execution.objects.what(a.object),
                                        execution.objects.address(a.object)
                                    ))
                                    .collect::<Vec<_>>()
                            ))
                            .collect::<Vec<_>>()
                            .join(" | ")
                    );
                    println!("{:?} {}", execution.failure, execution.redundant);
                }
                dpor.learn(&execution);
                assert!(!dpor.diverged);
                if n > 20000 {
                    break;
                }
            }
            sender.send((dpor.classes(), n, first)).unwrap();
        }),
        None,
    )
    .unwrap();
    receiver.recv().unwrap()
}

#[doc(hidden)]
pub fn tryrandom(program: fn(), which: usize) -> (f64, u64) {
    use search::*;
    let crew = crew::Crew::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let program: Program = std::sync::Arc::new(program);
    let c2 = crew.clone();
    crew.run(Box::new(move || {
        let pulse = std::sync::Arc::default();
        let (mut total, mut missed) = (0, 0);
        let rules = stage::Rules::default();
        for seed in 0..100 {
            let rng = fastrand::Rng::with_seed(seed * 7919 + which as u64);
            let (mut walk, mut pct, mut pos, mut surw) = (Walk(rng.clone()), Pct::new(rng.clone()), Pos::new(rng.clone()), Surw::new(rng.clone()));
            let mut n = 0;
            loop {
                n += 1;
                let failed = match which {
                    0 => { let (e, w) = Execution::perform(&program, rules, walk, &c2, &pulse); walk = w; e.failure.is_some() }
                    1 => { let (e, w) = Execution::perform(&program, rules, pct, &c2, &pulse); pct = w; e.failure.is_some() }
                    2 => { let (e, w) = Execution::perform(&program, rules, pos, &c2, &pulse); pos = w; e.failure.is_some() }
                    _ => { let (e, w) = Execution::perform(&program, rules, surw, &c2, &pulse); surw = w; surw.learn(&e.events, &e.objects, &e.parents()); e.failure.is_some() }
                };
                if failed || n >= 5000 { if !failed { missed += 1 } break }
            }
            total += n;
        }
        sender.send((total as f64 / 100.0, missed)).unwrap();
    }), None).unwrap();
    receiver.recv().unwrap()
}
