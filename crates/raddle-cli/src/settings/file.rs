//! The settings file: TOML, with the line of every value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Form, Key};

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: Arc<Path>, line: usize },
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value as text, and its origin. The text has the form of its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// The values of a section, by name.
pub(crate) type Section = BTreeMap<&'static str, Given>;

/// The values that a file gives.
#[derive(Debug, Default)]
pub(crate) struct FileValues {
    pub(crate) listeners: Vec<Section>,
    pub(crate) sections: BTreeMap<&'static str, Section>,
}

/// The error of settings: one line, which begins with the place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SettingsError(String);

impl SettingsError {
    pub(crate) fn new(origin: &Origin, what: impl fmt::Display) -> Self {
        match origin {
            Origin::Default => Self(what.to_string()),
            origin => Self(format!("{origin}: {what}")),
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// Reads the settings file.
pub(crate) fn read(path: &Path) -> Result<FileValues, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| SettingsError(format!("cannot read the settings in {}: {error}", path.display())))?;
    parse(&text, path)
}

/// Parses the text of a settings file.
pub(crate) fn parse(text: &str, path: &Path) -> Result<FileValues, SettingsError> {
    let file = File { path: path.into(), text };
    let root = DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        file.error(error.span().map_or(0, |span| span.start), format!("invalid TOML: {message}"))
    })?;
    let mut values = FileValues::default();
    for (name, value) in root.get_ref() {
        let at = name.span().start;
        let Some(section) = keys::sections().into_iter().find(|section| section == name.get_ref()) else {
            let close = closest(name.get_ref(), keys::sections());
            return Err(file.error(at, format!("unknown section '{}'{}", name.get_ref(), meant(close))));
        };
        if section == "listen" {
            let error = || file.error(at, "listeners are written as [[listen]], one for each".to_owned());
            for table in value.get_ref().as_array().ok_or_else(error)? {
                let table = table.get_ref().as_table().ok_or_else(error)?;
                values.listeners.push(file.section(section, table)?);
            }
        } else {
            let table = value.get_ref().as_table();
            let table = table
                .ok_or_else(|| file.error(at, format!("'{section}' is a section: write [{section}]")))?;
            values.sections.insert(section, file.section(section, table)?);
        }
    }
    Ok(values)
}

struct File<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl File<'_> {
    fn origin(&self, at: usize) -> Origin {
        let line = 1 + self.text[..at.min(self.text.len())].matches('\n').count();
        Origin::File { path: self.path.clone(), line }
    }

    fn error(&self, at: usize, what: String) -> SettingsError {
        SettingsError::new(&self.origin(at), what)
    }

    fn section(&self, section: &'static str, table: &DeTable<'_>) -> Result<Section, SettingsError> {
        let mut values = Section::new();
        for (name, value) in table {
            let at = name.span().start;
            let Some(key) = keys::find(section, name.get_ref()) else {
                let known = keys::KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
                let close = meant(closest(name.get_ref(), known));
                return Err(self.error(at, format!("unknown key '{section}.{}'{close}", name.get_ref())));
            };
            let text = text_of(key, value).map_err(|why| {
                self.error(value.span().start, format!("invalid value for {section}.{}: {why}", key.name))
            })?;
            values.insert(key.name, Given { text, origin: self.origin(at) });
        }
        Ok(values)
    }
}

/// Returns the value as text, checked against the form of the setting.
fn text_of(key: &Key, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let value = value.get_ref();
    let wrong = || format!("expected {}, found {}", key.form.expected(), describe(value));
    let text = match (key.form, value) {
        (Form::Flag, DeValue::Boolean(value)) => value.to_string(),
        (Form::Mode, DeValue::Integer(value)) if value.radix() == 8 => value.as_str().to_owned(),
        (Form::Count | Form::Size | Form::MessageSize, DeValue::Integer(value)) => {
            let number = i64::from_str_radix(value.as_str(), value.radix()).map_err(|_| wrong())?;
            number.to_string()
        }
        (Form::Time, DeValue::Integer(value)) if value.as_str() == "0" => "0".to_owned(),
        (Form::Count | Form::Flag, _) => return Err(wrong()),
        (_, DeValue::String(text)) => text.to_string(),
        _ => return Err(wrong()),
    };
    key.form.check(&text).map_err(|why| format!("{why}, found {}", describe(value)))?;
    Ok(text)
}

/// Returns a description of a value for messages.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a time".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn meant(close: Option<&str>) -> String {
    close.map(|close| format!("; did you mean '{close}'?")).unwrap_or_default()
}

/// Returns the candidate that differs from `name` by the fewest edits, if it is close.
fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    let (edits, candidate) = scored.min()?;
    (edits <= 1 + name.len() / 4).then_some(candidate)
}

/// Returns the number of characters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, Path::new("s.toml")).expect_err(text).to_string()
    }

    #[test]
    fn values_have_their_line() {
        let values = parse(
            "# settings\n[[listen]]\nkind = \"udp\"\n[[listen]]\n\n[queue]\nmessages = 1_000\nbytes = \"1MiB\"\n[batch]\nbytes = 0x100\n[sqlite]\nmode = 0o600\n",
            Path::new("s.toml"),
        )
        .unwrap();
        let at = |given: &Given| (given.text.clone(), given.origin.to_string());
        assert_eq!(values.listeners.len(), 2);
        assert_eq!(at(&values.listeners[0]["kind"]), ("udp".into(), "s.toml:3".into()));
        assert_eq!(at(&values.sections["queue"]["messages"]), ("1000".into(), "s.toml:7".into()));
        assert_eq!(at(&values.sections["queue"]["bytes"]), ("1MiB".into(), "s.toml:8".into()));
        assert_eq!(at(&values.sections["batch"]["bytes"]), ("256".into(), "s.toml:10".into()));
        assert_eq!(at(&values.sections["sqlite"]["mode"]), ("600".into(), "s.toml:12".into()));
    }

    #[test]
    fn mistakes_are_one_line_with_the_place_and_the_remedy() {
        for (text, message) in [
            ("\n[quue]\n", "s.toml:2: unknown section 'quue'; did you mean 'queue'?"),
            ("[queue]\nmesages = 1", "s.toml:2: unknown key 'queue.mesages'; did you mean 'messages'?"),
            ("[nothing-like-it]", "s.toml:1: unknown section 'nothing-like-it'"),
            ("[[listen]]\n[[listen]]\nport = 1", "s.toml:3: unknown key 'listen.port'"),
            ("[listen]\nkind = \"tcp\"", "s.toml:1: listeners are written as [[listen]], one for each"),
            ("queue = 5", "s.toml:1: 'queue' is a section: write [queue]"),
            (
                "[queue]\nmessages = \"many\"",
                "s.toml:2: invalid value for queue.messages: expected a whole number, found \"many\"",
            ),
            (
                "[queue]\nmessages = 1.5",
                "s.toml:2: invalid value for queue.messages: expected a whole number, found 1.5",
            ),
            (
                "[queue]\nmessages = 0",
                "s.toml:2: invalid value for queue.messages: expected a whole number from 1 to 100000000, found 0",
            ),
            (
                "[queue]\nwhen_full = \"drop\"",
                "s.toml:2: invalid value for queue.when_full: expected \"block\" or \"shed\", found \"drop\"",
            ),
            (
                "[batch]\nlinger = 20",
                "s.toml:2: invalid value for batch.linger: expected a duration as text, such as \"20ms\", found 20",
            ),
            (
                "[[listen]]\nproxy = \"yes\"",
                "s.toml:2: invalid value for listen.proxy: expected true or false, found \"yes\"",
            ),
            (
                "[sqlite]\nmode = 640",
                "s.toml:2: invalid value for sqlite.mode: expected permissions as text, such as \"0640\", found 640",
            ),
        ] {
            assert_eq!(error(text), message);
        }
        for text in
            ["[queue]\n[queue]\n", "[queue\n", "[queue]\nmessages = \n", "[queue]\nbytes = 1\nbytes = 2"]
        {
            let error = error(text);
            assert!(error.starts_with("s.toml:") && error.contains(": invalid TOML: "), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
