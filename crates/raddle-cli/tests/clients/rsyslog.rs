//! rsyslog: omfwd with both framings, and omrelp.

use std::process::{Child, Command, Stdio};

use super::support::{self, within_limit};
use super::{Given, Kind, program};

/// A running rsyslogd that reads a file, and sends each line by `actions`.
struct Rsyslog(Child);

impl Rsyslog {
    fn start(rsyslogd: &std::path::Path, given: &Given, action: &str) -> Self {
        let path = given.scratch.path("rsyslog.conf");
        let folder = path.parent().expect("a folder").display().to_string();
        let config = format!(
            r#"
global(workDirectory="{folder}" localHostname="sender")
module(load="imfile")
module(load="omrelp")
template(name="form" type="string" string="<%PRI%>1 %timestamp:::date-rfc3339% %HOSTNAME% given - - - %msg%")
input(type="imfile" File="{folder}/lines" Tag="given" Facility="local5" Severity="notice")
{action}
"#
        );
        std::fs::write(&path, config).expect("a file");
        let child = Command::new(rsyslogd)
            .args(["-n", "-i"])
            .arg(given.scratch.path("pid"))
            .arg("-f")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("rsyslogd runs");
        Self(child)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn send(test: &str, action: impl Fn(&Given) -> String) {
    let Some(rsyslogd) = program("rsyslogd") else { return };
    let given = Given::new(test);
    // The end of the last line shows that no byte is missing.
    let lines: String = (1..=5000).flat_map(|number| [format!("line {number}"), "\n".into()]).collect();
    std::fs::write(given.scratch.path("lines"), lines).expect("a file");
    let rsyslog = Rsyslog::start(&rsyslogd, &given, &action(&given));
    given.until_stored(5000);
    drop(rsyslog);
    let path = given.scratch.path("messages.db");
    assert_eq!(support::number(&path, "SELECT count(DISTINCT body) FROM readable"), 5000);
    let rows = given.stop(
        5000,
        "SELECT concat_ws('|', facility, severity, host, app, count(*), min(body), max(body), count(sent)) FROM parsed
         GROUP BY facility, severity, host, app",
    );
    assert_eq!(rows, ["21|5|sender|given|5000|line 1|line 999|5000"]);
}

#[test]
fn messages_of_omfwd_with_newlines_are_stored() {
    within_limit(|| {
        send("omfwd-lines", |given| {
            let port = given.port(Kind::Tcp);
            format!(r#"action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="form")"#)
        });
    });
}

#[test]
fn messages_of_omfwd_in_its_own_forms_are_stored() {
    within_limit(|| {
        for form in
            ["RSYSLOG_TraditionalForwardFormat", "RSYSLOG_ForwardFormat", "RSYSLOG_SyslogProtocol23Format"]
        {
            send(form, |given| {
                let port = given.port(Kind::Tcp);
                format!(
                    r#"action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="{form}")"#
                )
            });
        }
    });
}

#[test]
fn messages_of_omfwd_with_octet_counts_are_stored() {
    within_limit(|| {
        send("omfwd-octets", |given| {
            let port = given.port(Kind::Tcp);
            format!(
                r#"action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="form" TCP_Framing="octet-counted")"#
            )
        });
    });
}

#[test]
fn messages_of_omrelp_are_stored_on_its_port_and_on_the_port_of_lines() {
    within_limit(|| {
        for kind in [Kind::Relp, Kind::Tcp] {
            send("omrelp", |given| {
                let port = given.port(kind);
                format!(r#"action(type="omrelp" target="127.0.0.1" port="{port}" template="form")"#)
            });
        }
    });
}
