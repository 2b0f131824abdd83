//! The SHA-256 sums of the pinned releases, so that no mirror, proxy or server can substitute another file.
//!
//! These are the sums that the projects publish beside the files (`.sha256`, `.sha256sum`), as repeated by
//! others who pin the same releases:
//! * kind 0.33.0 and helm 3.19.0: cert-manager's `modules/tools/00_mod.mk` (all four platforms of both);
//!   helm's also in the notes of its release v3.19.0, kind's in further Makefiles, Nix expressions and
//!   install scripts.
//! * kubectl 1.36.4: several Dockerfiles and CI scripts for Linux (amd64, arm64) and macOS (arm64); for macOS
//!   on amd64 only one list (`hack/install-test-deps.sh` of an SAP project), whose three other sums are
//!   right.
//!
//! A new pinned version needs four new sums; a test fails until they are here.

use super::checksum::Sha256Sum;
use super::release::{Arch, HostPlatform, Os, Tool};

/// The pinned kind's default node image (from the notes of its release v0.33.0).
pub const NODE_IMAGE: &str =
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5";

/// Returns the sum of the release file of `tool`'s pinned version for `platform`.
pub(super) fn sum(tool: Tool, platform: HostPlatform) -> Sha256Sum {
    let digits = match (tool, platform.os, platform.arch) {
        (Tool::Kind, Os::Linux, Arch::Amd64) => {
            "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d"
        }
        (Tool::Kind, Os::Linux, Arch::Arm64) => {
            "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2"
        }
        (Tool::Kind, Os::Darwin, Arch::Amd64) => {
            "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0"
        }
        (Tool::Kind, Os::Darwin, Arch::Arm64) => {
            "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f"
        }
        (Tool::Helm, Os::Linux, Arch::Amd64) => {
            "a7f81ce08007091b86d8bd696eb4d86b8d0f2e1b9f6c714be62f82f96a594496"
        }
        (Tool::Helm, Os::Linux, Arch::Arm64) => {
            "440cf7add0aee27ebc93fada965523c1dc2e0ab340d4348da2215737fc0d76ad"
        }
        (Tool::Helm, Os::Darwin, Arch::Amd64) => {
            "09a108c0abda42e45af172be65c49125354bf7cd178dbe10435e94540e49c7b9"
        }
        (Tool::Helm, Os::Darwin, Arch::Arm64) => {
            "31513e1193da4eb4ae042eb5f98ef9aca7890cfa136f4707c8d4f70e2115bef6"
        }
        (Tool::Kubectl, Os::Linux, Arch::Amd64) => {
            "8b8f088da2dab964f853b38464033b1be15ede2839eca751482357c45abdd05a"
        }
        (Tool::Kubectl, Os::Linux, Arch::Arm64) => {
            "0ecf44450ee6063bf19dd166a103ee6df4a9034455c2abce626e6eea657d73fb"
        }
        (Tool::Kubectl, Os::Darwin, Arch::Amd64) => {
            "71a3aa7c2ee2c974d9fbb462cba0c5c04a4df2e8d85eee94714fd819ea3c4e63"
        }
        (Tool::Kubectl, Os::Darwin, Arch::Arm64) => {
            "c9e4f713d6fee0043a3d835cca13077cda2bc0973840eb9779360df0b5bdfc69"
        }
    };
    Sha256Sum::parse(digits).expect("64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_release_has_a_sum_of_its_own() {
        let platforms = [Os::Linux, Os::Darwin]
            .into_iter()
            .flat_map(|os| [Arch::Amd64, Arch::Arm64].map(|arch| HostPlatform { os, arch }));
        let mut sums: Vec<String> =
            platforms.flat_map(|platform| Tool::ALL.map(|tool| sum(tool, platform).to_string())).collect();
        sums.sort();
        sums.dedup();
        assert_eq!(sums.len(), 12);
    }

    /// Fails if a version is raised without its sums.
    #[test]
    fn the_sums_are_those_of_the_pinned_versions() {
        let pinned = Tool::ALL.map(|tool| format!("{tool} {}", tool.pinned()));
        assert_eq!(pinned, ["kind 0.33.0", "helm 3.19.0", "kubectl 1.36.4"]);
    }
}
