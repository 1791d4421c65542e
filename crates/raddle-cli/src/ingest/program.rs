//! `raddle ingest`: the start, the reload and the drain.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use raddle::{Event, Mutex, time};
use raddle_ingest::{
    Account, Books, Listener, ListenerKind, ListenerOptions, Pipeline, PipelineOptions, Server,
    ServerOptions, UnstoredFile, WhenFull, raise_descriptor_limit,
};
use serde_json::{Map, Value};

use super::books::{Counted, Reporter};
use super::control::{Control, LEFT};
use super::service::{self, Pulse, Watchdog, Watched};
use super::signals::Request;
use super::sink;
use super::sockets::{self, Passed};
use crate::failure::Failure;
use crate::output::{self, announce, report_error};
use crate::settings::{
    self, FromFlags, Kind, ListenSettings, Resolved, Settings, SinkSettings, SqliteSettings,
};
use crate::values;

/// Exit status if everything is stored, and some of it as rejected.
const REJECTS: u8 = 3;

/// How often the main thread checks whether the other threads are alive.
const LOOK: Duration = Duration::from_secs(1);

/// Descriptors besides those of connections: those of the database, and of other files.
const RESERVE: u64 = 1024;

/// How long replies may take after everything is stored.
const REPLIES: Duration = Duration::from_secs(5);

/// Receives messages until a signal or, if so requested, the end of standard input, and stores everything.
pub(crate) fn run(flags: FromFlags, stop_with_input: bool) -> Result<(), Failure> {
    // Before any thread is started, since it changes the environment.
    let passed = Passed::from_environment();
    let resolved = settings::resolve(&flags).map_err(Failure::usage)?;
    output::set_log(resolved.settings.log.json, resolved.settings.log.level);
    let passed = passed.map_err(Failure::new)?;
    let Some(program) = Program::start(flags, resolved, passed, stop_with_input)? else {
        announce("stopped before messages were received", Map::new());
        return Ok(());
    };
    program.run()
}

/// The running program.
struct Program {
    flags: FromFlags,
    resolved: Resolved,
    control: Control,
    counted: Counted,
    server: Server,
    pipeline: Pipeline,
    /// The settings of the reporter.
    reported: Arc<Mutex<(Option<Duration>, usize)>>,
    /// Set when the drain begins, and when it ends.
    stopping: Arc<Event>,
    done: Arc<Event>,
}

impl Program {
    /// Starts everything. Returns `None` if a signal requested the stop before that.
    fn start(
        flags: FromFlags,
        resolved: Resolved,
        mut passed: Passed,
        stop_with_input: bool,
    ) -> Result<Option<Self>, Failure> {
        let settings = &resolved.settings;
        if let Err(error) = raise_descriptor_limit(settings.connections as u64 + RESERVE) {
            log::warn!("{error}");
        }
        let control = Control::start()?;
        if stop_with_input {
            control.stop_with_input()?;
        }
        // The sockets come first: a later failure then leaves no database behind, and peers may wait in the
        // backlog.
        let listeners = settings.listeners.iter().map(|it| listener(it, &mut passed));
        let listeners: Vec<Listener> = listeners.collect::<Result<_, _>>().map_err(Failure::new)?;
        passed.none_left().map_err(Failure::new)?;

        let books = Books::new();
        let is_stopping = || control.is_stopping();
        let Some(mut sink) = sink::open(&settings.sink, &books, &is_stopping)? else { return Ok(None) };
        let base = sink::unstored_base(settings);
        sink::import_unstored(&base, &mut *sink, &books, &is_stopping);
        if control.is_stopping() {
            sink.close()?;
            return Ok(None);
        }
        let pulse = Pulse::default();
        let sink = Box::new(Watched::new(sink, pulse.clone()));
        let mut unstored = UnstoredFile::beside(&base, &books);
        if let SinkSettings::Sqlite(SqliteSettings { mode: Some(mode), .. }) = settings.sink {
            unstored = unstored.mode(mode);
        }
        let pipeline = Pipeline::start(sink, Box::new(unstored), books.clone(), &pipeline_options(settings))?;
        let server = match Server::start(listeners, pipeline.intake().clone(), &server_options(settings)) {
            Ok(server) => server,
            Err(error) => {
                let _ = pipeline.finish(Duration::ZERO); // nothing was received
                return Err(error.into());
            }
        };
        resolved.notes.iter().for_each(|note| log::warn!("{note}"));
        let counted = Counted { books, counters: server.counters().clone() };
        control.count(counted.clone());
        let reported = Arc::new(Mutex::new((settings.status, settings.queue.messages)));
        let done = Arc::new(Event::new());
        let live = std::io::IsTerminal::is_terminal(&std::io::stderr())
            && !settings.log.json
            && settings.status.is_some();
        let watchdog = Watchdog::requested(pulse, time::now());
        let stopping = Arc::new(Event::new());
        let report = Reporter {
            counted: counted.clone(),
            settings: reported.clone(),
            watchdog,
            stopping: stopping.clone(),
            live,
        };
        report.start(done.clone())?;
        for (source, kind, address) in server.addresses() {
            let name = if *source == *kind.to_string() { String::new() } else { format!(" \"{source}\"") };
            let fields = [
                ("address", address.to_string()),
                ("kind", kind.to_string()),
                ("source", source.to_string()),
            ];
            let fields = fields.map(|(key, value)| (key.to_owned(), Value::from(value)));
            announce(&format!("listening on {address}, {kind}{name}"), Map::from_iter(fields));
        }
        announce(&format!("storing in {}", place(&settings.sink)), Map::new());
        service::ready();
        Ok(Some(Self { flags, resolved, control, counted, server, pipeline, reported, stopping, done }))
    }

    /// Serves until the stop, and drains.
    fn run(mut self) -> Result<(), Failure> {
        let mut failed = false;
        loop {
            match self.control.next(LOOK) {
                Some(Request::Stop) => break,
                Some(Request::Reload) => self.reload(),
                None if self.pipeline.is_finished() || self.server.is_finished() => {
                    report_error(
                        "a thread has terminated early: stopping, since nothing can be received or stored",
                    );
                    failed = true;
                    break;
                }
                Some(Request::Report) | None => {}
            }
        }
        self.drain(failed)
    }

    /// Reads the settings again. Invalid ones change nothing.
    fn reload(&mut self) {
        let Some(path) = self.flags.config.clone() else {
            log::info!("there is no settings file to read again");
            return;
        };
        service::reloading();
        match self.apply(&path) {
            Ok(()) => log::info!("the settings in {} are in effect", path.display()),
            Err(error) => log::error!("{error}; the old settings stay in effect"),
        }
        service::ready();
    }

    fn apply(&mut self, path: &Path) -> Result<(), String> {
        let new = settings::resolve(&self.flags).map_err(|error| error.to_string())?;
        let listeners = new.settings.listeners.iter().map(|it| self.listener_again(it));
        let listeners: Vec<Listener> = listeners.collect::<Result<_, _>>()?;
        self.server.reload(listeners, &server_options(&new.settings)).map_err(|error| error.to_string())?;
        self.pipeline.reload(&pipeline_options(&new.settings));
        output::set_log(new.settings.log.json, new.settings.log.level);
        *self.reported.lock() = (new.settings.status, new.settings.queue.messages);
        new.notes.iter().for_each(|note| log::warn!("{note}"));
        let restart = self.resolved.needs_restart(&new);
        if !restart.is_empty() {
            log::warn!("{}: {} take effect after a restart", path.display(), restart.join(", "));
        }
        // Settings that need a restart are compared with those in effect, also at the next reload.
        let old = std::mem::replace(&mut self.resolved, new);
        self.resolved.keep_until_restart(old);
        Ok(())
    }

    /// Returns a listener for a reload: one at an address of before keeps its socket.
    fn listener_again(&self, new: &ListenSettings) -> Result<Listener, String> {
        let same = |old: &&ListenSettings| {
            (&old.name, old.kind, &old.address) == (&new.name, new.kind, &new.address)
        };
        let known = self.resolved.settings.listeners.iter().find(same).and_then(|old| {
            let addresses = self.server.addresses();
            addresses.iter().find(|(name, _, _)| **name == *old.name).map(|(_, _, address)| *address)
        });
        let address: SocketAddr = if let Some(address) = known {
            address
        } else {
            // Under another name, it takes over the socket that is there.
            let addresses = sockets::resolve(&new.address)?;
            let is_open = |it: &&SocketAddr| self.server.addresses().iter().any(|(_, _, open)| open == *it);
            *addresses.iter().find(is_open).unwrap_or(&addresses[0])
        };
        Ok(Listener::new(&new.name, kind(new.kind), address).options(options(new)))
    }

    /// Reads the bytes that have arrived, stores the messages, sends the replies, and accounts for every message.
    fn drain(self, failed: bool) -> Result<(), Failure> {
        let begin = time::now();
        service::stopping();
        self.stopping.set();
        self.pipeline.intake().status().set_draining();
        let Settings { grace, deadline, when_full, .. } = self.resolved.settings;
        let grace = grace.min(deadline);
        let drained = self.server.drain_within(grace, deadline);
        let outcome = self.pipeline.finish(remaining(begin, deadline));
        let finished = self.server.finish(REPLIES);
        self.done.set();
        output::hide_live();
        if drained.cut_off > 0 {
            report_error(&format!(
                "{} peers were still sending, and were disconnected {grace:?} after the stop: what they sent later was not read",
                drained.cut_off
            ));
        }
        if finished.unwritten > 0 {
            report_error(&format!(
                "{} peers did not read their replies: they may send again what is stored",
                finished.unwritten
            ));
        }
        let problems: Vec<&String> =
            drained.problems.iter().chain(&outcome.problems).chain(&finished.problems).collect();
        for problem in &problems {
            report_error(problem);
        }
        self.counted.announce();
        let account = outcome.account;
        let failed =
            failed || outcome.failed || !drained.problems.is_empty() || !finished.problems.is_empty();
        match status(failed, &account, drained.cut_off, when_full) {
            0 => Ok(()),
            status => Err(Failure::status(status)),
        }
    }
}

/// Returns the exit status.
fn status(failed: bool, account: &Account, cut_off: usize, when_full: WhenFull) -> u8 {
    if failed {
        1
    } else if account.unstored > 0 || cut_off > 0 {
        LEFT
    } else if account.rejected > 0 || (account.shed > 0 && when_full == WhenFull::Shed) {
        REJECTS
    } else {
        0
    }
}

fn remaining(begin: Instant, deadline: Duration) -> Duration {
    deadline.saturating_sub(time::now() - begin)
}

fn place(sink: &SinkSettings) -> String {
    match sink {
        SinkSettings::Sqlite(sqlite) => sqlite.path.display().to_string(),
        SinkSettings::Postgres { schema, .. } => format!("PostgreSQL, schema {schema}"),
    }
}

fn kind(kind: Kind) -> ListenerKind {
    match kind {
        Kind::Tcp => ListenerKind::Tcp,
        Kind::Udp => ListenerKind::Udp,
        Kind::Relp => ListenerKind::Relp,
        Kind::Http => ListenerKind::Http,
        Kind::Admin => ListenerKind::Admin,
    }
}

fn listener(settings: &ListenSettings, passed: &mut Passed) -> Result<Listener, String> {
    let listener = sockets::open(passed, &settings.name, kind(settings.kind), &settings.address)?;
    Ok(listener.options(options(settings)))
}

fn options(settings: &ListenSettings) -> ListenerOptions {
    ListenerOptions {
        max_message: settings.max_message,
        max_body: settings.max_body,
        zone: values::zone(&settings.zone).expect("the form has been checked"),
        proxy: settings.proxy,
        token: settings.token.clone(),
        receive_buffer: settings.receive_buffer,
    }
}

fn pipeline_options(settings: &Settings) -> PipelineOptions {
    let mut options = PipelineOptions::default();
    options.queue = settings.queue;
    options.when_full = settings.when_full;
    options.batch = settings.batch;
    options
}

fn server_options(settings: &Settings) -> ServerOptions {
    let defaults = ServerOptions::default();
    let of_database = match &settings.sink {
        SinkSettings::Sqlite(_) => 0, // in the default
        SinkSettings::Postgres { connections, .. } => 8 * connections,
    };
    ServerOptions {
        reserved_descriptors: defaults.reserved_descriptors + of_database,
        max_connections: settings.connections,
        max_per_peer: settings.per_peer,
        max_buffered: settings.per_connection,
        max_buffered_total: settings.memory,
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_status_is_that_of_the_worst_outcome() {
        let account = |unstored, rejected, shed| {
            let mut account = Account::default();
            (account.unstored, account.rejected, account.shed) = (unstored, rejected, shed);
            account
        };
        for (failed, counts, cut_off, when_full, expected) in [
            (false, (0, 0, 0), 0, WhenFull::Block, 0),
            (false, (0, 1, 0), 0, WhenFull::Block, 3),
            (false, (1, 1, 0), 0, WhenFull::Block, 4),
            (false, (0, 1, 0), 1, WhenFull::Block, 4),
            (true, (1, 1, 1), 1, WhenFull::Block, 1),
            // Their senders are notified, and keep them.
            (false, (0, 0, 1), 0, WhenFull::Block, 0),
            (false, (0, 0, 1), 0, WhenFull::Shed, 3),
        ] {
            let account = account(counts.0, counts.1, counts.2);
            assert_eq!(status(failed, &account, cut_off, when_full), expected, "{account:?}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let settings = settings::resolve(&FromFlags::default()).unwrap().settings;
        assert_eq!(server_options(&settings), ServerOptions::default());
        assert_eq!(pipeline_options(&settings), PipelineOptions::default());
        assert_eq!(options(&settings.listeners[0]), ListenerOptions::default());
    }
}
