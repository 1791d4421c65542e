//! The command `raddle send`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use raddle::time;
use raddle_ingest::old::Burst;

use crate::args::SendArgs;
use crate::failure::Failure;
use crate::output::print_line;

pub(crate) fn run(args: &SendArgs) -> Result<(), Failure> {
    let SendArgs { messages, connections, burst, pause, size, .. } = *args;
    let burst = Burst { messages, connections, burst, pause, size };
    let begin = time::now();
    burst
        .send(&args.to, &Arc::new(AtomicU64::new(0)))
        .map_err(|error| Failure::new(format!("{}: {error}", args.to)))?;
    let time = time::now() - begin;
    let (seconds, rate) = (time.as_secs_f64(), u128::from(messages) * 1000 / time.as_millis().max(1));
    print_line(&format!(
        "sent {messages} messages over {connections} connections in {seconds:.1} s, {rate} per second"
    ));
    Ok(())
}
