//! Finds a tool in a folder, and checks whether a file is a program for this machine.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::release::{Arch, HostPlatform, Os, ReleasePath, Tool};

/// A tool found in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FolderFile {
    pub file: PathBuf,
    /// The checksum file beside it.
    pub sum: Option<PathBuf>,
    /// The file has the name of the release file, and so its version and format.
    pub is_release: bool,
}

/// Returns where in a folder a tool may be, best first.
pub(super) fn places(tool: Tool, release: &ReleasePath) -> Vec<String> {
    let mut places = vec![
        format!("{tool}/{}", release.path),
        release.path.clone(),
        release.file_name().to_owned(),
        tool.name().to_owned(),
    ];
    places.dedup();
    places
}

/// Looks for `tool` in `folder`.
pub(super) fn find(folder: &Path, tool: Tool, release: &ReleasePath) -> Option<FolderFile> {
    places(tool, release).into_iter().find_map(|place| {
        let file = folder.join(&place);
        let is_release = place != tool.name();
        file.is_file().then(|| FolderFile { sum: sum_beside(&file), file, is_release })
    })
}

fn sum_beside(file: &Path) -> Option<PathBuf> {
    [".sha256", ".sha256sum"].into_iter().find_map(|suffix| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        path.is_file().then_some(path)
    })
}

/// Returns what keeps the file at `path` from being a program for `platform`, if anything.
///
/// Scripts pass; their interpreter is not checked.
pub(super) fn fault_of_program(path: &Path, platform: HostPlatform) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    File::open(path)?.take(20).read_to_end(&mut head)?;
    let other = |what: &str| Some(format!("it is built for {what}, not for {platform}"));
    let fault = match head.as_slice() {
        [] => Some("the file is empty".to_owned()),
        [b'#', b'!', ..] => None,
        [0x7f, b'E', b'L', b'F', rest @ ..] => {
            let machine = rest.get(14..16).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
            match (platform.os, machine) {
                // e_machine: EM_X86_64 and EM_AARCH64 of the ELF specification.
                (Os::Linux, Some(62)) if platform.arch == Arch::Amd64 => None,
                (Os::Linux, Some(183)) if platform.arch == Arch::Arm64 => None,
                (Os::Linux, _) => other("another processor"),
                (Os::Darwin, _) => other("Linux"),
            }
        }
        // A universal Mach-O file contains several architectures.
        [0xca, 0xfe, 0xba, 0xbe, ..] if platform.os == Os::Darwin => None,
        [0xcf, 0xfa, 0xed, 0xfe, cpu, 0, 0, 1, ..] => match (platform.os, cpu) {
            (Os::Darwin, 7) if platform.arch == Arch::Amd64 => None,
            (Os::Darwin, 12) if platform.arch == Arch::Arm64 => None,
            (Os::Darwin, _) => other("another processor"),
            (Os::Linux, _) => other("macOS"),
        },
        _ => Some("it is not a program".to_owned()),
    };
    Ok(fault)
}

/// Removes files in `dir` that killed runs left behind; their names start with `begin`.
pub(super) fn remove_beginning_with(dir: &Path, begin: &str) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(begin) {
            // A leftover only takes up space.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: HostPlatform = HostPlatform { os: Os::Linux, arch: Arch::Amd64 };
    const MAC: HostPlatform = HostPlatform { os: Os::Darwin, arch: Arch::Arm64 };

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        dir
    }

    fn found(files: &[&str], tool: Tool) -> Option<(String, Option<String>, bool)> {
        let dir = folder(files);
        let below = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
        let found = find(dir.path(), tool, &ReleasePath::of(tool, &tool.pinned(), LINUX))?;
        Some((below(&found.file), found.sum.as_deref().map(below), found.is_release))
    }

    #[test]
    fn every_documented_layout_is_found() {
        let rows = [
            (Tool::Kind, &["kind"][..], Some(("kind", None, false))),
            (Tool::Kind, &["kind", "kind.sha256"], Some(("kind", Some("kind.sha256"), false))),
            (Tool::Kind, &["kind-linux-amd64"], Some(("kind-linux-amd64", None, true))),
            (
                Tool::Kind,
                &["kind/v0.33.0/kind-linux-amd64", "kind/v0.33.0/kind-linux-amd64.sha256sum"],
                Some((
                    "kind/v0.33.0/kind-linux-amd64",
                    Some("kind/v0.33.0/kind-linux-amd64.sha256sum"),
                    true,
                )),
            ),
            (
                Tool::Helm,
                &["helm-v3.19.0-linux-amd64.tar.gz", "helm"],
                Some(("helm-v3.19.0-linux-amd64.tar.gz", None, true)),
            ),
            (Tool::Kubectl, &["kubectl"], Some(("kubectl", None, false))),
            (Tool::Kubectl, &["kind", "kubectl.sha256"], None),
        ];
        for (tool, files, expected) in rows {
            let expected =
                expected.map(|(file, sum, release)| (file.to_owned(), sum.map(str::to_owned), release));
            assert_eq!(found(files, tool), expected, "{files:?}");
        }
    }

    #[test]
    fn only_programs_for_the_platform_pass() {
        let elf = |machine: u8| [&b"\x7fELF\x02\x01\x01"[..], &[0; 11], &[machine, 0]].concat();
        let other = |what: &str, platform| Some(format!("it is built for {what}, not for {platform}"));
        let rows = [
            (b"#!/bin/sh\n".to_vec(), LINUX, None),
            (elf(62), LINUX, None),
            (elf(183), LINUX, other("another processor", "linux/amd64")),
            (elf(62), MAC, other("Linux", "darwin/arm64")),
            (b"\xcf\xfa\xed\xfe\x0c\0\0\x01".to_vec(), MAC, None),
            (b"\xcf\xfa\xed\xfe\x0c\0\0\x01".to_vec(), LINUX, other("macOS", "linux/amd64")),
            (b"<html>".to_vec(), LINUX, Some("it is not a program".to_owned())),
            (Vec::new(), LINUX, Some("the file is empty".to_owned())),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        for (bytes, platform, expected) in rows {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(fault_of_program(&path, platform).unwrap(), expected, "{bytes:?}");
        }
    }
}
