//! The bundle: one file with all that `up` needs where there is no network.
//!
//! It is a tar archive, packed with zstd or not, and begins with `milvusctl.json`, which says what it holds and for
//! which platform. Tools and the operator's chart follow, then an OCI image layout with the images, which `docker load`
//! and `ctr images import` take as well: they pass over what stands before it. Answers for the format; what goes into a
//! bundle and what is done with it is decided elsewhere.

mod contents;
mod open;
mod write;

pub use contents::{BundledFile, BundledTool, Contents, PlanContents};
pub use open::{Bundle, BundleError};
pub use write::{Packing, write};
