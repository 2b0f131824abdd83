//! How images get into nodes, in the words of flags and the configuration file.

use crate::string_enum::string_enum;

string_enum! {
    /// How images get into nodes.
    Loader {
        /// Directly where that works, else through kind.
        Auto = "auto",
        /// Streamed straight into the node's containerd.
        Direct = "direct",
        /// Through `kind load image-archive`.
        Kind = "kind",
    }
}

string_enum! {
    /// Which nodes get an image.
    NodeChoice {
        /// Those on which pods wait for it.
        Waiting = "waiting",
        /// All that could run those pods.
        All = "all",
    }
}

string_enum! {
    /// Who gets an image that is neither in the engine nor in the store.
    PullWith {
        /// milvusctl itself, and the engine where that fails.
        Auto = "auto",
        /// milvusctl itself, straight from the registry into the store.
        Registry = "registry",
        /// The container engine, with `docker pull`.
        Docker = "docker",
    }
}
