//! The example settings file, which lists every setting with its default.

use std::fmt::Write as _;
use std::path::Path;

use super::explain::{quoted, wrapped};
use super::file;
use super::keys::{DefaultValue, KEYS, Key, applies};
use super::resolve::{FromFlags, combine};

const BEGIN: &str = "\
# Settings of raddle ingest, with their defaults. A line that begins with '#' and a name has no
# effect until the '#' is removed. `raddle ingest check --config FILE` explains the result.
";

/// Returns a value for a setting that has no default.
fn sample(key: &Key) -> &'static str {
    match (key.section, key.name) {
        ("listen", "name") => "tcp",
        ("listen", "address") => "127.0.0.1:5140",
        ("listen", "token") => "SECRET",
        ("listen", "token_file") => "/etc/raddle/token",
        ("sqlite", "path") => "messages.db",
        ("limits", "per_peer") => "2500",
        ("sqlite", "mode") => "0640",
        ("sqlite", "keep") => "30d",
        ("sqlite", "max_size") => "10GiB",
        ("postgres", "url") => "postgresql://raddle@localhost/messages",
        ("postgres", "url_file") => "/etc/raddle/postgres",
        ("unstored", "path") => "messages.db.unstored",
        other => panic!("no sample for {other:?}"),
    }
}

/// Generates the file from the table of the settings.
fn generate() -> String {
    let mut text = BEGIN.to_owned();
    let mut section = "";
    for key in KEYS {
        let optional = key.section == "postgres";
        if key.section != section {
            section = key.section;
            let off = if optional { "#" } else { "" };
            let header = if section == "listen" { "[[listen]]".to_owned() } else { format!("[{section}]") };
            let _ = writeln!(text, "\n{off}{header}");
        }
        let applies = section != "listen" || applies(key.name, "tcp");
        let restart = if key.reloads { "" } else { " A change needs a restart." };
        let kind = if applies { "" } else { " Only for kind udp." };
        for line in wrapped(&format!("{}{restart}{kind}", key.meaning)) {
            let _ = writeln!(text, "# {line}");
        }
        let (off, value) = match key.default {
            DefaultValue::Value(value) if optional || !applies => ("#", value),
            DefaultValue::Value(value) => ("", value),
            DefaultValue::Nothing(what) => {
                let _ = writeln!(text, "# Without it: {what}.");
                ("#", sample(key))
            }
        };
        let _ = writeln!(text, "{off}{} = {}", key.name, quoted(key.form, value));
    }
    text
}

/// `UPDATE_EXAMPLE=1 cargo test -p raddle-cli --bin raddle example` writes it again.
#[test]
fn example_lists_every_setting_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/ingest.toml");
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        std::fs::write(&path, generate()).unwrap();
    }
    let (file, generated) = (std::fs::read_to_string(&path).unwrap(), generate());
    let differs = generated.lines().zip(file.lines()).find(|(new, old)| new != old);
    assert!(file == generated, "{} is out of date: {differs:?}", path.display());
}

#[test]
fn example_has_the_effect_of_no_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/ingest.toml");
    let values = file::read(&path).unwrap();
    let given: usize =
        values.sections.values().chain(&values.listeners).map(std::collections::BTreeMap::len).sum();
    assert!(given > 20, "{given}");
    let example = combine(values, &FromFlags::default()).unwrap().settings;
    let defaults = combine(file::FileValues::default(), &FromFlags::default()).unwrap().settings;
    assert_eq!(example, defaults);
}

#[test]
fn settings_that_are_off_in_the_example_are_valid() {
    let text = generate();
    for line in text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| line.contains(" = ")) {
        let Some((name, _)) = line.split_once(" = ").filter(|(name, _)| !name.contains(' ')) else {
            continue;
        };
        let key =
            KEYS.iter().find(|key| key.name == name && text.contains(&format!("#{line}\n"))).expect(name);
        let section = if key.section == "listen" { "[[listen]]" } else { &format!("[{}]", key.section) };
        file::parse(&format!("{section}\n{line}\n"), Path::new("example")).expect(line);
    }
}
