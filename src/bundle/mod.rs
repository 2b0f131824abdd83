//! The bundle: one file with everything `up` needs without a network.
//!
//! A tar archive, optionally compressed with zstd, that begins with `milvusctl.json`, which describes its
//! contents and platform. The tools and the operator's chart follow, then an OCI image layout with the
//! images. `docker load` and `ctr images import` accept it too and skip what precedes the layout. This module
//! defines the format; callers decide what goes into a bundle and how it is used.

mod contents;
mod open;
mod write;

pub use contents::{BundledFile, BundledTool, Contents, PlanContents};
pub use open::{Bundle, BundleError};
pub use write::{Packing, write};
