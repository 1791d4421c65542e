//! The text of `raddle ingest check`: every value, its origin, and its meaning.

use std::fmt::Write as _;

use super::file::Origin;
use super::keys::{DefaultValue, Form, Key};
use super::resolve::{Explained, Resolved};

/// The width of the meaning.
const WIDTH: usize = 100;

impl Resolved {
    /// Explains every value.
    pub(crate) fn explain(&self) -> String {
        let mut text = String::new();
        for (name, values) in &self.listeners {
            let _ = writeln!(text, "[[listen]]  the listener '{name}'");
            for value in values {
                value.explain(&mut text);
            }
            text.push('\n');
        }
        let mut section = "";
        for value in &self.sections {
            if value.key.section != section {
                if !section.is_empty() {
                    text.push('\n');
                }
                section = value.key.section;
                let _ = writeln!(text, "[{section}]");
            }
            value.explain(&mut text);
        }
        for note in &self.notes {
            let _ = write!(text, "\nnote: {note}\n");
        }
        text
    }

    /// Returns the names of the settings that differ in `other`, and take effect only after a restart.
    pub(crate) fn needs_restart(&self, other: &Self) -> Vec<String> {
        let listeners = self.listeners.iter().flat_map(|(name, values)| {
            let again = other.listeners.iter().find(|(it, _)| it == name);
            values.iter().zip(again.map(|(_, values)| values).into_iter().flatten())
        });
        let changed = self.sections.iter().zip(&other.sections).chain(listeners).filter(|(one, two)| {
            let text =
                |it: &Explained| it.given.as_ref().map(|given| given.text.clone()).or(it.key.default_text());
            !one.key.reloads && one.key.name == two.key.name && text(one) != text(two)
        });
        changed.map(|(one, _)| format!("{}.{}", one.key.section, one.key.name)).collect()
    }

    /// Keeps, from the settings before a reload, those that take effect only after a restart.
    pub(crate) fn keep_until_restart(&mut self, before: Self) {
        let keep = |values: &mut Vec<Explained>, old: Vec<Explained>| {
            for (value, old) in values.iter_mut().zip(old) {
                if !value.key.reloads && value.key.name == old.key.name {
                    *value = old;
                }
            }
        };
        keep(&mut self.sections, before.sections);
        for (name, old) in before.listeners {
            if let Some((_, values)) = self.listeners.iter_mut().find(|(it, _)| *it == name) {
                keep(values, old);
            }
        }
        (self.settings.sink, self.settings.unstored) = (before.settings.sink, before.settings.unstored);
    }
}

impl Explained {
    fn explain(&self, text: &mut String) {
        let Key { name, form, default, meaning, reloads, .. } = *self.key;
        let (value, origin) = match (&self.given, default) {
            // A secret is not shown.
            (Some(given), _) if ["token", "url"].contains(&name) => {
                ("(not shown)".to_owned(), given.origin.clone())
            }
            (Some(given), _) => (quoted(form, &given.text), given.origin.clone()),
            (None, DefaultValue::Value(value)) => (quoted(form, value), Origin::Default),
            (None, DefaultValue::Nothing(what)) => (format!("(none: {what})"), Origin::Default),
        };
        let _ = writeln!(text, "  {name} = {value}    {origin}");
        let restart = if reloads { "" } else { " A change needs a restart." };
        for line in wrapped(&format!("{meaning}{restart}")) {
            let _ = writeln!(text, "      {line}");
        }
    }
}

impl Key {
    fn default_text(&self) -> Option<String> {
        match self.default {
            DefaultValue::Value(text) => Some(text.to_owned()),
            DefaultValue::Nothing(_) => None,
        }
    }
}

/// Returns the value as it is written in the file.
pub(super) fn quoted(form: Form, text: &str) -> String {
    match form {
        Form::Count | Form::Flag => text.to_owned(),
        _ => format!("{text:?}"),
    }
}

/// Breaks a text into lines.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file;
    use super::super::keys::KEYS;
    use super::super::resolve::{FromFlags, combine};
    use super::*;

    fn resolved(text: &str) -> Resolved {
        let flags =
            FromFlags { values: vec![("batch", "linger", "--linger", "5ms".into())], ..FromFlags::default() };
        combine(file::parse(text, Path::new("s.toml")).unwrap(), &flags).unwrap()
    }

    #[test]
    fn every_value_is_explained_with_its_origin() {
        let text = resolved("[[listen]]\ntoken = \"secret\"\n[queue]\nmessages = 5\n").explain();
        for line in [
            "[[listen]]  the listener 'tcp'",
            "  kind = \"tcp\"    default",
            "  address = \"127.0.0.1:5140\"    default",
            "  token = (not shown)    s.toml:2",
            "[queue]",
            "  messages = 5    s.toml:4",
            "  bytes = \"16MiB\"    default",
            "  linger = \"5ms\"    --linger",
            "  path = \"messages.db\"    default",
            "  path = \"messages.db.unstored\"    default",
            "  keep = (none: messages are kept)    default",
        ] {
            assert!(text.lines().any(|it| it == line), "no {line:?} in\n{text}");
        }
        assert!(!text.contains("secret"), "{text}");
        for key in KEYS.iter().filter(|key| !["receive_buffer"].contains(&key.name)) {
            assert!(text.contains(&format!("\n  {} = ", key.name)), "{}.{}", key.section, key.name);
        }
    }

    #[test]
    fn changes_that_need_a_restart_are_named() {
        let before = resolved("[sqlite]\npath = \"a.db\"\n");
        let after =
            resolved("[sqlite]\npath = \"b.db\"\ncheck = false\nkeep = \"30d\"\n[queue]\nmessages = 5\n");
        assert_eq!(before.needs_restart(&after), ["sqlite.path", "sqlite.keep", "unstored.path"]);
        assert_eq!(before.needs_restart(&before), Vec::<String>::new());
        let udp = |buffer| resolved(&format!("[[listen]]\nkind = \"udp\"\nreceive_buffer = \"{buffer}\"\n"));
        let mut large = udp("2MiB");
        assert_eq!(udp("1MiB").needs_restart(&large), ["listen.receive_buffer"]);
        large.keep_until_restart(udp("1MiB"));
        assert_eq!(large.needs_restart(&udp("2MiB")), ["listen.receive_buffer"]);
        let mut kept = resolved("[sqlite]\npath = \"b.db\"\n[queue]\nmessages = 5\n");
        kept.keep_until_restart(before);
        assert_eq!(kept.settings.queue.messages, 5);
        assert_eq!(kept.needs_restart(&after), ["sqlite.path", "sqlite.keep", "unstored.path"]);
    }
}
