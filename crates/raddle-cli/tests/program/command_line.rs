//! The command line: valid and invalid arguments, help, the demo.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::support::{Ingest, Scratch, number, text, within_limit};

/// Exactly one line on standard error, nothing on standard output, and the status.
#[track_caller]
fn one_line(output: &Output, status: i32) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(out, "");
    assert!(err.starts_with("raddle: ") && err.ends_with('\n') && err.lines().count() == 1, "{err:?}");
    assert!(err.len() > 20 && !err.contains("panicked"), "{err:?}");
    assert_eq!(output.status.code(), Some(status), "{err}");
    err
}

#[test]
fn invalid_command_line_prints_one_line_and_exits_with_status_2() {
    let scratch = Scratch::new("usage");
    for (args, words) in [
        ("", "demo, ingest or send"),
        ("serve", "'serve'"),
        ("ingest --lisen x", "'--lisen'"),
        ("ingest --quue 1", "a similar argument exists: '--queue'. See 'raddle ingest --help'"),
        ("ingest --queue", "'--queue <N>'"),
        ("ingest --queue 0", "expected a whole number from 1 to "),
        ("ingest --queue -1", "'-1' for '--queue <N>': expected a whole number from 1 to 100000000"),
        ("ingest --listen nonsense", "'nonsense' for '--listen <[KIND://]HOST:PORT>': expected HOST:PORT"),
        ("ingest --listen localhost", "expected HOST:PORT, such as 127.0.0.1:5140, localhost:5140 or "),
        ("send --to nonsense", "expected HOST:PORT"),
        ("ingest --queue many", "'many'"),
        ("ingest --linger 20", "expected a duration in us, ms, s, min, h or d, such as 20ms"),
        ("ingest --max-message 1.5MiB", "expected a size that begins with a whole number"),
        ("ingest --max-message 0", "at least 1 byte"),
        ("ingest extra", "'extra'"),
        ("send", "--to <HOST:PORT>"),
        ("send --to 127.0.0.1:1 --connections 0", "expected a whole number from 1 to "),
        ("send --to 127.0.0.1:1 --token secret", "--token has no effect without '--protocol http'"),
        ("send --to 127.0.0.1:1 --protocol relp --sender me", "--sender has no effect without"),
        ("demo --messages -1", "'-1'"),
    ] {
        let line = one_line(&scratch.run(args), 2);
        assert!(line.contains(words) && line.contains("--help'"), "{args}: {line}");
    }
}

#[test]
fn failed_start_prints_one_line_and_exits_with_status_1() {
    let scratch = Scratch::new("failures");
    std::fs::write(scratch.path("file"), "not a database, but long enough to be taken for one").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = taken.local_addr().unwrap();
    for (args, words) in [
        (
            format!("ingest --listen {busy}"),
            format!("cannot listen on {busy} (tcp listener \"tcp\"): Address already in use"),
        ),
        ("ingest --listen nowhere.invalid:1".into(), "cannot listen on nowhere.invalid:1: ".into()),
        (
            "ingest --listen 127.0.0.1:0 --database file/m.db".into(),
            "cannot open file/m.db: Not a directory".into(),
        ),
        ("ingest --listen 127.0.0.1:0 --database /proc/m.db".into(), "cannot open /proc/m.db".into()),
        ("ingest --listen 127.0.0.1:0 --database file".into(), "file is not a database of messages".into()),
        ("demo --database file".into(), "file is not a database of messages".into()),
        ("demo --database nowhere/m.db".into(), "cannot open nowhere/m.db: No such file".into()),
        ("send --to nowhere.invalid:1".into(), "nowhere.invalid:1: cannot resolve the address".into()),
        ("send --to 127.0.0.1:1".into(), "could not be established: Connection refused".into()),
    ] {
        let line = one_line(&scratch.run(&args), 1);
        assert!(line.contains(&words), "{args}: {line}");
    }
    assert!(!scratch.path("messages.db").exists(), "a failed start leaves no database");
}

#[test]
fn sending_nothing_does_not_wait_for_a_receiver_that_never_reads() {
    within_limit(|| {
        let scratch = Scratch::new("send-nothing");
        let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let output = scratch.run(&format!("send --to {to} --messages 0 --timeout 1h"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with("sent 0 messages over 8 connections"));
    });
}

#[test]
fn help_has_examples_defaults_and_exit_status() {
    let scratch = Scratch::new("help");
    for (args, words) in [
        ("--help", ["raddle demo", "raddle ingest", "raddle send"]),
        ("demo --help", ["Example:", "Exit status: 0", "--messages <N>"]),
        (
            "ingest --help",
            [
                "received = stored + rejected + duplicate + shed + unstored",
                "Exit status: 0",
                "sqlite3 messages.db",
            ],
        ),
        ("ingest check --help", ["Example:", "Exit status: 0", "--config <FILE>"]),
        ("send --help", ["Examples:", "Exit status: 0", "Sent does not mean stored"]),
        ("help ingest", ["Example:", "[default: 127.0.0.1:5140]", "[default: 64KiB]"]),
    ] {
        let output = scratch.run(args);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        for word in words {
            assert!(help.contains(word), "{args}: no {word:?} in {help}");
        }
    }
    assert!(text(&scratch.run("--version").stdout).starts_with("raddle "));
}

#[test]
fn closed_pipe_does_not_panic() {
    within_limit(|| {
        let scratch = Scratch::new("pipe");
        for args in ["--help", "demo --messages 100"] {
            let mut child =
                scratch.raddle(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!(text(&output.stderr), "", "{args}");
            assert_eq!(output.status.code(), Some(0), "{args}");
        }
    });
}

#[test]
fn database_of_a_running_demo_is_locked() {
    within_limit(|| {
        let scratch = Scratch::new("two-demos");
        // It does not end by itself.
        let mut first = scratch.raddle("demo --messages 100000000 --burst 500");
        let mut first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(first.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line}");
        for args in ["demo --messages 10", "demo --messages 10"] {
            let line = one_line(&scratch.run(args), 1);
            assert_eq!(line, "raddle: messages.db is in use by another program\n");
        }
        let mut waiting = Ingest::spawn(scratch.raddle("ingest --listen 127.0.0.1:0"));
        assert_eq!(waiting.read_error_line(), "raddle: messages.db is in use by another program: waiting\n");
        assert_eq!(waiting.stop().status, Some(0));
        assert!(first.try_wait().unwrap().is_none(), "the first is still running");
        let process = first.id();
        assert!(Command::new("sh").args(["-c", &format!("kill -INT {process}")]).status().unwrap().success());
        let output = first.wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "raddle: interrupted before everything was sent\n");
    });
}

#[test]
fn demo_replaces_its_database_with_its_messages() {
    within_limit(|| {
        let scratch = Scratch::new("demo");
        let database = scratch.path("messages.db");
        for _ in 0..2 {
            let output = scratch.run("demo --messages 20000 --burst 5000");
            let out = text(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
            for line in [
                "sending 20000 messages over 8 connections, in bursts of 5000: each is acknowledged once it is on disk",
                "started the server again: unacknowledged messages are sent again",
                "  sqlite3 messages.db 'SELECT * FROM readable LIMIT 10'",
                "or with:",
            ] {
                assert!(out.lines().any(|it| it == line), "no {line:?} in {out}");
            }
            for words in
                ["killed the server with signal 9: ", "acknowledged 20000, of which ", "latency: p50 "]
            {
                assert!(out.contains(words), "no {words:?} in {out}");
            }
            assert_eq!(number(&database, "SELECT count(*) FROM messages"), 20_000);
            assert_eq!(number(&database, "SELECT count(DISTINCT text) FROM messages"), 20_000);
        }
        assert_eq!(scratch.files(), [database], "the file stands alone");
    });
}

#[test]
fn killed_demo_leaves_no_server_and_the_next_one_removes_its_files() {
    within_limit(|| {
        let scratch = Scratch::new("killed-demo");
        let mut demo = scratch.raddle("demo --messages 100000000 --burst 0");
        let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(demo.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("sent ") {
            line.clear();
            out.read_line(&mut line).unwrap();
        }
        demo.kill().unwrap();
        // The error output ends when the server's does, too.
        let mut err = String::new();
        demo.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let stale = format!("messages.db.demo-{}", demo.id());
        demo.wait().unwrap();
        assert!(scratch.path(&stale).is_dir());
        // Neither a process of this number nor a directory of another database.
        std::fs::create_dir(scratch.path("messages.db.demo-1")).unwrap();
        std::fs::create_dir(scratch.path("other.db.demo-999999999")).unwrap();
        let output = scratch.run("demo --messages 100");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let mut left = scratch.files();
        left.sort();
        let kept = ["messages.db", "messages.db.demo-1", "other.db.demo-999999999"];
        assert!(left.starts_with(&[scratch.path(kept[0])]), "{left:?}");
        assert!(kept.iter().all(|name| scratch.path(name).exists()), "{left:?}");
        assert!(!scratch.path(&stale).exists(), "{left:?}");
    });
}

#[test]
fn interrupted_demo_leaves_nothing_behind() {
    within_limit(|| {
        let scratch = Scratch::new("interrupted-demo");
        let mut demo = scratch.raddle("demo --messages 100000000 --burst 0");
        let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(demo.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("sent ") {
            line.clear();
            out.read_line(&mut line).unwrap();
        }
        let process = demo.id();
        assert!(Command::new("sh").args(["-c", &format!("kill -INT {process}")]).status().unwrap().success());
        out.read_to_string(&mut line).unwrap();
        let output = demo.wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "raddle: interrupted before everything was sent\n");
        assert_eq!(output.status.code(), Some(1));
        // The end of its output is also the end of the server's, which has the same error output.
        assert_eq!(scratch.files(), [scratch.path("messages.db")]);
        assert_eq!(number(&scratch.path("messages.db"), "SELECT count(*) FROM messages"), 0);
    });
}
