//! Settings from their defaults, a file over them, and flags over the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use raddle_ingest::{BatchOptions, Limits, WhenFull};

use super::file::{self, FileValues, Given, Origin, Section, SettingsError};
use super::keys::{self, DefaultValue, KEYS};
use crate::values;

/// The settings, complete and free of contradictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) listeners: Vec<ListenSettings>,
    pub(crate) queue: Limits,
    pub(crate) when_full: WhenFull,
    pub(crate) batch: BatchOptions,
    pub(crate) connections: usize,
    /// `None`: a quarter of the connections.
    pub(crate) per_peer: Option<usize>,
    pub(crate) per_connection: usize,
    pub(crate) memory: usize,
    pub(crate) sink: SinkSettings,
    pub(crate) unstored: PathBuf,
    pub(crate) grace: Duration,
    pub(crate) deadline: Duration,
    pub(crate) log: LogSettings,
    /// `None`: never.
    pub(crate) status: Option<Duration>,
}

/// The kind of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    Relp,
    Http,
    Admin,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "udp" => Self::Udp,
            "relp" => Self::Relp,
            "http" => Self::Http,
            "admin" => Self::Admin,
            _ => Self::Tcp,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Relp => "relp",
            Self::Http => "http",
            Self::Admin => "admin",
        }
    }
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenSettings {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) max_message: usize,
    pub(crate) max_body: usize,
    /// The name of the time zone.
    pub(crate) zone: String,
    pub(crate) proxy: bool,
    pub(crate) token: Option<String>,
    pub(crate) receive_buffer: usize,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SinkSettings {
    Sqlite(SqliteSettings),
    Postgres { url: String, connections: usize, schema: String },
}

/// The SQLite database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqliteSettings {
    pub(crate) path: PathBuf,
    pub(crate) mode: Option<u32>,
    pub(crate) check: bool,
    pub(crate) log_limit: u64,
    pub(crate) disk_reserve: u64,
    pub(crate) keep: Option<Duration>,
    pub(crate) max_size: Option<u64>,
}

/// The log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    pub(crate) json: bool,
    pub(crate) level: log::LevelFilter,
}

/// A value that a flag gives: the section and name of its setting, the flag, and the text.
pub(crate) type FlagValue = (&'static str, &'static str, &'static str, String);

/// The settings of the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct FromFlags {
    /// The settings file.
    pub(crate) config: Option<PathBuf>,
    /// The listeners, each as its kind and address. They replace those of the file.
    pub(crate) listeners: Vec<(String, String)>,
    /// Other values. Those of section `listen` hold for every listener that has such a setting.
    pub(crate) values: Vec<FlagValue>,
}

/// A value with its origin, for `Resolved::explain`.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) key: &'static keys::Key,
    pub(super) given: Option<Given>,
}

/// Settings and the origin of each value.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    pub(super) listeners: Vec<(String, Vec<Explained>)>,
    pub(super) sections: Vec<Explained>,
    /// Remarks on settings that are allowed, but may be mistakes.
    pub(crate) notes: Vec<String>,
}

/// Resolves the settings from the defaults, the file and the flags.
pub(crate) fn resolve(flags: &FromFlags) -> Result<Resolved, SettingsError> {
    let file = match &flags.config {
        Some(path) => file::read(path)?,
        None => FileValues::default(),
    };
    combine(file, flags)
}

pub(super) fn combine(file: FileValues, flags: &FromFlags) -> Result<Resolved, SettingsError> {
    let (values, listeners) = overlay(file, flags);
    let mut notes = Vec::new();
    let settings = Settings {
        listeners: listeners_of(&listeners, &mut notes)?,
        queue: Limits { messages: values.count("queue", "messages"), bytes: values.size("queue", "bytes") },
        when_full: match values.text("queue", "when_full").as_deref() {
            Some("shed") => WhenFull::Shed,
            _ => WhenFull::Block,
        },
        batch: BatchOptions {
            messages: values.count("batch", "messages"),
            bytes: values.size("batch", "bytes"),
            linger: values.time("batch", "linger"),
        },
        connections: values.count("limits", "connections"),
        per_peer: values.parsed("limits", "per_peer", values::count),
        per_connection: values.size("limits", "per_connection"),
        memory: values.size("limits", "memory"),
        sink: sink(&values)?,
        unstored: PathBuf::new(),
        grace: values.time("stop", "grace"),
        deadline: values.time("stop", "deadline"),
        log: LogSettings {
            json: values.text("log", "format").as_deref() == Some("json"),
            level: values
                .text("log", "level")
                .and_then(|it| it.parse().ok())
                .unwrap_or(log::LevelFilter::Info),
        },
        status: Some(values.time("status", "interval")).filter(|it| !it.is_zero()),
    };
    let settings = Settings { unstored: unstored(&values, &settings.sink)?, ..settings };
    check(&settings, &values, &listeners)?;
    if let (SinkSettings::Postgres { .. }, Some(given)) = (&settings.sink, values.given("postgres", "url"))
        && given.text.contains('@')
        && given.text.split('@').next().is_some_and(|user| user.matches(':').count() > 1)
    {
        notes.push(format!(
            "{}: the password in postgres.url may be readable by others; url_file keeps it in a file of its own",
            given.origin
        ));
    }
    let listeners = listeners.into_iter().zip(&settings.listeners).map(|(mut section, listener)| {
        let kind = listener.kind.name();
        let keys = KEYS.iter().filter(|key| key.section == "listen" && keys::applies(key.name, kind));
        let mut explained: Vec<Explained> =
            keys.map(|key| Explained { key, given: section.remove(key.name) }).collect();
        for it in &mut explained {
            let known = match it.key.name {
                "name" => &listener.name,
                "address" => &listener.address,
                _ => continue,
            };
            it.given.get_or_insert_with(|| Given { text: known.clone(), origin: Origin::Default });
        }
        (listener.name.clone(), explained)
    });
    let listeners = listeners.collect();
    let sections = KEYS.iter().filter(|key| key.section != "listen");
    let mut sections: Vec<Explained> =
        sections.map(|key| Explained { key, given: values.given(key.section, key.name).cloned() }).collect();
    for it in &mut sections {
        let known = match (it.key.section, it.key.name, &settings.sink) {
            ("unstored", "path", _) => &settings.unstored,
            ("sqlite", "path", SinkSettings::Sqlite(it)) => &it.path,
            _ => continue,
        };
        it.given.get_or_insert_with(|| Given { text: known.display().to_string(), origin: Origin::Default });
    }
    Ok(Resolved { settings, listeners, sections, notes })
}

/// Puts the flags over the file.
fn overlay(file: FileValues, flags: &FromFlags) -> (Values, Vec<Section>) {
    let FileValues { mut listeners, sections } = file;
    let mut values = Values { sections };
    if !flags.listeners.is_empty() {
        let given = |text: &String| Given { text: text.clone(), origin: Origin::Flag("--listen") };
        listeners.clear();
        for (kind, address) in &flags.listeners {
            let mut section = Section::from([("kind", given(kind)), ("address", given(address))]);
            let number = 1 + listeners.iter().filter(|it| kind_of(it) == kind).count();
            if number > 1 {
                section.insert("name", given(&format!("{kind}-{number}")));
            }
            listeners.push(section);
        }
    }
    if listeners.is_empty() {
        listeners.push(Section::new());
    }
    for (section, name, flag, text) in &flags.values {
        let given = Given { text: text.clone(), origin: Origin::Flag(flag) };
        if *section == "listen" {
            for listener in &mut listeners {
                if keys::applies(name, kind_of(listener)) {
                    listener.insert(name, given.clone());
                }
            }
        } else {
            // A flag that names one database also ends the other's.
            match (*section, *name) {
                ("sqlite", "path") => drop(values.sections.remove("postgres")),
                ("postgres", "url") => {
                    values.sections.remove("sqlite");
                    values.remove("postgres", "url_file");
                }
                _ => {}
            }
            values.sections.entry(section).or_default().insert(name, given);
        }
    }
    (values, listeners)
}

/// The values of all sections but `listen`.
struct Values {
    sections: BTreeMap<&'static str, Section>,
}

impl Values {
    fn given(&self, section: &str, name: &str) -> Option<&Given> {
        self.sections.get(section)?.get(name)
    }

    fn remove(&mut self, section: &str, name: &str) {
        if let Some(section) = self.sections.get_mut(section) {
            section.remove(name);
        }
    }

    fn text(&self, section: &'static str, name: &str) -> Option<String> {
        text_or_default(self.given(section, name), section, name)
    }

    fn parsed<T>(
        &self,
        section: &'static str,
        name: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.text(section, name).map(|text| parse(&text).expect("the form has been checked"))
    }

    fn count(&self, section: &'static str, name: &str) -> usize {
        self.parsed(section, name, values::count).expect("a default")
    }

    fn size(&self, section: &'static str, name: &str) -> usize {
        self.parsed(section, name, values::size).expect("a default")
    }

    fn time(&self, section: &'static str, name: &str) -> Duration {
        self.parsed(section, name, values::time).expect("a default")
    }
}

fn text_or_default(given: Option<&Given>, section: &'static str, name: &str) -> Option<String> {
    if let Some(given) = given {
        return Some(given.text.clone());
    }
    match keys::find(section, name).expect("a setting").default {
        DefaultValue::Value(text) => Some(text.to_owned()),
        DefaultValue::Nothing(_) => None,
    }
}

fn kind_of(section: &Section) -> &str {
    section.get("kind").map_or("tcp", |given| &given.text)
}

fn listeners_of(sections: &[Section], notes: &mut Vec<String>) -> Result<Vec<ListenSettings>, SettingsError> {
    let mut listeners: Vec<ListenSettings> = Vec::new();
    for section in sections {
        let kind = kind_of(section);
        for (name, given) in section {
            if !keys::applies(name, kind) {
                return Err(SettingsError::new(
                    &given.origin,
                    format!("a listener of kind {kind} has no {name}"),
                ));
            }
        }
        let text = |name| text_or_default(section.get(name), "listen", name);
        let size = |name| values::size(&text(name).expect("a default")).expect("the form has been checked");
        let listener = ListenSettings {
            kind: Kind::of(kind),
            name: text("name").unwrap_or_else(|| kind.to_owned()),
            address: text("address").unwrap_or_else(|| keys::default_address(kind).to_owned()),
            max_message: size("max_message"),
            max_body: size("max_body"),
            zone: text("zone").expect("a default"),
            proxy: text("proxy").as_deref() == Some("true"),
            token: token(section)?,
            receive_buffer: size("receive_buffer"),
        };
        let origin = |name: &str| {
            let given = section.get(name).or_else(|| section.values().next());
            given.map_or(&Origin::Default, |given| &given.origin)
        };
        if listeners.iter().any(|it| it.name == listener.name) {
            let what =
                format!("two listeners have the name '{}': give each a name of its own", listener.name);
            return Err(SettingsError::new(origin("name"), what));
        }
        let is_udp = |it: &ListenSettings| it.kind == Kind::Udp;
        let same = |it: &&ListenSettings| it.address == listener.address && is_udp(it) == is_udp(&listener);
        if let Some(other) = listeners.iter().find(same)
            && !listener.address.ends_with(":0")
        {
            let what = format!("listeners '{}' and '{}' have the same address", other.name, listener.name);
            return Err(SettingsError::new(origin("address"), what));
        }
        if matches!(listener.kind, Kind::Tcp | Kind::Http) && listener.max_body < listener.max_message {
            // Only if both are given: a larger message limit alone raises the other limit.
            if let Some(given) = section.get("max_body") {
                return Err(SettingsError::new(&given.origin, "max_body is smaller than max_message"));
            }
        }
        let max_body = listener.max_body.max(listener.max_message);
        if !is_loopback(&listener.address) && listener.token.is_none() {
            let what = if listener.kind == Kind::Admin { "read the metrics" } else { "send messages" };
            notes.push(format!(
                "listener '{}' is reachable from other machines at {}: any program that can connect to it can {what}",
                listener.name, listener.address
            ));
        }
        listeners.push(ListenSettings { max_body, ..listener });
    }
    if listeners.iter().all(|it| it.kind == Kind::Admin) {
        let origin = sections.iter().find_map(|it| it.get("kind")).map_or(&Origin::Default, |it| &it.origin);
        return Err(SettingsError::new(origin, "no listener receives messages: all are of kind admin"));
    }
    notes.extend(listeners.iter().filter_map(|listener| without_ipv4(listener, &listeners)));
    Ok(listeners)
}

/// Returns a note about a listener that accepts connections over IPv6 from anywhere, if none accepts those over IPv4 at its port.
fn without_ipv4(listener: &ListenSettings, listeners: &[ListenSettings]) -> Option<String> {
    let port = listener.address.strip_prefix("[::]:")?;
    let other = format!("0.0.0.0:{port}");
    let has_other = listeners
        .iter()
        .any(|it| it.address == other && (it.kind == Kind::Udp) == (listener.kind == Kind::Udp));
    let name = &listener.name;
    (!has_other).then(|| {
        format!("listener '{name}' at [::]:{port} accepts IPv6 only: for IPv4, add a listener at {other}")
    })
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn token(section: &Section) -> Result<Option<String>, SettingsError> {
    let (token, file) = match (section.get("token"), section.get("token_file")) {
        (Some(_), Some(file)) => {
            return Err(SettingsError::new(&file.origin, "token and token_file exclude each other"));
        }
        (Some(token), None) => (token.text.clone(), token),
        (None, Some(file)) => (secret(file, "listen.token_file")?, file),
        (None, None) => return Ok(None),
    };
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what = "the token must consist of visible ASCII characters, without spaces";
        return Err(SettingsError::new(&file.origin, what));
    }
    Ok(Some(token))
}

/// Reads a file with one line that is a secret.
fn secret(file: &Given, key: &str) -> Result<String, SettingsError> {
    let text = std::fs::read_to_string(&file.text).map_err(|error| {
        SettingsError::new(&file.origin, format!("cannot read {key} {}: {error}", file.text))
    })?;
    let text = text.trim();
    if text.is_empty() || text.lines().count() > 1 {
        let what = format!("{key} {} must have one line", file.text);
        return Err(SettingsError::new(&file.origin, what));
    }
    Ok(text.to_owned())
}

fn sink(values: &Values) -> Result<SinkSettings, SettingsError> {
    let url = match (values.given("postgres", "url"), values.given("postgres", "url_file")) {
        (Some(_), Some(file)) => {
            return Err(SettingsError::new(
                &file.origin,
                "postgres.url and postgres.url_file exclude each other",
            ));
        }
        (Some(url), None) => Some((url.text.clone(), url)),
        (None, Some(file)) => Some((secret(file, "postgres.url_file")?, file)),
        (None, None) => None,
    };
    let in_section = |name: &str| values.sections.get(name).and_then(|section| section.values().next());
    if let Some((url, given)) = url {
        if let Some(other) = in_section("sqlite") {
            let what = "[sqlite] and [postgres] exclude each other: messages go to one database";
            return Err(SettingsError::new(&other.origin, what));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") && !url.contains('=') {
            let what = "expected an address such as postgresql://USER@HOST/DATABASE";
            return Err(SettingsError::new(&given.origin, format!("invalid value for postgres.url: {what}")));
        }
        if !cfg!(feature = "postgres") {
            let what = "this program was built without PostgreSQL; build it with --features postgres";
            return Err(SettingsError::new(&given.origin, what));
        }
        let schema = values.text("postgres", "schema").expect("a default");
        return Ok(SinkSettings::Postgres {
            url,
            connections: values.count("postgres", "connections"),
            schema,
        });
    }
    if let Some(given) = in_section("postgres") {
        return Err(SettingsError::new(&given.origin, "[postgres] needs a url or a url_file"));
    }
    let path = values.text("sqlite", "path").unwrap_or_else(|| "messages.db".to_owned());
    Ok(SinkSettings::Sqlite(SqliteSettings {
        path: path.into(),
        mode: values.parsed("sqlite", "mode", values::mode),
        check: values.text("sqlite", "check").as_deref() == Some("true"),
        log_limit: values.size("sqlite", "log_limit") as u64,
        disk_reserve: values.size("sqlite", "disk_reserve") as u64,
        keep: values.parsed("sqlite", "keep", values::time),
        max_size: values.parsed("sqlite", "max_size", values::size).map(|size| size as u64),
    }))
}

fn unstored(values: &Values, sink: &SinkSettings) -> Result<PathBuf, SettingsError> {
    match (values.given("unstored", "path"), sink) {
        (Some(given), _)
            if given.text.strip_suffix(".unstored").is_none_or(|it| it.is_empty() || it.ends_with('/')) =>
        {
            Err(SettingsError::new(&given.origin, "unstored.path must be a name that ends with .unstored"))
        }
        (Some(given), _) => Ok(given.text.clone().into()),
        (None, SinkSettings::Sqlite(it)) => Ok(unstored_path(&it.path)),
        (None, SinkSettings::Postgres { .. }) => Ok("raddle.unstored".into()),
    }
}

/// Returns the default path of the unstored file: `messages.db` → `messages.db.unstored`.
pub(crate) fn unstored_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".unstored");
    PathBuf::from(name)
}

/// Checks values that contradict each other. A default gives way; only given values contradict.
fn check(settings: &Settings, values: &Values, listeners: &[Section]) -> Result<(), SettingsError> {
    let both = |one: (&str, &str), two: (&str, &str)| {
        values.given(one.0, one.1).and(values.given(two.0, two.1)).map(|given| &given.origin)
    };
    if settings.per_peer.is_some_and(|it| it > settings.connections)
        && let Some(origin) = both(("limits", "connections"), ("limits", "per_peer"))
    {
        let what = "limits.per_peer is larger than limits.connections, and would have no effect";
        return Err(SettingsError::new(origin, what));
    }
    if settings.grace > settings.deadline
        && let Some(origin) = both(("stop", "grace"), ("stop", "deadline"))
    {
        let what = "stop.grace is longer than stop.deadline, so that nothing read at the end could be stored";
        return Err(SettingsError::new(origin, what));
    }
    if let Some((listener, section)) =
        settings.listeners.iter().zip(listeners).find(|(it, _)| it.max_message > settings.per_connection)
    {
        let given = values.given("limits", "per_connection").or_else(|| section.get("max_message"));
        let what =
            format!("limits.per_connection is smaller than a message of listener '{}' may be", listener.name);
        return Err(SettingsError::new(given.map_or(&Origin::Default, |given| &given.origin), what));
    }
    if settings.per_connection > settings.memory
        && let Some(origin) = both(("limits", "memory"), ("limits", "per_connection"))
    {
        let what = "limits.per_connection is larger than limits.memory, and would have no effect";
        return Err(SettingsError::new(origin, what));
    }
    if let SinkSettings::Sqlite(SqliteSettings { mode: Some(mode), .. }) = settings.sink
        && mode & 0o600 != 0o600
        && let Some(given) = values.given("sqlite", "mode")
    {
        let what = "sqlite.mode must let the owner read and write (0600)";
        return Err(SettingsError::new(&given.origin, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, flags: &FromFlags) -> Result<Resolved, SettingsError> {
        combine(file::parse(text, Path::new("s.toml"))?, flags)
    }

    fn settings(text: &str) -> Settings {
        resolved(text, &FromFlags::default()).expect(text).settings
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let defaults = settings("");
        assert_eq!(defaults.queue, Limits::default());
        assert_eq!(defaults.when_full, WhenFull::default());
        assert_eq!(defaults.batch, BatchOptions::default());
        assert_eq!(defaults.listeners.len(), 1);
        let listener = &defaults.listeners[0];
        assert_eq!(
            (listener.kind, &*listener.address, &*listener.name),
            (Kind::Tcp, "127.0.0.1:5140", "tcp")
        );
        assert_eq!(defaults.unstored, Path::new("messages.db.unstored"));
        let SinkSettings::Sqlite(sqlite) = defaults.sink else { panic!("SQLite") };
        assert_eq!((sqlite.path, sqlite.mode), ("messages.db".into(), None));
    }

    #[test]
    fn default_addresses_are_on_the_loopback_interface() {
        for kind in values::KINDS {
            assert!(is_loopback(keys::default_address(kind)), "{kind}");
        }
        for (address, loopback) in [
            ("localhost:1", true),
            ("[::1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("host:1", false),
        ] {
            assert_eq!(is_loopback(address), loopback, "{address}");
        }
    }

    #[test]
    fn flags_go_over_the_file() {
        let file =
            "[queue]\nmessages = 5\n[[listen]]\nkind = \"udp\"\n[postgres]\nurl = \"postgresql://h/d\"\n";
        let flags = FromFlags {
            config: None,
            listeners: ["tcp", "http", "tcp"].map(|kind| (kind.into(), "127.0.0.1:0".into())).to_vec(),
            values: vec![
                ("queue", "messages", "--queue", "7".into()),
                ("listen", "max_message", "--max-message", "1KiB".into()),
                ("sqlite", "path", "--database", "m.db".into()),
            ],
        };
        let settings = resolved(file, &flags).unwrap().settings;
        assert_eq!(settings.queue.messages, 7);
        let kinds: Vec<(Kind, &str)> = settings.listeners.iter().map(|it| (it.kind, &*it.name)).collect();
        assert_eq!(kinds, [(Kind::Tcp, "tcp"), (Kind::Http, "http"), (Kind::Tcp, "tcp-2")]);
        assert!(settings.listeners.iter().all(|it| it.max_message == 1024));
        assert_eq!(settings.unstored, Path::new("m.db.unstored"));
    }

    #[test]
    fn contradictions_are_errors_with_the_place() {
        for (text, message) in [
            ("[[listen]]\nkind = \"udp\"\nproxy = true", "s.toml:3: a listener of kind udp has no proxy"),
            (
                "[[listen]]\nname = \"a\"\n[[listen]]\nname = \"a\"\naddress = \"127.0.0.1:1\"",
                "s.toml:4: two listeners have the name 'a': give each a name of its own",
            ),
            (
                "[[listen]]\nname = \"a\"\n[[listen]]\naddress = \"127.0.0.1:5140\"",
                "s.toml:4: listeners 'a' and 'tcp' have the same address",
            ),
            (
                "[[listen]]\ntoken = \"a\"\ntoken_file = \"b\"",
                "s.toml:3: token and token_file exclude each other",
            ),
            (
                "[[listen]]\ntoken = \"a b\"",
                "s.toml:2: the token must consist of visible ASCII characters, without spaces",
            ),
            (
                "[[listen]]\ntoken_file = \"/nowhere/token\"",
                "s.toml:2: cannot read listen.token_file /nowhere/token: No such file or directory (os error 2)",
            ),
            (
                "[[listen]]\nmax_message = \"1MiB\"\nmax_body = 10",
                "s.toml:3: max_body is smaller than max_message",
            ),
            (
                "[[listen]]\nkind = \"admin\"",
                "s.toml:2: no listener receives messages: all are of kind admin",
            ),
            (
                "[limits]\nconnections = 10\nper_peer = 11",
                "s.toml:3: limits.per_peer is larger than limits.connections, and would have no effect",
            ),
            (
                "[limits]\nper_connection = \"1KiB\"",
                "s.toml:2: limits.per_connection is smaller than a message of listener 'tcp' may be",
            ),
            (
                "[limits]\nper_connection = \"2MiB\"\nmemory = \"1MiB\"",
                "s.toml:2: limits.per_connection is larger than limits.memory, and would have no effect",
            ),
            (
                "[stop]\ngrace = \"2s\"\ndeadline = \"1s\"",
                "s.toml:3: stop.grace is longer than stop.deadline, so that nothing read at the end could be stored",
            ),
            ("[sqlite]\nmode = \"0440\"", "s.toml:2: sqlite.mode must let the owner read and write (0600)"),
            (
                "[unstored]\npath = \"messages.db\"",
                "s.toml:2: unstored.path must be a name that ends with .unstored",
            ),
            ("[postgres]\nconnections = 3", "s.toml:2: [postgres] needs a url or a url_file"),
            (
                "[sqlite]\nmode = \"0600\"\n[postgres]\nurl = \"postgresql://h/d\"",
                "s.toml:2: [sqlite] and [postgres] exclude each other: messages go to one database",
            ),
            (
                "[postgres]\nurl = \"mysql://h/d\"",
                "s.toml:2: invalid value for postgres.url: expected an address such as postgresql://USER@HOST/DATABASE",
            ),
        ] {
            assert_eq!(resolved(text, &FromFlags::default()).expect_err(text).to_string(), message);
        }
    }

    #[test]
    fn default_gives_way_to_a_given_value() {
        assert_eq!(settings("[limits]\nconnections = 10").connections, 10);
        assert_eq!(settings("[stop]\ngrace = \"2min\"").grace, Duration::from_mins(2));
        assert_eq!(settings("[[listen]]\nmax_message = \"32MiB\"").listeners[0].max_body, 32 << 20);
        assert_eq!(settings("[status]\ninterval = \"0\"").status, None);
    }

    #[test]
    fn listener_for_other_machines_is_noted() {
        let notes = |text: &str| resolved(text, &FromFlags::default()).expect(text).notes;
        assert_eq!(notes(""), Vec::<String>::new());
        let note = &notes("[[listen]]\naddress = \"0.0.0.0:5140\"")[0];
        assert!(
            note.starts_with("listener 'tcp' is reachable from other machines at 0.0.0.0:5140: "),
            "{note}"
        );
        let quiet = "[[listen]]\nkind = \"http\"\naddress = \"0.0.0.0:80\"\ntoken = \"secret\"";
        assert_eq!(notes(quiet), Vec::<String>::new());
    }

    #[test]
    fn listener_without_ipv4_is_noted() {
        let notes = |text: &str| {
            let notes = resolved(text, &FromFlags::default()).expect(text).notes;
            notes.into_iter().filter(|note| note.contains("IPv6")).collect::<Vec<_>>()
        };
        let note = "listener 'tcp' at [::]:5140 accepts IPv6 only: for IPv4, add a listener at 0.0.0.0:5140";
        let six = "[[listen]]\naddress = \"[::]:5140\"\n";
        assert_eq!(notes(six), [note]);
        // Datagrams are not connections.
        let datagrams = "[[listen]]\nkind = \"udp\"\naddress = \"0.0.0.0:5140\"\n";
        assert_eq!(notes(&format!("{six}{datagrams}")), [note]);
        let both = "[[listen]]\nname = \"four\"\naddress = \"0.0.0.0:5140\"\n";
        assert_eq!(notes(&format!("{six}{both}")), Vec::<String>::new());
        assert_eq!(notes("[[listen]]\naddress = \"[::1]:5140\""), Vec::<String>::new());
    }
}
