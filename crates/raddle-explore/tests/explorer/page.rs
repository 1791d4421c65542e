//! The page of a report in a headless Chromium, if there is one. `CHROMIUM` names it. If that or `CI` is set, a
//! missing browser is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use raddle::{Lock, Shared, Thread, trace};
use raddle_explore::{Explorer, Report};

/// The browser, if this machine has one.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from);
    let works =
        |name: &PathBuf| Command::new(name).arg("--version").output().is_ok_and(|it| it.status.success());
    let found = named.iter().chain(&usual).find(|name| works(name)).cloned();
    let must = named.is_some() || std::env::var_os("CI").is_some();
    assert!(found.is_some() || !must, "no Chromium was found; set CHROMIUM to its path");
    found
}

/// Returns the document after the page has processed the fragment of its address.
fn dom(browser: &Path, page: &Path, fragment: &str) -> String {
    // A second browser with the same profile would pass the page on to the first, and print nothing.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let profile = std::env::temp_dir().join(format!("raddle-page-{}-{number}", std::process::id()));
    let quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ];
    let address = format!("file://{}#{fragment}", page.display());
    let output = Command::new(browser)
        .args(quiet)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(address)
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(profile);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn written(report: &Report, name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("raddle-pages-{}-{name}", std::process::id()));
    report.write_to(&directory).unwrap()
}

fn lost_update() -> Box<Report> {
    Explorer::new()
        .run(|| {
            let value = Arc::new(Shared::new(0));
            trace::name(&*value, "<value>");
            let threads = [(); 2].map(|()| {
                let value = value.clone();
                Thread::new(move || value.set(value.get() + 1)).name("<adder>").start().unwrap()
            });
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(value.get(), 2, "</script>an update was lost");
        })
        .expect_failure()
}

fn deadlock() -> Box<Report> {
    Explorer::new()
        .run(|| {
            let forks = Arc::new([Lock::new(), Lock::new(), Lock::new()]);
            let philosophers = [0, 1, 2].map(|place| {
                let forks = forks.clone();
                let dine = move || {
                    let _left = forks[place].lock();
                    let _right = forks[(place + 1) % 3].lock();
                };
                Thread::new(dine).name(format!("philosopher {place}")).start().unwrap()
            });
            for philosopher in philosophers {
                philosopher.join().unwrap();
            }
        })
        .expect_failure()
}

#[test]
fn lost_update_page_can_be_stepped_through() {
    let Some(browser) = browser() else { return eprintln!("no Chromium here: the page was not looked at") };
    let page = written(&lost_update(), "lost");
    let start = dom(&browser, &page, "step=0");
    assert!(start.contains("data-ready=\"true\"") && start.contains("data-step=\"0\""), "{start}");
    assert!(start.contains("&lt;/script&gt;an update was lost"), "text is text: {start}");
    let on = dom(&browser, &page, "step=0&keys=ArrowRight,ArrowRight,ArrowRight");
    assert!(on.contains("data-step=\"3\"") && on.contains("aria-current=\"step\""), "{on}");
    let back = dom(&browser, &page, "step=0&keys=End,ArrowLeft,Home,ArrowRight");
    assert!(back.contains("<body data-step=\"1\"") || back.contains("data-step=\"1\""), "{back}");
    let dark = dom(&browser, &page, "theme=dark&keys=End");
    for expected in ["0 → 1", "1 → 1", "&lt;value&gt;", "&lt;adder&gt;", "RADDLE_REPLAY=r2oe-", "act pair"]
    {
        assert!(dark.contains(expected), "{expected}: {dark}");
    }
    std::fs::remove_dir_all(page.parent().unwrap()).unwrap();
}

#[test]
fn deadlock_page_shows_the_cycle_at_the_end() {
    let Some(browser) = browser() else { return eprintln!("no Chromium here: the page was not looked at") };
    let page = written(&deadlock(), "deadlock");
    let end = dom(&browser, &page, "keys=End");
    assert!(end.contains("cycle-words") && end.contains("class=\"ring\""), "{end}");
    assert_eq!(end.matches("class=\"act stuck\"").count(), 4, "three philosophers, and main: {end}");
    let before = dom(&browser, &page, "step=2");
    assert!(!before.contains("class=\"ring\""), "{before}");
    std::fs::remove_dir_all(page.parent().unwrap()).unwrap();
}
