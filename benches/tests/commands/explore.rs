//! The output of `explore`.

use std::process::Command;

use serde_json::Value;

/// Runs one round with two seeds and returns the table.
fn explore(more: &[&str]) -> Value {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    bench.args(["explore", "--json", "--rounds", "1", "--seeds", "2"]).args(more);
    let output = bench.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn rows(table: &Value) -> &Vec<Value> {
    table["rows"].as_array().unwrap()
}

#[test]
fn every_tool_finds_a_lost_update() {
    let table = explore(&["--program", "lost-update", "--goal", "first-bug"]);
    for row in rows(&table) {
        assert_eq!(row["stopped"], Value::Null, "{row}");
        assert!(row["executions"].as_f64().unwrap() >= 1.0, "{row}");
    }
}

#[test]
fn every_tool_continues_after_failures_and_finds_none_in_repaired_programs() {
    let cases = [("lost-update", "takes-part"), ("lost-update", "joins"), ("philosophers", "takes-part")];
    for (program, main) in cases {
        let goals = ["--goal", "cover", "--goal", "cover-repaired"];
        let table = explore(&[&goals[..], &["--program", program, "--main", main]].concat());
        for row in rows(&table) {
            let sample = &row["samples"][0];
            let (executions, failures) = (sample["executions"].as_u64(), sample["failures"].as_u64());
            assert_eq!(row["stopped"], Value::Null, "{row}");
            assert_eq!(failures > Some(0), row["goal"] == "cover", "{row}");
            assert!(failures < executions, "{row}");
        }
    }
}

#[test]
fn measurement_beyond_the_timeout_is_stopped_and_reported() {
    let shuttle = ["--tool", "shuttle-dfs", "--program", "buffer", "--main", "joins"];
    let table = explore(&[&shuttle[..], &["--goal", "cover-repaired", "--limit", "1"]].concat());
    let [row] = &rows(&table)[..] else { panic!("{table:#}") };
    assert!(row["stopped"].as_str().unwrap().starts_with("not covered; stopped after"), "{row}");
    assert_eq!(
        (&row["seconds"], &row["executions"], &row["ratio"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}
