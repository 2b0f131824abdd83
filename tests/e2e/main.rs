//! The real binary against real kind, helm, kubectl and Docker; each test is ignored unless it is asked for.
//!
//! `MILVUSCTL_*` variables reach the program under test, so that they say which node image, chart repository
//! and mirrors it uses. Only clusters whose names begin with `milvusctl-test-` are made and deleted, and the
//! kubeconfig is one of the test's own. The tests take the host's ports 31000 and 19530, one after another.

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
mod store;
