//! logger, curl, nc, loggen and Python.

use std::fmt::Write as _;
use std::process::Command;

use super::support::within_limit;
use super::{COLUMNS, Given, Kind, program};

#[test]
fn messages_of_logger_are_stored_over_every_transport() {
    within_limit(|| {
        let Some(logger) = program("logger") else { return };
        let given = Given::new("logger");
        let input: String = (1..=500).fold(String::new(), |mut text, number| {
            writeln!(text, "message {number}").expect("written");
            text
        });
        let tcp = ["--tcp", "--server", "127.0.0.1", "--port"];
        let port = given.port(Kind::Tcp);
        for format in [
            &["--rfc5424"][..],
            &["--rfc3164"],
            &["--rfc5424", "--octet-count"],
            &["--rfc3164", "--octet-count"],
        ] {
            let mut command = Command::new(&logger);
            command.args(tcp).arg(&port).args(format).args(["-p", "local3.warning", "-t", "given"]);
            given.run(&mut command, &input);
        }
        given.until_stored(2000);
        // A datagram is lost if the socket's buffer is full: few at a time.
        let port = given.port(Kind::Udp);
        for (format, stored) in [("--rfc5424", 2020), ("--rfc3164", 2040)] {
            let mut command = Command::new(&logger);
            command.args([
                "--udp",
                "--server",
                "127.0.0.1",
                "--port",
                &port,
                format,
                "-p",
                "mail.err",
                "-t",
                "given",
            ]);
            let first: String = input.lines().take(20).flat_map(|line| [line, "\n"]).collect();
            given.run(&mut command, &first);
            given.until_stored(stored);
        }
        let rows = given.stop(
            2040,
            "SELECT concat_ws('|', source, facility, severity, app, count(*), count(DISTINCT body), count(sent), min(body), max(body))
             FROM parsed GROUP BY source, facility, severity, app ORDER BY 1",
        );
        assert_eq!(
            rows,
            [
                "tcp|19|4|given|2000|500|2000|message 1|message 99",
                "udp|2|3|given|40|20|40|message 1|message 9"
            ]
        );
    });
}

#[test]
fn lines_and_arrays_of_curl_are_stored() {
    within_limit(|| {
        let Some(curl) = program("curl") else { return };
        let given = Given::new("curl");
        let url = format!("http://127.0.0.1:{}/", given.port(Kind::Http));
        let lines = "{\"message\":\"one\",\"severity\":3}\n{\"message\":\"two\"}\n";
        let answer = given.run(
            Command::new(&curl).args([
                "-sS",
                "--fail-with-body",
                "-H",
                "Content-Type: application/x-ndjson",
                "--data-binary",
                "@-",
                &url,
            ]),
            lines,
        );
        assert!(answer.contains('2'), "{answer}");
        let array = "[{\"message\":\"three\",\"host\":\"h\"},{\"message\":\"four\"},{\"message\":\"five\"}]";
        given.run(
            Command::new(&curl).args([
                "-sS",
                "--fail-with-body",
                "-H",
                "Content-Type: application/json",
                "--data-binary",
                "@-",
                &url,
            ]),
            array,
        );
        // The port of lines serves HTTP, too.
        let url = format!("http://127.0.0.1:{}/", given.port(Kind::Tcp));
        given.run(
            Command::new(&curl).args([
                "-sS",
                "--fail-with-body",
                "-H",
                "Content-Type: application/x-ndjson",
                "--data-binary",
                "@-",
                &url,
            ]),
            "{\"message\":\"six\"}\n",
        );
        let rows =
            given.stop(6, "SELECT concat_ws('|', source, severity, host, body) FROM parsed ORDER BY id");
        assert_eq!(rows, ["http|3|one", "http|two", "http|h|three", "http|four", "http|five", "tcp|six"]);
    });
}

#[test]
fn lines_of_nc_are_stored() {
    within_limit(|| {
        let Some(nc) = program("nc") else { return };
        let given = Given::new("nc");
        let port = given.port(Kind::Tcp);
        let input: String = (1..=5000).flat_map(|number| [format!("line {number}"), "\n".into()]).collect();
        given.run(Command::new(&nc).args(["-N", "127.0.0.1", &port]), &input);
        given.run(
            Command::new(&nc).args(["-N", "127.0.0.1", &port]),
            "<34>Oct 11 22:14:15 host su: unterminated",
        );
        let rows = given.stop(
            5001,
            "SELECT concat_ws('|', facility, severity, host, app, body) FROM parsed WHERE text LIKE '<%'",
        );
        assert_eq!(rows, ["4|2|host|su|unterminated"]);
    });
}

#[test]
fn messages_of_loggen_at_full_speed_are_stored() {
    within_limit(|| {
        let Some(loggen) = program("loggen") else { return };
        let usr = super::peers().join("usr");
        let given = Given::new("loggen");
        let port = given.port(Kind::Tcp);
        for format in [&[][..], &["--syslog-proto", "--no-framing"], &["--syslog-proto"]] {
            let mut command = Command::new(&loggen);
            command
                .env("LD_LIBRARY_PATH", usr.join("lib/syslog-ng"))
                .env("SYSLOGNG_PREFIX", &usr)
                .args([
                    "--inet",
                    "--stream",
                    "--active-connections=4",
                    "--number=5000",
                    "--rate=100000",
                    "--size=200",
                    "--quiet",
                ])
                .args(format)
                .args(["127.0.0.1", &port]);
            given.run(&mut command, "");
        }
        let path = given.scratch.path("messages.db");
        given.until_stored(60_000);
        let counts = super::number(&path, "SELECT count(DISTINCT peer) FROM messages");
        assert!(counts <= 12);
        let rows = given.stop(
            60_000,
            "SELECT concat_ws('|', facility, severity, host, app, count(*)) FROM messages GROUP BY facility, severity, host, app",
        );
        // Without --syslog-proto, the time is in a form that is in neither RFC, and ends the header.
        assert_eq!(rows.last().map(|row| &**row), Some("4|6|localhost|prg00000|40000"), "{rows:?}");
    });
}

#[test]
fn messages_of_python_logging_handlers_are_stored() {
    within_limit(|| {
        let Some(python) = program("python3") else { return };
        let given = Given::new("python");
        let script = format!(
            r#"
import logging, logging.handlers, socket
log = logging.getLogger("given")
log.setLevel(logging.INFO)
def send(handler, count):
    log.addHandler(handler)
    for number in range(count):
        log.warning("message %d", number)
    log.removeHandler(handler)
    handler.close()
Syslog = logging.handlers.SysLogHandler
send(Syslog(("127.0.0.1", {udp}), facility=Syslog.LOG_LOCAL1), 50)
# Over TCP, the handler terminates messages with NUL unless told otherwise.
tcp = Syslog(("127.0.0.1", {tcp}), facility=Syslog.LOG_LOCAL2, socktype=socket.SOCK_STREAM)
tcp.append_nul = False
tcp.setFormatter(logging.Formatter("python: %(message)s\n"))
send(tcp, 1000)
send(logging.handlers.HTTPHandler("127.0.0.1:{http}", "/", method="POST"), 20)
"#,
            udp = given.port(Kind::Udp),
            tcp = given.port(Kind::Tcp),
            http = given.port(Kind::Http)
        );
        given.run(Command::new(&python).arg("-"), &script);
        given.until_stored(1070);
        let rows = given.stop(
            1070,
            "SELECT concat_ws('|', source, facility, severity, app, count(*), min(body)) FROM parsed GROUP BY source, facility, severity, app ORDER BY 1",
        );
        assert_eq!(
            rows,
            ["http|4|20|message %d", "tcp|18|4|1000|python: message 0", "udp|17|4|50|message 0"]
        );
    });
}

#[test]
fn relp_is_recognised_on_the_port_of_lines() {
    within_limit(|| {
        let Some(nc) = program("nc") else { return };
        let given = Given::new("relp-by-hand");
        let offer = "relp_version=0\nrelp_software=by hand\ncommands=syslog";
        let input = format!("1 open {} {offer}\n2 syslog 11 <13>by hand\n3 close 0 \n", offer.len());
        let answer = given.run(Command::new(&nc).args(["-N", "127.0.0.1", &given.port(Kind::Tcp)]), &input);
        assert!(answer.contains("2 rsp 6 200 OK\n"), "{answer:?}");
        assert_eq!(given.stop(1, COLUMNS), ["tcp|1|5|by hand"]);
    });
}
