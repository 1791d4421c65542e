//! The output of the comparison of the toolkit.

use std::env;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use serde_json::Value;

/// Runs a short comparison and returns its output.
fn short(args: &[&str]) -> String {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    bench.args(["--short", "--rounds", "1", "--no-python"]).args(args);
    let output = bench.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_case_has_samples_of_raddle_and_a_peer() {
    let table: Value =
        serde_json::from_str(&short(&["--json", "--case", "lock/", "--case", "1p1c"])).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 5, "{table:#}");
    for case in cases {
        let contenders = case["contenders"].as_array().unwrap();
        for kind in ["raddle", "peer"] {
            assert!(contenders.iter().any(|it| it["kind"] == kind), "{case:#}");
        }
        for contender in contenders {
            let [sample] = &contender["samples"].as_array().unwrap()[..] else { panic!("{contender:#}") };
            assert!(sample["value"].as_f64().unwrap() >= 0.0, "{contender:#}");
        }
    }
}

#[test]
fn table_names_the_best_peer_and_the_goal() {
    let table = short(&["--case", "pool/futures"]);
    let goal = if available_parallelism().unwrap().get() > 1 { "goal 0.8" } else { "goal 1.5" };
    for part in ["raddle ThreadPoolExecutor", "rusty_pool", "best", goal, "goals reached"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn busy_processes_set_the_same_goal_for_every_ratio() {
    let table = short(&["--case", "event/unc", "--busy", "1"]);
    for part in ["goal 1.5", "only used the processors meanwhile: 1."] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn every_case_is_measured() {
    let table: Value = serde_json::from_str(&short(&["--json"])).unwrap();
    let is_sampled = |it: &Value| it["samples"].as_array().unwrap().len() == 1;
    for case in table["cases"].as_array().unwrap() {
        assert!(case["contenders"].as_array().unwrap().iter().all(is_sampled), "{case:#}");
        assert!(case["ok"].is_boolean(), "{case:#}");
    }
}

#[test]
fn chart_closes_every_element() {
    let path = env::temp_dir().join(format!("raddle-bench-{}.svg", std::process::id()));
    short(&["--case", "lock/", "--svg", path.to_str().unwrap()]);
    let svg = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && svg.starts_with("<svg ") && svg.matches("<rect ").count() > 2, "{svg}");
}

#[test]
fn unknown_case_is_an_error() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    let output = bench.args(["--case", "no such case"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--list"));
}
