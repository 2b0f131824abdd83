//! The facts about a machine.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that is known about the machine. Unknown facts are absent, never guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    pub host: HostFacts,
    pub environment: EnvironmentFacts,
    pub engine: Engine,
    /// The tools, each at most once.
    pub tools: Vec<ToolFacts>,
    /// The host ports that were checked.
    pub ports: Vec<Port>,
    /// The disks that were checked.
    pub disks: Vec<Disk>,
    /// The registries and mirrors that were queried.
    pub registries: Vec<Registry>,
    /// The folder of downloaded images.
    #[serde(default)]
    pub image_store: Option<ImageStore>,
}

/// The folder of downloaded images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStore {
    pub folder: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// The operating system and the hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The operating system in Rust's terms: `linux`, `macos`.
    pub os: String,
    /// The architecture in Rust's terms: `x86_64`, `aarch64`.
    pub arch: String,
    /// The memory, from `/proc`.
    pub memory: Option<Memory>,
    /// The number of processors that this process may use.
    pub cpus: Option<usize>,
    /// The instruction sets, on x86 only.
    pub cpu_features: Option<CpuFeatures>,
    /// The limits on watching files, on Linux only.
    pub inotify: Option<Inotify>,
    /// The version of control groups, on Linux only.
    pub cgroup: Option<CgroupVersion>,
}

/// Memory sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs can use without swapping.
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

/// The limits of `fs.inotify`, each per user.
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
    /// Version 1, which Kubernetes 1.35 and newer refuses.
    #[serde(rename = "1")]
    V1,
    #[serde(rename = "2")]
    V2,
}

/// Environment variables and kubeconfig files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentFacts {
    /// The proxy variables that are set, without credentials.
    pub proxies: Vec<Proxy>,
    /// The kubeconfig files, in reading order.
    pub kubeconfigs: Vec<Kubeconfig>,
    pub home: Option<PathBuf>,
    /// The folder for temporary files.
    pub temporary: PathBuf,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `KIND_EXPERIMENTAL_PROVIDER`.
    pub kind_provider: Option<String>,
    /// The unusable variable that keeps us off the network.
    #[serde(default)]
    pub network_fault: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// The variable, such as `HTTPS_PROXY`.
    pub name: String,
    /// Its value, without credentials.
    pub value: String,
}

/// A kubeconfig file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubeconfig {
    /// Where it is or would be created.
    pub path: PathBuf,
    /// Whether it can be used.
    pub state: KubeconfigState,
}

/// Whether a kubeconfig file can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KubeconfigState {
    /// It can be read.
    Readable,
    /// It does not exist; kind creates it.
    Missing,
    /// It cannot be read, for this reason.
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
    /// This user has no access to the engine's socket.
    PermissionDenied {
        /// What `docker` said.
        message: String,
    },
    /// The engine or its client failed in another way.
    Failed {
        /// What `docker` said.
        message: String,
    },
    Running(Box<EngineInfo>),
}

/// What a running engine reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    pub version: String,
    /// The newest API version that the engine supports.
    pub api_version: Option<String>,
    /// Its host name.
    pub name: String,
    /// Its operating system, such as `Debian GNU/Linux 12` or `Docker Desktop`.
    pub operating_system: String,
    /// The architecture in the kernel's terms.
    pub architecture: String,
    /// The memory of its machine, in bytes.
    pub memory_bytes: u64,
    /// The processors of its machine.
    pub cpus: u64,
    /// The version of control groups; older engines do not report it.
    pub cgroup: Option<CgroupVersion>,
    /// Where it keeps images and containers, on its own machine.
    pub root_dir: PathBuf,
    pub storage_driver: String,
    /// Whether it uses containerd's image store.
    pub containerd_image_store: bool,
    /// Whether it runs without root privileges.
    pub rootless: bool,
    /// Whether it comes from the Snap store, whose confinement hides `/tmp`.
    pub snap: bool,
}

impl EngineInfo {
    /// Whether the engine runs in Docker Desktop's virtual machine, so that its files are not on this one.
    pub fn is_in_desktop_vm(&self) -> bool {
        self.operating_system.contains("Docker Desktop")
    }
}

/// A tool that milvusctl drives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFacts {
    /// The program: `kind`, `helm` or `kubectl`.
    pub name: String,
    /// Its path, if found.
    pub path: Option<PathBuf>,
    /// The version as it prints it, such as `v0.27.0`.
    pub version: Option<String>,
}

/// A host port that the cluster will use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The address it listens on.
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
    /// Some process has it; which, only as far as this user may see.
    Taken(Vec<Holder>),
    /// The engine has it, for this container.
    Published(String),
    /// This machine lacks the address.
    NoSuchAddress,
}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// Its name, truncated to 15 characters by the kernel.
    pub name: String,
}

/// A place that needs disk space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub used_for: DiskUse,
    pub path: PathBuf,
    /// What this user can still write, in bytes.
    pub free_bytes: u64,
    /// The size of the file system, in bytes.
    pub total_bytes: u64,
}

/// What disk space is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskUse {
    /// The images of the engine and the nodes.
    Engine,
    /// Archives that `kind load` writes.
    Temporary,
}

/// A registry or mirror that was queried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The host, with its port if it is not 443.
    pub host: String,
    /// How long the answer or the failure took, in milliseconds.
    pub millis: u64,
    pub state: RegistryState,
}

/// The result of querying a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryState {
    /// It answered with this HTTP status. 401 is as good as 200, since a pull gets a token first.
    Answered(u16),
    /// It could not be reached, for this reason.
    Failed(String),
}
