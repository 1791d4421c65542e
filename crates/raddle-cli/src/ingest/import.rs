//! The command `raddle ingest import`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use raddle_ingest::{Books, UnstoredFile, import};

use super::args::ImportArgs;
use super::sink;
use crate::failure::Failure;
use crate::output::{print_line, report_error};
use crate::settings::{self, SinkSettings};

/// Exit status if messages were rejected, or lines are damaged.
const REJECTS: u8 = 3;

pub(crate) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let settings = settings::resolve(&args.database.settings()).map_err(Failure::usage)?.settings;
    let files = if args.files.is_empty() {
        UnstoredFile::find(sink::unstored_base(&settings))
    } else {
        args.files.clone()
    };
    if files.is_empty() {
        print_line("there are no files of unstored messages");
        return Ok(());
    }
    let books = Books::new();
    let Some(mut sink) = sink::open(&settings.sink, &books, &|| false)? else { return Ok(()) };
    let (mut failed, mut rejects) = (false, false);
    for file in &files {
        if is_of_database(file, &settings.sink) {
            failed = true;
            report_error(&format!("cannot import {}: it is a part of the database", file.display()));
            continue;
        }
        // A failure of the database is not retried: the user decides when to try again.
        match import(file, &mut *sink, &books, &mut |_| false) {
            Ok(imported) => {
                rejects |= imported.rejected > 0 || imported.damaged > 0;
                print_line(&format!("{}: {imported}", file.display()));
            }
            Err(error) => {
                failed = true;
                let remains = if file.symlink_metadata().is_ok() { "; the file remains" } else { "" };
                report_error(&format!("{error}{remains}"));
            }
        }
    }
    sink.close()?;
    match (failed, rejects) {
        (true, _) => Err(Failure::REPORTED),
        (false, true) => Err(Failure::status(REJECTS)),
        (false, false) => Ok(()),
    }
}

/// Returns whether the file is a part of the open database. To open and close it here would release the locks that SQLite has on it.
fn is_of_database(file: &Path, sink: &SinkSettings) -> bool {
    let SinkSettings::Sqlite(sqlite) = sink else { return false };
    let id = |path: &Path| path.metadata().ok().map(|it| (it.dev(), it.ino()));
    let file = id(file);
    file.is_some()
        && ["", "-wal", "-shm"].iter().any(|suffix| {
            let mut name = sqlite.path.as_os_str().to_owned();
            name.push(suffix);
            id(Path::new(&name)) == file
        })
}
