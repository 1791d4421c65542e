//! The table of all settings: their names, forms, defaults and meanings.
//!
//! The settings file, the flags, `raddle ingest check` and the example file are checked against this table.

use crate::values::{self, KINDS};

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The section of the settings file. `listen` is an array of tables.
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// The default as it is written in the file, without quotes.
    pub(crate) default: DefaultValue,
    /// The meaning of the value, as sentences.
    pub(crate) meaning: &'static str,
    /// A change takes effect on SIGHUP; otherwise after a restart.
    pub(crate) reloads: bool,
}

/// The value of a setting that is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    Value(&'static str),
    /// There is no value; the text describes the effect.
    Nothing(&'static str),
}

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A whole number, 1 or more.
    Count,
    /// Bytes, as a number or as text with a unit.
    Size,
    /// Bytes of one message.
    MessageSize,
    /// A duration as text with a unit.
    Time,
    /// `true` or `false`.
    Flag,
    /// The permissions of a file, as octal digits.
    Mode,
    /// `HOST:PORT`.
    Address,
    /// A time zone: `UTC`, `Europe/Berlin`, `+02:00`, `local`.
    Zone,
    /// Any text.
    Text,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

impl Form {
    /// Checks the text of a value.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Form::Count => values::count(text).map(drop),
            Form::Size => values::size(text).map(drop),
            Form::MessageSize => values::message_size(text).map(drop),
            Form::Time => values::time(text).map(drop),
            Form::Flag => values::flag(text).map(drop),
            Form::Mode => values::mode(text).map(drop),
            Form::Address => values::host_and_port(text).map(drop),
            Form::Zone => values::zone(text).map(drop),
            Form::Text if text.is_empty() => Err("the value must not be empty".to_owned()),
            Form::Text => Ok(()),
            Form::Choice(words) if words.contains(&text) => Ok(()),
            Form::Choice(words) => Err(format!("expected {}", alternatives(words))),
        }
    }

    /// Returns how the value is written in TOML.
    pub(crate) fn expected(self) -> String {
        match self {
            Form::Count => "a whole number".to_owned(),
            Form::Size | Form::MessageSize => "a size, such as \"64KiB\"".to_owned(),
            Form::Time => "a duration as text, such as \"20ms\"".to_owned(),
            Form::Flag => "true or false".to_owned(),
            Form::Mode => "permissions as text, such as \"0640\"".to_owned(),
            Form::Address => "an address as text, such as \"127.0.0.1:5140\"".to_owned(),
            Form::Zone => "a time zone as text, such as \"Europe/Berlin\"".to_owned(),
            Form::Text => "text".to_owned(),
            Form::Choice(words) => alternatives(words),
        }
    }
}

fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// The default address of a kind of listener: always on the loopback interface.
pub(crate) fn default_address(kind: &str) -> &'static str {
    match kind {
        "relp" => "127.0.0.1:2514",
        "http" => "127.0.0.1:8514",
        "admin" => "127.0.0.1:9514",
        _ => "127.0.0.1:5140",
    }
}

/// Returns whether listeners of the kind have the setting.
pub(crate) fn applies(name: &str, kind: &str) -> bool {
    match name {
        "max_message" => kind != "admin",
        "max_body" | "token" | "token_file" => matches!(kind, "tcp" | "http"),
        "zone" => matches!(kind, "tcp" | "udp" | "relp"),
        "proxy" => matches!(kind, "tcp"),
        "receive_buffer" => kind == "udp",
        _ => true,
    }
}

const fn key(
    section: &'static str,
    name: &'static str,
    form: Form,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key { section, name, form, default: DefaultValue::Value(default), meaning, reloads: true }
}

const fn optional(
    section: &'static str,
    name: &'static str,
    form: Form,
    nothing: &'static str,
    meaning: &'static str,
) -> Key {
    Key { section, name, form, default: DefaultValue::Nothing(nothing), meaning, reloads: true }
}

const fn restart(key: Key) -> Key {
    Key { reloads: false, ..key }
}

/// All settings, in the order of the example file.
pub(crate) const KEYS: &[Key] = &[
    key(
        "listen",
        "kind",
        Form::Choice(KINDS),
        "tcp",
        "The protocols that are served. tcp: lines, octet-counted frames, RELP and HTTP, recognised by their first bytes. udp: syslog \
         datagrams. relp, http: only that. admin: GET /health, /ready and /metrics.",
    ),
    optional(
        "listen",
        "name",
        Form::Text,
        "the kind",
        "The name of the source in the books, in metrics and in the database. Each listener has its own.",
    ),
    optional(
        "listen",
        "address",
        Form::Address,
        "127.0.0.1:5140 for tcp and udp, :2514 for relp, :8514 for http, :9514 for admin",
        "The address and port. The loopback interface is reached from this machine only. [::] accepts IPv6 only, and 0.0.0.0 \
         IPv4 only: for both, there are two listeners. A socket that systemd passes is used if it has this address.",
    ),
    key(
        "listen",
        "max_message",
        Form::MessageSize,
        "64KiB",
        "The maximum length of a message. Of a longer one, the beginning is stored as rejected.",
    ),
    key(
        "listen",
        "max_body",
        Form::Size,
        "16MiB",
        "The maximum length of the body of an HTTP request, also after decompression. A longer one is answered with 413.",
    ),
    key(
        "listen",
        "zone",
        Form::Zone,
        "UTC",
        "The time zone of times that have none, as in RFC 3164: UTC, local, a name or an offset.",
    ),
    key(
        "listen",
        "proxy",
        Form::Flag,
        "false",
        "Connections begin with the PROXY protocol, version 1 or 2, which names the peer. Those without are refused.",
    ),
    optional(
        "listen",
        "token",
        Form::Text,
        "no token is required",
        "The bearer token that HTTP requests must have. Prefer token_file: this file may be readable by others.",
    ),
    optional(
        "listen",
        "token_file",
        Form::Text,
        "no token is required",
        "A file with the bearer token that HTTP requests must have. It is read again on SIGHUP.",
    ),
    restart(key(
        "listen",
        "receive_buffer",
        Form::Size,
        "8MiB",
        "The receive buffer of the UDP socket, up to the limit of the system (net.core.rmem_max).",
    )),
    key("queue", "messages", Form::Count, "20000", "The capacity of the queue in messages."),
    key(
        "queue",
        "bytes",
        Form::Size,
        "16MiB",
        "The capacity of the queue in bytes of messages. A single larger parcel fits into the empty queue.",
    ),
    key(
        "queue",
        "when_full",
        Form::Choice(&["block", "shed"]),
        "block",
        "What happens when the queue is full. block: peers are slowed down. shed: the newest messages are refused and \
         counted. HTTP requests are answered with 503: with block, after waiting for room for about a second.",
    ),
    key(
        "batch",
        "messages",
        Form::Count,
        "10000",
        "The maximum number of messages per transaction. PostgreSQL has one per connection.",
    ),
    key("batch", "bytes", Form::Size, "4MiB", "The maximum number of bytes of messages per transaction."),
    key(
        "batch",
        "linger",
        Form::Time,
        "0",
        "The maximum time that a message waits for others to share its transaction.",
    ),
    key(
        "limits",
        "connections",
        Form::Count,
        "10000",
        "The maximum number of open connections, as far as the limit of open files permits. Further ones are closed at once.",
    ),
    optional(
        "limits",
        "per_peer",
        Form::Count,
        "a quarter of the connections",
        "The maximum number of open connections of one address. Further ones are closed at once.",
    ),
    key(
        "limits",
        "per_connection",
        Form::Size,
        "32MiB",
        "The memory for what one connection has sent that is not yet enqueued, and for its unread replies.",
    ),
    key("limits", "memory", Form::Size, "256MiB", "The same over all connections."),
    restart(optional(
        "sqlite",
        "path",
        Form::Text,
        "messages.db, unless messages go to PostgreSQL",
        "The SQLite database. It is created if it is missing, and extended otherwise. A relative path begins at the working directory.",
    )),
    restart(optional(
        "sqlite",
        "mode",
        Form::Mode,
        "a new file has 0640 less the umask, and an existing one keeps its own",
        "The permissions of the database.",
    )),
    restart(key(
        "sqlite",
        "check",
        Form::Flag,
        "false",
        "Every page of the database is checked at the start. Damage is an error.",
    )),
    restart(key(
        "sqlite",
        "log_limit",
        Form::Size,
        "4GiB",
        "The size of the write-ahead log beyond which it must leave disk_reserve on the disk. It grows while a program reads the database in \
         one long transaction; that program is named in the log every minute.",
    )),
    restart(key(
        "sqlite",
        "disk_reserve",
        Form::Size,
        "1GiB",
        "The room on the disk below which nothing is stored while the write-ahead log is beyond log_limit, until the reader that holds it up \
         is done.",
    )),
    restart(optional(
        "sqlite",
        "keep",
        Form::Time,
        "messages are kept",
        "Messages that were received longer ago are deleted.",
    )),
    restart(optional(
        "sqlite",
        "max_size",
        Form::Size,
        "the size is unlimited",
        "The oldest messages are deleted when the database grows beyond this size.",
    )),
    restart(optional(
        "postgres",
        "url",
        Form::Text,
        "messages go to SQLite",
        "The PostgreSQL server: postgresql://USER@HOST/DATABASE. Prefer url_file if it has a password.",
    )),
    restart(optional(
        "postgres",
        "url_file",
        Form::Text,
        "messages go to SQLite",
        "A file with the address of the PostgreSQL server.",
    )),
    restart(key(
        "postgres",
        "connections",
        Form::Count,
        "2",
        "The number of connections over which a batch is copied.",
    )),
    restart(key(
        "postgres",
        "schema",
        Form::Text,
        "raddle",
        "The schema of the tables, which are created if they are missing.",
    )),
    restart(optional(
        "unstored",
        "path",
        Form::Text,
        "the database with .unstored appended; raddle.unstored for PostgreSQL",
        "The file for messages that cannot be stored until the end; its name ends with .unstored. It is imported at the next start.",
    )),
    key(
        "stop",
        "grace",
        Form::Time,
        "10s",
        "How long a peer that keeps sending is read after SIGTERM. Silent peers are disconnected at once.",
    ),
    key(
        "stop",
        "deadline",
        Form::Time,
        "1min",
        "How long after SIGTERM a database that fails is tried. What is left then goes to the unstored file. One that is only slow gets the time it needs.",
    ),
    key(
        "log",
        "format",
        Form::Choice(&["text", "json"]),
        "text",
        "The form of the log: text, or a JSON object a line.",
    ),
    key(
        "log",
        "level",
        Form::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "The least severe records that are logged. The variable RUST_LOG has precedence.",
    ),
    key(
        "status",
        "interval",
        Form::Time,
        "1min",
        "How often the books are logged while the program runs; 0 for never. A terminal has a live line instead.",
    ),
];

/// Returns the setting of this name in the section.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// Returns the names of the sections, each once.
pub(crate) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_the_form_of_their_setting() {
        for key in KEYS {
            if let DefaultValue::Value(text) = key.default {
                assert_eq!(key.form.check(text), Ok(()), "{}.{}", key.section, key.name);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, key) in KEYS.iter().enumerate() {
            let first = KEYS.iter().position(|it| (it.section, it.name) == (key.section, key.name));
            assert_eq!(first, Some(index), "{}.{}", key.section, key.name);
        }
        let mut sections = sections();
        sections.sort_unstable();
        let count = sections.len();
        sections.dedup();
        assert_eq!(sections.len(), count, "the settings of a section are together");
    }
}
