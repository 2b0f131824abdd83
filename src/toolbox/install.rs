//! Installs a verified program under its final name, once, even with concurrent runs.

use std::fs::{File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use semver::Version;
use tempfile::NamedTempFile;

use super::checksum::{Sha256Sum, parse_checksum_file};
use super::download::Downloader;
use super::error::FetchError;
use super::folder::{self, FolderFile};
use super::installed::{Checked, Installed};
use super::progress::FetchProgress;
use super::release::ReleasePath;
use super::request::ToolRequest;
use super::source::ToolSource;
use super::unpack::{self, UnpackError};
use crate::net::Network;
use crate::text::without_logins;

/// Fetches a tool through `network`, unless the requested one is already installed.
///
/// `progress` is called from this thread, and `stop` is checked several times a second. On failure, what has
/// arrived stays in the folder as a `.part` file, which another run resumes.
///
/// # Errors
/// Fails if the file cannot be fetched or written, has the wrong sum, or is damaged, or if `stop` was set. A
/// program installed before stays.
pub fn fetch(
    request: &ToolRequest,
    network: &Network,
    progress: &mut dyn FnMut(FetchProgress),
    stop: &AtomicBool,
) -> Result<Installed, FetchError> {
    let job = InstallJob::new(request, stop);
    std::fs::create_dir_all(&request.dir).map_err(|error| FetchError::file("create", &request.dir, error))?;
    let _lock = job.lock(progress)?;
    let base = match &request.source {
        ToolSource::Official => request.tool.official_base(),
        ToolSource::Mirror(base) => base,
        ToolSource::Folder(folder) => return job.install_from_folder(folder, progress),
    };
    let client = Downloader::new(request.tool, request.patience, network, stop);
    job.install_from_web(base, &client, progress)
}

/// A tool as published by its project, or the user's own program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Its current path.
    pub file: PathBuf,
    /// Its place in a folder of tools.
    pub place: String,
    /// `None` for the user's own program.
    pub version: Option<Version>,
}

/// Gets a tool's release file without installing it, verified as in [`fetch`]. A file from a folder stays
/// there; a download stays in the request's folder.
///
/// # Errors
/// Fails as [`fetch`] does.
pub fn release_file(
    request: &ToolRequest,
    network: &Network,
    progress: &mut dyn FnMut(FetchProgress),
    stop: &AtomicBool,
) -> Result<ReleaseFile, FetchError> {
    let job = InstallJob::new(request, stop);
    let place = job.release.path.clone();
    let version = Some(request.version.clone());
    let base = match &request.source {
        ToolSource::Official => request.tool.official_base(),
        ToolSource::Mirror(base) => base,
        ToolSource::Folder(folder) => {
            let (FolderFile { file, is_release, .. }, _) = job.find_in_folder(folder, progress)?;
            let fault = folder::fault_of_program(&file, request.platform)
                .map_err(|error| FetchError::file("read", &file, error))?;
            if let Some(why) = fault.filter(|_| !is_release || job.release.member.is_none()) {
                return Err(FetchError::NotAProgram { tool: request.tool, path: file, why });
            }
            return Ok(if is_release {
                ReleaseFile { file, place, version }
            } else {
                ReleaseFile { file, place: request.tool.name().to_owned(), version: None }
            });
        }
    };
    let file = request.dir.join(&place);
    let folder = file.parent().unwrap_or(&request.dir);
    std::fs::create_dir_all(folder).map_err(|error| FetchError::file("create", folder, error))?;
    let _lock = job.lock(progress)?;
    if file.is_file() && job.sum_of(&file)? == request.sha256 {
        return Ok(ReleaseFile { file, place, version });
    }
    let client = Downloader::new(request.tool, request.patience, network, stop);
    let part = job.download(&format!("{base}/{place}"), &client, progress)?;
    std::fs::rename(&part, &file).map_err(|error| FetchError::file("write", &file, error))?;
    Ok(ReleaseFile { file, place, version })
}

/// One run of [`fetch`].
struct InstallJob<'a> {
    request: &'a ToolRequest,
    release: ReleasePath,
    stop: &'a AtomicBool,
}

impl<'a> InstallJob<'a> {
    fn new(request: &'a ToolRequest, stop: &'a AtomicBool) -> Self {
        let release = ReleasePath::of(request.tool, &request.version, request.platform);
        Self { request, release, stop }
    }

    /// Waits until no other run works on the same tool. Dropping the returned file releases the lock.
    fn lock(&self, progress: &mut dyn FnMut(FetchProgress)) -> Result<File, FetchError> {
        let path = self.beside("lock");
        let failed = |error| FetchError::file("lock", &path, error);
        let file = File::create(&path).map_err(failed)?;
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    // We hold the lock, so no other run is writing one of these.
                    folder::remove_beginning_with(&self.request.dir, &self.unfinished());
                    return Ok(file);
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
                Err(std::fs::TryLockError::WouldBlock) => {}
            }
            if !said {
                progress(FetchProgress::Waiting);
                said = true;
            }
            self.check_stop()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The prefix of programs still being written.
    fn unfinished(&self) -> String {
        format!(".{}-new-", self.request.tool)
    }

    fn install_from_web(
        &self,
        base: &str,
        client: &Downloader<'_>,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<Installed, FetchError> {
        if let Some(installed) = self.in_place()? {
            return Ok(installed);
        }
        let url = format!("{base}/{}", self.release.path);
        let expected = &self.request.sha256;
        let part = self.download(&url, client, progress)?;
        let sha256 = if let Some(member) = &self.release.member {
            let sha256 = self.unpack(&part, member, &without_logins(&url), progress)?;
            std::fs::remove_file(&part).map_err(|error| FetchError::file("remove", &part, error))?;
            sha256
        } else {
            let file = File::open(&part).map_err(|error| FetchError::file("read", &part, error))?;
            make_program(&file, &part)?;
            let path = self.program();
            std::fs::rename(&part, &path).map_err(|error| FetchError::file("write", &path, error))?;
            expected.clone()
        };
        let version = Some(self.request.version.to_string());
        self.record(version, sha256, without_logins(&url), Checked::Pinned)
    }

    /// Downloads the release file next to its destination, and verifies its sum.
    fn download(
        &self,
        url: &str,
        client: &Downloader<'_>,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<PathBuf, FetchError> {
        let expected = &self.request.sha256;
        // The sum in the name keeps two different files from being pieced together.
        let part = self.beside(&format!("{}-{}.part", self.request.version, &expected.as_str()[..16]));
        let mut continued = part.exists();
        loop {
            client.file(url, &part, progress)?;
            progress(FetchProgress::Checking);
            let found = self.sum_of(&part)?;
            if found == *expected {
                break;
            }
            std::fs::remove_file(&part).map_err(|error| FetchError::file("remove", &part, error))?;
            if !continued {
                return Err(self.wrong_sum(without_logins(url), expected, &found));
            }
            // An earlier run's leftovers may be at fault: retry once from the beginning.
            continued = false;
        }
        Ok(part)
    }

    fn install_from_folder(
        &self,
        folder: &Path,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<Installed, FetchError> {
        let (found, checked) = self.find_in_folder(folder, progress)?;
        let from = found.file.display().to_string();
        let member = self.release.member.as_ref().filter(|_| found.is_release);
        let sha256 = match member {
            Some(member) => self.unpack(&found.file, member, &from, progress)?,
            None => self.copy(&found.file, progress)?,
        };
        let version = found.is_release.then(|| self.request.version.to_string());
        self.record(version, sha256, from, checked)
    }

    /// Finds the tool in a folder, and verifies what can be verified.
    fn find_in_folder(
        &self,
        folder: &Path,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<(FolderFile, Checked), FetchError> {
        let tool = self.request.tool;
        let found = folder::find(folder, tool, &self.release).ok_or_else(|| FetchError::NotInFolder {
            tool,
            folder: folder.to_path_buf(),
            looked_for: folder::places(tool, &self.release),
        })?;
        let from = found.file.display().to_string();
        progress(FetchProgress::Checking);
        let checked = match &found.sum {
            _ if found.is_release => {
                let sum = self.sum_of(&found.file)?;
                if sum != self.request.sha256 {
                    return Err(self.wrong_sum(from, &self.request.sha256, &sum));
                }
                Checked::Pinned
            }
            None => Checked::Trusted,
            Some(sum_path) => {
                let text = std::fs::read_to_string(sum_path)
                    .map_err(|error| FetchError::file("read", sum_path, error))?;
                let name = found.file.file_name().unwrap_or_default().to_string_lossy();
                let place = sum_path.display().to_string();
                let expected = self.read_sum(&text, &place, &name)?;
                let sum = self.sum_of(&found.file)?;
                if sum != expected {
                    return Err(self.wrong_sum(from, &expected, &sum));
                }
                Checked::Against(place)
            }
        };
        Ok((found, checked))
    }

    /// Copies the program `file` to its final name and returns its sum.
    fn copy(&self, file: &Path, progress: &mut dyn FnMut(FetchProgress)) -> Result<Sha256Sum, FetchError> {
        let unreadable = |error| FetchError::file("read", file, error);
        let mut from = File::open(file).map_err(unreadable)?;
        let total = from.metadata().ok().map(|metadata| metadata.len());
        self.place(file, |out| {
            let mut buffer = vec![0; 1024 * 1024];
            let mut received = 0;
            loop {
                self.check_stop()?;
                let read = from.read(&mut buffer).map_err(unreadable)?;
                if read == 0 {
                    return Ok(());
                }
                out.write_all(&buffer[..read])
                    .map_err(|error| FetchError::file("write", out.path(), error))?;
                received += read as u64;
                progress(FetchProgress::Fetching { received, total });
            }
        })
    }

    /// Extracts the program from `archive`, which came from `from`, and returns the program's sum.
    fn unpack(
        &self,
        archive: &Path,
        member: &str,
        from: &str,
        progress: &mut dyn FnMut(FetchProgress),
    ) -> Result<Sha256Sum, FetchError> {
        progress(FetchProgress::Unpacking);
        let file = File::open(archive).map_err(|error| FetchError::file("read", archive, error))?;
        self.place(archive, |out| {
            unpack::member(file, member, out).map_err(|error| match error {
                UnpackError::Write(error) => FetchError::file("write", out.path(), error),
                UnpackError::Archive(why) => {
                    FetchError::Archive { tool: self.request.tool, place: from.to_owned(), why }
                }
            })
        })
    }

    /// Writes a program next to its final name, checks it, and only then renames it.
    fn place(
        &self,
        from: &Path,
        write: impl FnOnce(&mut NamedTempFile) -> Result<(), FetchError>,
    ) -> Result<Sha256Sum, FetchError> {
        let dir = &self.request.dir;
        let named = tempfile::Builder::new().prefix(&self.unfinished()).tempfile_in(dir);
        let mut out = named.map_err(|error| FetchError::file("write", dir, error))?;
        write(&mut out)?;
        let fault = folder::fault_of_program(out.path(), self.request.platform)
            .map_err(|error| FetchError::file("read", out.path(), error))?;
        if let Some(why) = fault {
            return Err(FetchError::NotAProgram { tool: self.request.tool, path: from.to_path_buf(), why });
        }
        let sum = self.sum_of(out.path())?;
        make_program(out.as_file(), out.path())?;
        let path = self.program();
        out.persist(&path).map_err(|error| FetchError::file("write", &path, error.error))?;
        Ok(sum)
    }

    /// Returns the installed tool, if it has the requested version and still the sum it was installed with.
    fn in_place(&self) -> Result<Option<Installed>, FetchError> {
        // Without a readable record the tool is fetched again.
        let Some(installed) = Installed::read(&self.beside("json")) else { return Ok(None) };
        let path = self.program();
        if installed.version.as_deref() != Some(self.request.version.to_string().as_str())
            || installed.checked != Checked::Pinned
            || !path.is_file()
        {
            return Ok(None);
        }
        let is_same = self.sum_of(&path)? == installed.sha256;
        Ok(is_same.then_some(Installed { path, unchanged: true, ..installed }))
    }

    fn record(
        &self,
        version: Option<String>,
        sha256: Sha256Sum,
        from: String,
        checked: Checked,
    ) -> Result<Installed, FetchError> {
        let (tool, path) = (self.request.tool, self.program());
        let installed = Installed { tool, path, version, sha256, from, checked, unchanged: false };
        installed.write(&self.request.dir, &self.beside("json"))?;
        Ok(installed)
    }

    fn program(&self) -> PathBuf {
        self.request.dir.join(self.request.tool.name())
    }

    /// Returns the path of this tool's hidden file with the given ending.
    fn beside(&self, ending: &str) -> PathBuf {
        self.request.dir.join(format!(".{}.{ending}", self.request.tool))
    }

    fn sum_of(&self, path: &Path) -> Result<Sha256Sum, FetchError> {
        Sha256Sum::of_file(path, self.stop)
            .map_err(|error| FetchError::file("read", path, error))?
            .ok_or(FetchError::Interrupted { tool: self.request.tool })
    }

    fn read_sum(&self, text: &str, place: &str, name: &str) -> Result<Sha256Sum, FetchError> {
        parse_checksum_file(text, name).ok_or_else(|| FetchError::ChecksumUnreadable {
            tool: self.request.tool,
            place: place.to_owned(),
            name: name.to_owned(),
        })
    }

    fn wrong_sum(&self, place: String, expected: &Sha256Sum, found: &Sha256Sum) -> FetchError {
        let (expected, found) = (expected.to_string(), found.to_string());
        FetchError::WrongChecksum { tool: self.request.tool, place, expected, found }
    }

    fn check_stop(&self) -> Result<(), FetchError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(FetchError::Interrupted { tool: self.request.tool });
        }
        Ok(())
    }
}

/// Makes a complete file executable and syncs it to disk.
fn make_program(file: &File, path: &Path) -> Result<(), FetchError> {
    file.set_permissions(Permissions::from_mode(0o755))
        .and_then(|()| file.sync_all())
        .map_err(|error| FetchError::file("write", path, error))
}

#[cfg(test)]
#[path = "install_tests/mod.rs"]
mod tests;
