//! Messages over RELP, with a real client.

use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use raddle_ingest::{Limits, ListenerKind, PipelineOptions, WhenFull};

use crate::serving::{Serving, program};
use crate::support::{Scratch, until, within_limit};

#[test]
fn answer_follows_the_commit() {
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let mut peer = serving.connect(ListenerKind::Relp);
        peer.send("1 open 30 relp_version=0\ncommands=syslog\n");
        assert!(peer.read_until("commands=syslog\n").starts_with("1 rsp "));
        serving.sink.set_outage(Some("locked"));
        peer.send("2 syslog 32 <11>Jan  1 00:00:00 web app: one\n3 syslog 2 \u{e9}\n4 syslog 1 \0\n");
        until(|| serving.pipeline.account().in_flight == 3);
        peer.stream.set_nonblocking(true).unwrap();
        assert!(peer.stream.peek(&mut [0]).is_err(), "there is no answer yet");
        peer.stream.set_nonblocking(false).unwrap();
        serving.sink.set_outage(None);
        assert_eq!(peer.read_until("4 rsp 6 200 OK\n"), "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n");
        let messages = serving.sink.messages();
        assert_eq!((messages[0].severity, messages[0].body.as_str()), (Some(3), "one"));
        assert_eq!(messages[1].text, "\u{e9}");
        assert_eq!(serving.sink.rejected()[0].reason, "contains NUL");
        peer.send("5 close 0\n");
        assert_eq!(peer.read_to_end(), "5 rsp 6 200 OK\n0 serverclose 0\n");
        assert_eq!(serving.stop().to_string(), "received 3 = stored 2 + rejected 1");
    });
}

#[test]
fn full_queue_is_answered_only_where_messages_are_shed() {
    for when_full in [WhenFull::Block, WhenFull::Shed] {
        within_limit(move || {
            let mut options = PipelineOptions::default();
            (options.queue, options.when_full) = (Limits { messages: 1, bytes: 1 << 20 }, when_full);
            let serving = Serving::new(&options);
            serving.sink.set_outage(Some("locked"));
            let mut first = serving.connect(ListenerKind::Relp);
            first.send("1 syslog 1 a\n");
            until(|| serving.pipeline.account().in_flight == 1);
            first.send("2 syslog 1 b\n");
            until(|| serving.pipeline.account().queued == 1);
            let mut second = serving.connect(ListenerKind::Relp);
            second.send("1 syslog 1 c\n");
            if when_full == WhenFull::Shed {
                assert_eq!(second.read_until("\n"), "1 rsp 21 500 the queue is full\n");
            }
            serving.sink.set_outage(None);
            assert_eq!(first.read_until("2 rsp 6 200 OK\n"), "1 rsp 6 200 OK\n2 rsp 6 200 OK\n");
            if when_full == WhenFull::Block {
                assert_eq!(second.read_until("\n"), "1 rsp 6 200 OK\n");
            }
            let expected = match when_full {
                WhenFull::Block => "received 3 = stored 3 + rejected 0",
                WhenFull::Shed => "received 3 = stored 2 + rejected 0 + shed 1",
            };
            assert_eq!(serving.stop().to_string(), expected);
        });
    }
}

#[test]
fn stopping_server_answers_stored_messages_only() {
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let mut peer = serving.connect(ListenerKind::Relp);
        peer.send("1 syslog 1 a\n");
        assert_eq!(peer.read_until("\n"), "1 rsp 6 200 OK\n");
        serving.sink.set_outage(Some("locked"));
        peer.send("2 syslog 1 b\n");
        until(|| serving.pipeline.account().in_flight == 1);
        let outcome = serving.stop_within(Duration::ZERO);
        assert_eq!(outcome.account.to_string(), "received 2 = stored 1 + rejected 0 + shed 1");
        assert_eq!(peer.read_to_end(), "0 serverclose 0\n");
    });
}

/// A running process, which is killed in the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts rsyslog, which reads lines from a file and sends them with omrelp.
///
/// `RADDLE_RSYSLOG` may name a folder into which the packages rsyslog, rsyslog-relp and their libraries are unpacked.
fn rsyslog(scratch: &Scratch, to: SocketAddr) -> Option<Running> {
    let unpacked = std::env::var("RADDLE_RSYSLOG").ok().map(PathBuf::from);
    let daemon = match &unpacked {
        Some(root) => root.join("usr/sbin/rsyslogd"),
        None => program("rsyslogd")?,
    };
    let (work, input) = (scratch.path("work"), scratch.path("input"));
    std::fs::create_dir_all(&work).unwrap();
    let configuration = format!(
        r#"
        global(workDirectory="{work}")
        module(load="imfile" mode="polling" pollingInterval="1")
        module(load="omrelp")
        template(name="raw" type="string" string="<%PRI%>%TIMESTAMP% %HOSTNAME% %syslogtag%%msg%\n")
        input(type="imfile" file="{input}" tag="app:" severity="warning" facility="local0")
        action(type="omrelp" target="{target}" port="{port}" template="raw" action.resumeRetryCount="-1"
               action.resumeInterval="1" queue.type="LinkedList" queue.size="100000")
        "#,
        work = work.display(),
        input = input.display(),
        target = to.ip(),
        port = to.port()
    );
    let file = scratch.path("rsyslog.conf");
    std::fs::write(&file, configuration).unwrap();
    let command = || {
        let mut command = Command::new(&daemon);
        command.arg("-f").arg(&file).arg("-i").arg(scratch.path("pid"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(root) = &unpacked {
            let libraries = root.join("usr/lib/x86_64-linux-gnu");
            command.arg("-M").arg(libraries.join("rsyslog")).env("LD_LIBRARY_PATH", libraries);
        }
        command
    };
    if !command().arg("-N1").status().expect("rsyslogd").success() {
        assert!(std::env::var_os("CI").is_none(), "omrelp is not installed: run .ci/peers");
        eprintln!("skipped: the package rsyslog-relp is not installed");
        return None;
    }
    Some(Running(command().arg("-n").spawn().expect("rsyslogd")))
}

fn lines(numbers: Range<u32>) -> String {
    numbers.fold(String::new(), |lines, number| lines + &format!("message {number}\n"))
}

/// Appends lines to the file that rsyslog reads.
fn add(scratch: &Scratch, numbers: Range<u32>) {
    let mut file = std::fs::File::options().append(true).open(scratch.path("input")).unwrap();
    file.write_all(lines(numbers).as_bytes()).unwrap();
}

/// Returns the numbers of the lines that are stored.
fn numbers(serving: &Serving) -> Vec<u32> {
    let number = |text: String| text.rsplit(' ').next().and_then(|it| it.parse().ok());
    serving.texts().into_iter().map(|text| number(text).expect("a number")).collect()
}

#[test]
fn rsyslog_delivers_across_an_outage() {
    within_limit(|| {
        let scratch = Scratch::new("relp-rsyslog");
        let serving = Serving::new(&PipelineOptions::default());
        let Some(_client) = rsyslog(&scratch, serving.address(ListenerKind::Relp)) else { return };
        std::fs::write(scratch.path("input"), lines(0..5000)).unwrap();
        until(|| serving.sink.messages().len() >= 2000);
        serving.sink.set_outage(Some("locked"));
        until(|| {
            serving.pipeline.intake().status().failure().is_some() || serving.sink.messages().len() == 5000
        });
        serving.sink.set_outage(None);
        add(&scratch, 5000..6000);
        until(|| serving.sink.messages().len() >= 6000);
        let messages = serving.sink.messages();
        let (severity, facility) = (messages[0].severity, messages[0].facility);
        assert_eq!((severity, facility, messages[0].app.as_deref()), (Some(4), Some(16), Some("app")));
        let mut numbers = numbers(&serving);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..6000).collect::<Vec<_>>());
        assert_eq!(serving.stop().to_string(), "received 6000 = stored 6000 + rejected 0");
    });
}

#[test]
fn rsyslog_keeps_messages_that_a_stopping_server_cannot_store() {
    within_limit(|| {
        let scratch = Scratch::new("relp-rsyslog-stop");
        let serving = Serving::new(&PipelineOptions::default());
        let address = serving.address(ListenerKind::Relp);
        let Some(_client) = rsyslog(&scratch, address) else { return };
        std::fs::write(scratch.path("input"), lines(0..5000)).unwrap();
        until(|| serving.sink.messages().len() >= 2000);
        serving.sink.set_outage(Some("locked"));
        add(&scratch, 5000..20_000);
        until(|| serving.pipeline.intake().status().failure().is_some());
        let first = serving.sink.clone();
        let outcome = serving.stop_within(Duration::ZERO);
        assert!(outcome.account.shed > 0 && outcome.account.lost() == 0, "{outcome:?}");
        let serving = Serving::at(address);
        let all = |serving: &Serving| {
            let mut all = numbers(serving);
            all.extend(first.messages().iter().map(|it| -> u32 {
                it.text.rsplit(' ').next().and_then(|it| it.parse().ok()).expect("a number")
            }));
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        until(|| serving.sink.messages().len() >= 20_000 - first.messages().len() && all(&serving) == 20_000);
        let account = serving.stop();
        assert_eq!((account.lost(), account.shed), (0, 0));
    });
}
