//! The command `raddle ingest import`.

use raddle_ingest::{Books, UnstoredFile, import};

use super::args::ImportArgs;
use super::sink;
use crate::failure::Failure;
use crate::output::{print_line, report_error};
use crate::settings;

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
        // A database that fails now would fail next time, too: a person decides when.
        match import(file, &mut *sink, &books, &mut |_| false) {
            Ok(imported) => {
                rejects |= imported.rejected > 0 || imported.damaged > 0;
                print_line(&format!("{}: {imported}", file.display()));
            }
            Err(error) => {
                failed = true;
                report_error(&format!("{error}; the file remains"));
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
