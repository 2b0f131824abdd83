//! `diagnose`: collects a support bundle, without secrets.

use std::fs::Permissions;
use std::io::BufWriter;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use crate::cli::DiagnoseArgs;
use crate::context::Context;
use crate::diagnosis::gather::gather;
use crate::diagnosis::{self, Gathered};
use crate::error::{Exit, Failure};
use crate::milvus::read_secret;
use crate::process::{Interrupt, Temporary};
use crate::settings::Credentials;
use crate::text::Mask;
use crate::ui::{bytes, count};

/// Collects the support bundle and writes it atomically.
///
/// # Errors
/// Fails with [`Exit::Usage`] if the file exists or its folder does not, and if the file cannot be written.
pub(super) fn run(args: &DiagnoseArgs, context: &Context) -> anyhow::Result<Exit> {
    let path = args.output.file()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!(Failure::new(Exit::Usage, format!("there is no folder `{}`", folder.display())));
    }
    if path.exists() && !args.force {
        bail!(
            Failure::new(Exit::Usage, format!("`{}` already exists", path.display()))
                .hint("choose another name, or replace it with `--force`")
        );
    }
    if context.dry_run {
        context.ui.line(&format!("Dry run: not writing `{}`", path.display()));
        return Ok(Exit::Done);
    }
    let step = context.ui.step("Collecting the support bundle");
    let gathered = gather(context, &mask(context), &|what| step.waits_for(what))?;
    let size = write(path, folder, &gathered, args.force, &context.interrupt)
        .with_context(|| format!("could not write `{}`", path.display()))?;
    let missing = gathered.iter().filter(|file| file.text.is_err()).count();
    let files = count(gathered.len() - missing, "file");
    step.done(&format!("Wrote {files}, {}", bytes(size)));
    if missing > 0 {
        context
            .ui
            .warn(&format!("{} could not be collected; see `index.txt` inside", count(missing, "answer")));
    }
    context.ui.data(&path.display().to_string());
    context.ui.line("Passwords, tokens and keys are masked; review it before you share it");
    Ok(Exit::Done)
}

/// A mask for all secrets known to this program.
fn mask(context: &Context) -> Mask {
    let from_env =
        ["MILVUSCTL_TOKEN", "MILVUSCTL_PASSWORD"].into_iter().filter_map(|name| std::env::var(name).ok());
    let mut known: Vec<String> = from_env.collect();
    if let Some(storage) = &context.settings.milvus.storage.external
        && let Credentials::Made { access_key, secret_key } = &storage.credentials
    {
        // A secret that cannot be read cannot appear in any answer.
        known.extend(
            [access_key, secret_key]
                .into_iter()
                .filter_map(|source| read_secret(source, &context.interrupt).ok())
                .map(|secret| secret.expose().to_owned()),
        );
    }
    Mask::new(known)
}

/// Writes to a temporary file beside `path` and renames it. Returns the size in bytes.
fn write(
    path: &Path,
    folder: &Path,
    gathered: &[Gathered],
    replace: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<u64> {
    let mut file = Temporary::new_in(folder, ".milvusctl-diagnosis-", interrupt)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    diagnosis::write(BufWriter::new(file.file()?), gathered, now)?;
    #[cfg(unix)]
    file.file()?.set_permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600))?;
    Ok(file.persist(path, replace)?)
}
