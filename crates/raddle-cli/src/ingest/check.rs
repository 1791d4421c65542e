//! The command `raddle ingest check`.

use super::args::CheckArgs;
use crate::failure::Failure;
use crate::output::print_line;
use crate::settings;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let resolved = settings::resolve(&args.flags.settings()).map_err(Failure::usage)?;
    print_line(resolved.explain().trim_end());
    Ok(())
}
