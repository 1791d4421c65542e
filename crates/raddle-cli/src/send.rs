//! The command `raddle send`.
#![allow(clippy::doc_markdown, reason = "the help shows this text as it is")]

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use raddle::{Event, Thread, time};
use raddle_ingest::{Latency, SendOptions, SendProgress, SendProtocol, SendReport, send};

use crate::failure::Failure;
use crate::output::{hide_live, print_line, show_live};
use crate::values;

/// Interval of the live line.
const FRAME: Duration = Duration::from_millis(200);

/// Sends numbered messages, to test a receiver, and measures acknowledgements.
///
/// The texts are "connection 3 message 17", both numbers counted from 1.
///
/// Over tcp, octet and udp, messages are not acknowledged. After the last message,
/// each TCP connection waits until the receiver closes its end, as raddle ingest
/// does once it has read everything. Over relp and http, unacknowledged messages
/// are sent again, also over a new connection if one is lost. A message that was
/// stored but not acknowledged may then be stored twice over relp; over http, the
/// messages are numbered, and raddle ingest stores each once.
///
/// At the end it prints how long the acknowledgements took. A receiver that neither
/// reads nor acknowledges anything for a while is a failure.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    allow_negative_numbers = true,
    after_help = "Examples:
  raddle send --to 127.0.0.1:5140 --messages 200000 --connections 8
  raddle send --to 127.0.0.1:5140 --protocol http --rate 5000 --messages 100000
  raddle send --to 127.0.0.1:5140 --protocol relp --burst 10000 --pause 1s

Exit status: 0 on success, 1 on failure, 2 for an invalid command line.
A failure is reported on standard error.
Sent does not mean stored: over tcp, octet and udp, only the account of the receiver
shows which messages arrived."
)]
pub(crate) struct SendArgs {
    /// Address and port of the receiver
    #[arg(long, value_name = "HOST:PORT", value_parser = values::host_and_port)]
    to: String,
    /// Protocol: lines over TCP, octet-counted frames over TCP, datagrams, RELP, or HTTP
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value_t = Protocol::Tcp)]
    protocol: Protocol,
    /// Number of messages, over all connections
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = values::number)]
    messages: u64,
    /// Number of connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = |text: &str| values::whole(text, 1..=10_000))]
    connections: u64,
    /// Messages per second, over all connections; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = |text: &str| values::whole(text, 0..=1_000_000_000))]
    rate: u64,
    /// Messages per burst, over all connections; 0 for a single burst
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = values::number)]
    burst: u64,
    /// Pause between bursts
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = values::time)]
    pause: Duration,
    /// Minimum length of a message; shorter ones are padded with dots
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = values::size)]
    size: usize,
    /// Begin messages with a syslog header (RFC 5424); those of octet always do
    #[arg(long)]
    header: bool,
    /// Maximum number of messages per connection that are not acknowledged
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = values::count)]
    window: usize,
    /// How long the receiver may neither read nor acknowledge anything
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::time)]
    timeout: Duration,
    /// How long to send again, without an acknowledgement in between, after a lost
    /// connection or a refusal
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = values::time)]
    retry_for: Duration,
    /// Name under which messages are numbered (http); sent again under the same name,
    /// they are not stored again [default: a new name for each run]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, value_parser = sender)]
    sender: String,
    /// Bearer token that the requests present (http)
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    token: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    Tcp,
    Octet,
    Udp,
    Relp,
    Http,
}

impl From<Protocol> for SendProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Octet => Self::Octet,
            Protocol::Udp => Self::Udp,
            Protocol::Relp => Self::Relp,
            Protocol::Http => Self::Http,
        }
    }
}

/// Checks a name, to which the number of the connection is appended.
fn sender(text: &str) -> Result<String, String> {
    if text.len() <= 150 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("expected a name of at most 150 letters, digits or signs, without spaces".to_owned())
    }
}

/// Checks a token, which becomes a part of a header.
fn token(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits or signs, without spaces".to_owned())
    }
}

pub(crate) fn run(args: &SendArgs) -> Result<(), Failure> {
    let of_http = [("--sender", !args.sender.is_empty()), ("--token", args.token.is_some())];
    let ignored =
        of_http.into_iter().find(|(_, is_given)| *is_given && !matches!(args.protocol, Protocol::Http));
    if let Some((flag, _)) = ignored {
        return Err(Failure::usage(format!(
            "{flag} has no effect without '--protocol http'. See 'raddle send --help'"
        )));
    }
    let options = SendOptions {
        protocol: args.protocol.into(),
        messages: args.messages,
        connections: args.connections,
        rate: args.rate,
        burst: args.burst,
        pause: args.pause,
        size: args.size,
        header: args.header,
        window: args.window,
        timeout: args.timeout,
        retry_for: args.retry_for,
        sender: args.sender.clone(),
        token: args.token.clone(),
    };
    let progress = Arc::new(SendProgress::default());
    let done = Arc::new(Event::new());
    if std::io::stderr().is_terminal() {
        show_progress(&options, progress.clone(), done.clone())?;
    }
    let begin = time::now();
    let outcome = send(&options, &args.to, &progress);
    done.set();
    hide_live();
    let report = outcome.map_err(|error| Failure::new(format!("{}: {error}", args.to)))?;
    print_report(&options, &report, time::now() - begin);
    Ok(())
}

/// Shows the progress of sending, until `done`.
fn show_progress(
    options: &SendOptions,
    progress: Arc<SendProgress>,
    done: Arc<Event>,
) -> Result<(), Failure> {
    let (messages, is_acknowledged) = (options.messages, options.protocol.is_acknowledged());
    let begin = time::now();
    let display = Thread::new(move || {
        while !done.wait_timeout(FRAME) {
            let sent = progress.sent();
            let rate = per_second(sent, time::now() - begin);
            let sent = format!("sent {sent} of {messages}, {rate} per second");
            show_live(if is_acknowledged {
                let (acknowledged, resent) = (progress.acknowledged(), progress.resent());
                format!("{sent}, acknowledged {acknowledged}, sent again {resent}")
            } else {
                sent
            });
        }
    });
    drop(display.name("progress").daemon(true).start().map_err(Failure::new)?);
    Ok(())
}

fn print_report(options: &SendOptions, report: &SendReport, time: Duration) {
    let (seconds, rate) = (time.as_secs_f64(), per_second(report.sent, time));
    print_line(&format!(
        "sent {} messages over {} connections in {seconds:.1} s, {rate} per second",
        report.sent, options.connections
    ));
    if !options.protocol.is_acknowledged() {
        return;
    }
    let SendReport { acknowledged, duplicates, rejected, resent, reconnections, .. } = report;
    print_line(&format!(
        "acknowledged {acknowledged}: {duplicates} stored before, {rejected} rejected; \
         sent again {resent}, over {reconnections} new connections"
    ));
    print_line(&latencies(&report.latency));
}

/// Describes the latencies of acknowledgements.
pub(crate) fn latencies(latency: &Latency) -> String {
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let [half, most, max] = [latency.quantile(0.5), latency.quantile(0.99), latency.max()].map(millis);
    format!("acknowledgement latency: p50 {half}, p99 {most}, max {max}")
}

fn per_second(messages: u64, time: Duration) -> u128 {
    u128::from(messages) * 1000 / time.as_millis().max(1)
}
