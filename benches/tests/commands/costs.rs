//! The output of `costs`.

use std::process::Command;

#[test]
fn every_cost_table_has_its_lines_and_values() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_raddle-bench"));
    let output = bench.args(["costs", "--short"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let tables: Vec<_> = text.trim().split("\n\n").collect();
    assert_eq!(tables.len(), 5, "{text}");
    for table in &tables {
        let (title, rows) = table.split_once('\n').unwrap();
        let values = title.split(';').count();
        for row in rows.lines() {
            let numbers = row.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
            assert!(numbers >= values, "{row}");
        }
    }
    assert!(tables[0].contains("a task that waits in a pool") && tables[1].contains("\n  8 "), "{text}");
}
