//! Lets only one run at a time change a cluster: `up` and `down` hold a lock file while they work on it.
//!
//! The operating system releases the lock with the process. Child processes inherit it, so a tool left behind
//! by a killed run holds it until it exits, and nobody starts beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, test_kill_process};

use crate::cluster::mark::folder;
use crate::context::Context;
use crate::error::{Exit, Failure};

/// How long to wait for a tool left behind by a killed run.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// The exclusive right to change a cluster, until dropped.
pub(crate) struct Lock(Option<File>);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Unlocks even if a running tool has inherited the lock; that tool is not one of this run's
            // steps.
            _ = file.unlock();
        }
    }
}

/// Takes the lock of the settings' cluster for `milvusctl COMMAND`.
///
/// # Errors
/// Fails if another run holds it, naming that run, or if the file cannot be used.
pub(crate) fn take(context: &Context, command: &str) -> anyhow::Result<Lock> {
    // A dry run changes nothing, and without a home directory there is nowhere to put the file.
    let Some(folder) = folder().filter(|_| !context.dry_run) else { return Ok(Lock(None)) };
    take_in(context, &folder, command)
}

fn take_in(context: &Context, folder: &Path, command: &str) -> anyhow::Result<Lock> {
    let cluster = context.kube_context();
    let path = folder.join(format!("{}.lock", file_name(&cluster)));
    let open = || {
        std::fs::create_dir_all(folder)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)
    };
    let mut file = open().with_context(|| format!("could not open {}", path.display()))?;
    let started = Instant::now();
    let mut step = None;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("could not lock {}", path.display()));
            }
        }
        let holder = read(&mut file).unwrap_or_default();
        let (pid, doing) = holder.trim().split_once(' ').unwrap_or(("", "milvusctl"));
        let holds = format!("`{doing}` (process {pid}) is working on cluster `{cluster}`");
        if is_running(pid) {
            bail!(Failure::new(Exit::Failed, holds).hint("wait until it has ended, or stop it"));
        }
        if started.elapsed() > LEFT_BEHIND {
            bail!(
                Failure::new(
                    Exit::TimedOut,
                    format!("a tool started by `{doing}` (process {pid}, since killed) is still running"),
                )
                .hint(format!("`fuser {}` shows which; stop it", path.display()))
            );
        }
        let step =
            step.get_or_insert_with(|| context.ui.step("Waiting for a tool left behind by a killed run"));
        step.waits_for(&format!("a tool that `{doing}` started to end"));
        context.sleep(Duration::from_millis(500))?;
    }
    if let Some(step) = step {
        step.vanish();
    }
    let hold = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{} milvusctl {command}", std::process::id())?;
        fcntl_setfd(file, FdFlags::empty()).map_err(io::Error::from)
    };
    hold(&mut file).with_context(|| format!("could not write {}", path.display()))?;
    Ok(Lock(Some(file)))
}

fn read(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// A file name for a context name, which may contain any character.
fn file_name(context: &str) -> String {
    context.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

fn is_running(pid: &str) -> bool {
    pid.parse().ok().and_then(Pid::from_raw).is_some_and(|pid| {
        // A process of another user cannot be signalled but is running.
        !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::process::ScriptedRunner;

    fn take_here(folder: &tempfile::TempDir, command: &str) -> anyhow::Result<Lock> {
        let context = Context::for_test(Arc::new(ScriptedRunner::default()));
        take_in(&context, folder.path(), command)
    }

    #[test]
    fn a_second_run_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take_here(&folder, "up").unwrap();
        let error = take_here(&folder, "down").err().unwrap().to_string();
        let pid = std::process::id();
        assert_eq!(
            error,
            format!("`milvusctl up` (process {pid}) is working on cluster `kind-milvus-cluster`")
        );
        drop(lock);
        take_here(&folder, "down").unwrap();
    }

    #[test]
    fn any_context_name_has_a_valid_file_name() {
        assert_eq!(file_name("arn:aws:eks:a:1:cluster/x"), "arn_aws_eks_a_1_cluster_x");
    }

    #[test]
    fn running_and_ended_processes_are_distinguished() {
        assert!(is_running(&std::process::id().to_string()));
        assert!(!is_running("") && !is_running("x") && !is_running("2147483646"));
    }
}
