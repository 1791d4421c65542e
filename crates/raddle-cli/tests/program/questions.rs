//! `raddle ingest query`, `rejected` and `import`, and the live line of a terminal.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::support::{Ingest, RADDLE, Scratch, number, text, until, within_limit};

/// A database with some messages, also of a second source.
fn filled(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0 --listen udp://127.0.0.1:0"));
    ingest
        .send(b"<11>1 2026-01-02T03:04:05Z web1 shop - - - failed\nplain\nescape \x1b[2J\nnot UTF-8 \xff\n");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"a datagram", ingest.addresses[1]).unwrap();
    let ended = ingest.stop();
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert_eq!(ended.last_line(), "received 5 = stored 4 + rejected 1", "{ended:?}");
    scratch
}

#[track_caller]
fn answer(scratch: &Scratch, command: &str) -> String {
    let output = scratch.run(command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn newest_messages_are_shown_with_conditions() {
    within_limit(|| {
        let scratch = filled("query");
        let out = answer(&scratch, "ingest query");
        assert_eq!(out.lines().count(), 4, "{out}");
        assert!(
            out.contains(" tcp 127.0.0.1:") && out.contains(" udp 127.0.0.1:") && out.contains(" plain\n"),
            "{out}"
        );
        assert!(out.contains("escape \\u{1b}[2J") && !out.contains('\u{1b}'), "{out}");
        let out = answer(&scratch, "ingest query --host web1 --severity 3 --json");
        let object: serde_json::Value = serde_json::from_str(out.trim_end()).expect(&out);
        assert_eq!(
            (&object["app"], &object["sent"]),
            (&"shop".into(), &"2026-01-02T03:04:05.000000Z".into()),
            "{out}"
        );
        for command in
            ["query --text nowhere", "query --text nowhere --json", "query --count-by host --text nowhere"]
        {
            let output = scratch.run(&format!("ingest {command}"));
            assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""), "{command}");
            assert_eq!(text(&output.stderr), "raddle: no stored message meets the conditions\n", "{command}");
        }
        assert_eq!(answer(&scratch, "ingest query --newest 1 --source tcp").lines().count(), 1);
        let counts = answer(&scratch, "ingest query --count-by source");
        assert_eq!(counts, "           3  tcp\n           1  udp\n");
    });
}

#[test]
fn rate_is_plotted_over_the_time() {
    within_limit(|| {
        let scratch = filled("rate");
        let out = answer(&scratch, "ingest query --rate");
        assert!(out.contains('█') && out.lines().all(|line| line.ends_with("/s")), "{out}");
        let json = answer(&scratch, "ingest query --rate --since 1min --json");
        let messages =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).expect(line)["messages"].as_u64();
        assert_eq!(json.lines().filter_map(messages).sum::<u64>(), 4, "{json}");
    });
}

#[test]
fn rejected_messages_are_shown_with_their_reason() {
    within_limit(|| {
        let scratch = filled("rejected");
        let out = answer(&scratch, "ingest rejected --database messages.db");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(lines[0].starts_with("           1  not UTF-8, the latest at 20"), "{out}");
        assert!(lines[1].ends_with(r" not UTF-8, 11 bytes: not UTF-8 \xff"), "{out}");
        let object: serde_json::Value =
            serde_json::from_str(answer(&scratch, "ingest rejected --json").trim_end()).unwrap();
        assert_eq!(object["reason"], "not UTF-8");
        let output = scratch.run("ingest rejected --text nowhere");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(text(&output.stderr), "raddle: no rejected message meets the conditions\n");
    });
}

#[test]
fn long_rejected_message_is_shortened_in_text_only() {
    within_limit(|| {
        let scratch = Scratch::new("long-rejected");
        let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        ingest.send(&[&[b'x'; 9999][..], b"\xff\n"].concat());
        assert_eq!(ingest.stop().status, Some(3));
        let out = answer(&scratch, "ingest rejected");
        let end = format!(" not UTF-8, 10000 bytes: {}… (10000 bytes)", "x".repeat(256));
        assert!(out.trim_end().ends_with(&end), "{out}");
        let json = answer(&scratch, "ingest rejected --json");
        assert!(json.contains(&format!("{}\\\\xff", "x".repeat(9999))), "{json}");
    });
}

#[test]
fn queries_of_a_missing_database_fail_with_one_line() {
    let scratch = Scratch::new("no-database");
    for command in ["ingest query", "ingest rejected"] {
        let output = scratch.run(command);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(
            err.contains("messages.db") && err.contains("No such file") && err.lines().count() == 1,
            "{err}"
        );
        assert!(!scratch.path("messages.db").exists(), "a question creates nothing");
    }
}

#[test]
fn import_stores_each_message_once_and_removes_the_file() {
    within_limit(|| {
        let scratch = Scratch::new("import-command");
        let database = scratch.path("messages.db");
        let mut ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0 --deadline 200ms"));
        let lock = Connection::open(&database).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"one\ntwo\nnot UTF-8 \xff\n");
        ingest.read_error_until("cannot store messages: ");
        assert_eq!(ingest.stop().status, Some(4));
        lock.execute_batch("ROLLBACK").unwrap();
        let output = scratch.run("ingest import --database messages.db");
        let out = text(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        assert!(out.contains("messages.db.unstored: 2 messages stored, 1 rejected"), "{out}");
        assert_eq!(number(&database, "SELECT count(*) FROM messages"), 2);
        assert_eq!(answer(&scratch, "ingest import"), "there are no files of unstored messages\n");
    });
}

#[test]
fn import_leaves_other_files_unchanged() {
    within_limit(|| {
        let scratch = filled("import-other");
        let database = scratch.path("messages.db");
        std::fs::write(scratch.path("notes"), "a text\nof two lines").unwrap();
        std::os::unix::fs::symlink(&database, scratch.path("link")).unwrap();
        let output = scratch.run("ingest import --database messages.db missing notes messages.db ./link");
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 4, "{err}");
        assert!(
            lines[0].contains("cannot import missing: No such file") && !lines[0].contains("remains"),
            "{err}"
        );
        assert!(lines[1].contains("notes: it is not a file of unstored messages"), "{err}");
        assert!(lines[1].ends_with("; the file remains"), "{err}");
        assert!(lines[2].ends_with("cannot import messages.db: it is a part of the database"), "{err}");
        assert!(lines[3].ends_with("cannot import ./link: it is a part of the database"), "{err}");
        assert_eq!(std::fs::read_to_string(scratch.path("notes")).unwrap(), "a text\nof two lines");
        assert_eq!(number(&database, "SELECT count(*) FROM messages"), 4);
        // Not the database of the command.
        std::fs::remove_file(scratch.path("link")).unwrap();
        let before = std::fs::read(&database).unwrap();
        let output = scratch.run("ingest import --database other.db messages.db");
        let err = text(&output.stderr);
        assert!(err.contains("messages.db: it is not a file of unstored messages"), "{err}");
        assert_eq!(std::fs::read(&database).unwrap(), before);
    });
}

#[test]
fn long_messages_fit_into_a_terminal_unless_whole_texts_are_wanted() {
    within_limit(|| {
        let scratch = filled("width");
        let database = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        database.execute("UPDATE messages SET text = ?1", ["é".repeat(65_536)]).unwrap();
        drop(database);
        // To a program, as in a pipe, whole texts are written.
        let whole = answer(&scratch, "ingest query");
        assert!(whole.lines().all(|line| line.ends_with(&"é".repeat(65_536))), "{whole:.200}");
        for (flag, is_short) in [("", true), ("--full", false)] {
            let mut command = Command::new("script");
            command.current_dir(scratch.path("")).env("TERM", "xterm").env("SHELL", "/bin/sh");
            let query = format!("stty rows 24 cols 60; exec {RADDLE} ingest query {flag}");
            let Ok(output) = command.args(["-qec", &query, "/dev/null"]).stdin(Stdio::null()).output() else {
                return assert!(std::env::var_os("CI").is_none(), "script(1) is missing");
            };
            let shown = text(&output.stdout);
            let lines: Vec<&str> = shown.lines().filter(|line| line.contains("é")).collect();
            assert_eq!(lines.len(), whole.lines().count(), "{shown:.500}");
            let is_shown_short = lines.iter().all(|line| line.trim_end().chars().count() <= 60);
            assert_eq!(is_shown_short, is_short, "{shown:.500}");
        }
    });
}

#[test]
fn terminal_has_a_live_line_and_the_log_above_it() {
    within_limit(|| {
        let scratch = Scratch::new("live");
        let mut command = Command::new("script");
        command.current_dir(scratch.path("")).env("TERM", "xterm").env("SHELL", "/bin/sh");
        // `exec`: a shell that waits for the program would receive the Ctrl-C as well, and its status would be reported.
        command.args(["-qec", &format!("exec {RADDLE} ingest --listen 127.0.0.1:0"), "typescript"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: no program script");
            return;
        };
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").and_then(|it| it.split(',').next());
        let mut peer = std::net::TcpStream::connect(address.expect(&line)).unwrap();
        peer.write_all(b"one\n").unwrap();
        until(|| number(&scratch.path("messages.db"), "SELECT count(*) FROM messages") == 1);
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&seen).contains("queue 0 of 20000  stored 1  rejected 0") {
            let length = out.read(&mut buffer).unwrap();
            assert!(length > 0, "{:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..length]);
        }
        // Ctrl-C at the terminal.
        child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        let mut rest = Vec::new();
        out.read_to_end(&mut rest).unwrap();
        let rest = text(&rest);
        assert!(rest.contains("raddle: stopping: "), "{rest:?}");
        assert!(rest.trim_end().ends_with("received 1 = stored 1 + rejected 0"), "{rest:?}");
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}");
    });
}
