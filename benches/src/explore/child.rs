//! Measurements in child processes.

use std::io;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use super::case::Job;
use super::sample::Sample;
use crate::args::Limits;

/// Runs the measurement. The inner error describes a crash of its process.
pub(crate) fn measure(job: Job, limits: &Limits) -> io::Result<Result<Sample, String>> {
    let output = Command::new(std::env::current_exe()?)
        .arg("measure")
        .args(["--program", &name(&job.program), "--main", &name(&job.main)])
        .args(["--goal", &name(&job.goal), "--tool", &name(&job.tool)])
        .args(["--seeds", &limits.seeds.to_string(), "--cap", &limits.cap.to_string()])
        .args(["--limit", &limits.limit.to_string()])
        // They would override the seeds.
        .env_remove("SHUTTLE_RANDOM_SEED")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    if output.status.success() {
        Ok(Ok(serde_json::from_slice(&output.stdout)?))
    } else {
        Ok(Err(format!("crashed: {}", output.status)))
    }
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
