//! Settings: `raddle ingest check`, wrong settings, the example file.

use crate::support::{Ingest, Scratch, text, within_limit};

fn example() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/ingest.toml").to_owned()
}

#[test]
fn check_explains_every_value_and_its_origin() {
    let scratch = Scratch::new("check");
    std::fs::write(scratch.path("s.toml"), "[queue]\nmessages = 5\n").unwrap();
    let output = scratch.run("ingest check --config s.toml --linger 5ms");
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for line in [
        "  messages = 5    s.toml:2",
        "      The capacity of the queue in messages.",
        "  linger = \"5ms\"    --linger",
        "  level = \"info\"    default",
    ] {
        assert!(out.lines().any(|it| it == line), "no {line:?} in {out}");
    }
    assert!(!scratch.path("messages.db").exists(), "nothing is started");
}

#[test]
fn wrong_settings_are_one_line_and_exit_with_status_2() {
    let scratch = Scratch::new("wrong-settings");
    for (settings, words) in [
        ("[queue]\nmesages = 1", "raddle: s.toml:2: unknown key 'queue.mesages'; did you mean 'messages'?"),
        (
            "[queue]\nmessages = \"x\"",
            "raddle: s.toml:2: invalid value for queue.messages: expected a whole number, found \"x\"",
        ),
        (
            "[stop]\ngrace = \"2s\"\ndeadline = \"1s\"",
            "raddle: s.toml:3: stop.grace is longer than stop.deadline",
        ),
        ("[queue", "raddle: s.toml:1: invalid TOML: "),
    ] {
        std::fs::write(scratch.path("s.toml"), settings).unwrap();
        for command in ["ingest check --config s.toml", "ingest --config s.toml"] {
            let output = scratch.run(command);
            let err = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{err}");
            assert!(err.starts_with(words) && err.lines().count() == 1, "{err}");
            assert_eq!(text(&output.stdout), "");
        }
    }
    let output = scratch.run("ingest check --config nowhere.toml");
    let err = text(&output.stderr);
    assert_eq!(
        (output.status.code(), err.contains("cannot read the settings in nowhere.toml: No such file")),
        (Some(2), true),
        "{err}"
    );
    assert!(!scratch.path("messages.db").exists());
}

#[test]
fn example_file_starts_the_program() {
    within_limit(|| {
        let scratch = Scratch::new("example");
        let command = format!("ingest --config {} --listen 127.0.0.1:0", example());
        let ingest = Ingest::start(scratch.raddle(&command));
        ingest.send(b"one\n");
        assert_eq!(ingest.stop().last_line(), "received 1 = stored 1 + rejected 0");
    });
}

#[test]
fn loopback_is_the_default_and_other_addresses_are_noted() {
    let scratch = Scratch::new("loopback");
    let output = scratch.run("ingest check");
    assert!(text(&output.stdout).contains("  address = \"127.0.0.1:5140\"    default"));
    let output = scratch.run("ingest check --listen 0.0.0.0:5140");
    assert!(
        text(&output.stdout)
            .contains("note: listener 'tcp' is reachable from other machines at 0.0.0.0:5140")
    );
}
