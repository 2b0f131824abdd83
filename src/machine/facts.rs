//! The facts about a machine, as data.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that is known about the machine; what could not be learnt is absent, never guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// What the operating system says.
    pub host: HostFacts,
    /// What the environment variables say.
    pub environment: EnvironmentFacts,
    /// What the container engine says.
    pub engine: Engine,
    /// The tools, each at most once.
    pub tools: Vec<ToolFacts>,
    /// The host ports that were looked at.
    pub ports: Vec<Port>,
    /// The disks that were looked at.
    pub disks: Vec<Disk>,
    /// The registries and mirrors that were asked.
    pub registries: Vec<Registry>,
    /// The folder of downloaded images.
    #[serde(default)]
    pub image_store: Option<ImageStore>,
}

/// The folder of downloaded images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStore {
    pub folder: PathBuf,
    /// How much it takes.
    pub bytes: u64,
}

/// What the operating system says about itself and the hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The operating system, as Rust names it: `linux`, `macos`.
    pub os: String,
    /// The architecture, as Rust names it: `x86_64`, `aarch64`.
    pub arch: String,
    /// The memory, where `/proc` tells it.
    pub memory: Option<Memory>,
    /// How many processors this process may use.
    pub cpus: Option<usize>,
    /// The instruction sets, on x86 only.
    pub cpu_features: Option<CpuFeatures>,
    /// The limits on watching files, on Linux only.
    pub inotify: Option<Inotify>,
    /// The version of control groups, on Linux only.
    pub cgroup: Option<CgroupVersion>,
}

/// Sizes of memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs can still have without swapping.
    pub available_bytes: Option<u64>,
}

/// The x86 instruction sets that Milvus is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFeatures {
    /// SSE4.2.
    pub sse4_2: bool,
    pub avx: bool,
    /// AVX2.
    pub avx2: bool,
}

/// The limits of `fs.inotify`, each for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inotify {
    /// `fs.inotify.max_user_watches`.
    pub max_user_watches: u64,
    /// `fs.inotify.max_user_instances`.
    pub max_user_instances: u64,
}

/// A version of Linux control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupVersion {
    /// The first, which Kubernetes 1.35 and newer refuses.
    #[serde(rename = "1")]
    V1,
    #[serde(rename = "2")]
    V2,
}

/// What environment variables and the home directory say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentFacts {
    /// The proxy variables that are set, without credentials.
    pub proxies: Vec<Proxy>,
    /// The kubeconfig files, in the order in which they are read.
    pub kubeconfigs: Vec<Kubeconfig>,
    pub home: Option<PathBuf>,
    /// The folder for temporary files.
    pub temporary: PathBuf,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `KIND_EXPERIMENTAL_PROVIDER`.
    pub kind_provider: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// The variable, such as `HTTPS_PROXY`.
    pub name: String,
    /// Its value, with credentials left out.
    pub value: String,
}

/// A file with the addresses and keys of clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubeconfig {
    /// Where it is or would be.
    pub path: PathBuf,
    /// Whether it can be used.
    pub state: KubeconfigState,
}

/// Whether a kubeconfig file can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KubeconfigState {
    /// It is there and can be read.
    Readable,
    /// It is not there; kind creates it.
    Missing,
    /// It is there and cannot be read, for this reason.
    Unreadable(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Engine {
    /// The `docker` command is not in PATH.
    #[default]
    Missing,
    /// Nothing answers at the engine's socket.
    NotRunning {
        /// What `docker` said.
        message: String,
    },
    /// This user may not use the engine's socket.
    PermissionDenied {
        /// What `docker` said.
        message: String,
    },
    /// The engine or its client failed otherwise.
    Failed {
        /// What `docker` said.
        message: String,
    },
    Running(Box<EngineInfo>),
}

/// What a running engine says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    pub version: String,
    /// The newest API version that the engine speaks.
    pub api_version: Option<String>,
    /// The name of its machine.
    pub name: String,
    /// What its containers run on, such as `Debian GNU/Linux 12` or `Docker Desktop`.
    pub operating_system: String,
    /// The architecture, as the kernel names it.
    pub architecture: String,
    /// The memory of its machine, in bytes.
    pub memory_bytes: u64,
    /// The processors of its machine.
    pub cpus: u64,
    /// The version of control groups; older engines do not say.
    pub cgroup: Option<CgroupVersion>,
    /// Where it keeps images and containers, on its machine.
    pub root_dir: PathBuf,
    pub storage_driver: String,
    /// Whether containerd keeps its images.
    pub containerd_image_store: bool,
    /// Whether it runs without root rights.
    pub rootless: bool,
    /// Whether it comes from the Snap store, whose confinement hides `/tmp`.
    pub snap: bool,
}

impl EngineInfo {
    /// Whether the engine's files are on this machine, and not in a virtual machine of Docker Desktop's.
    pub fn is_in_desktop_vm(&self) -> bool {
        self.operating_system.contains("Docker Desktop")
    }
}

/// A tool that milvusctl drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFacts {
    /// The program: `kind`, `helm` or `kubectl`.
    pub name: String,
    /// Where it was found.
    pub path: Option<PathBuf>,
    /// The version it names, in its own words, such as `v0.27.0`.
    pub version: Option<String>,
}

/// A host port that the cluster is going to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The address it is opened on.
    pub address: IpAddr,
    pub port: u16,
    /// Whether it can be opened.
    pub state: PortState,
}

/// Whether a port can be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    Free,
    /// Somebody has it; who, only as far as this user may know.
    Taken(Vec<Holder>),
    /// The engine has it, for the container of this name.
    Published(String),
    /// This machine does not have the address.
    NoSuchAddress,
}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// Its name, cut to 15 characters by the kernel.
    pub name: String,
}

/// A place that needs room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub used_for: DiskUse,
    pub path: PathBuf,
    /// What this user can still write there, in bytes.
    pub free_bytes: u64,
    /// The size of the file system, in bytes.
    pub total_bytes: u64,
}

/// What room on a disk is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskUse {
    /// The engine's images, and those of the nodes.
    Engine,
    /// Archives that `kind load` writes.
    Temporary,
}

/// A registry or mirror that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The host, with its port if it is not 443.
    pub host: String,
    /// How long the answer or the failure took, in milliseconds.
    pub millis: u64,
    pub state: RegistryState,
}

/// What came of asking a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryState {
    /// It answered with this HTTP status; 401 is as good as 200, since pulling asks for a token first.
    Answered(u16),
    /// It could not be reached, for this reason.
    Failed(String),
}
