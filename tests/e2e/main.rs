//! The real binary against real kind, helm, kubectl and Docker. Each test is ignored by default.
//!
//! `MILVUSCTL_*` variables reach the program under test and select the node image, chart repository and
//! mirrors. Tests create and delete only clusters whose names begin with `milvusctl-test-`, with a kubeconfig
//! of their own. They use the host's ports 31000 and 19530, one after another.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

mod again;
mod article;
mod bundle;
mod existing;
mod failures;
mod killed;
mod loading;
mod machine;
mod main_path;
mod reach;
#[path = "../signals.rs"]
mod signals;
mod store;
