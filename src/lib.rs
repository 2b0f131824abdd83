//! milvusctl takes a machine with Docker to a working Milvus on a kind cluster, and gets every image
//! into the cluster, also where registries are slow, blocked or absent.
//!
//! The layers, each of which may use those to its right or below it, and never the other way round:
//!
//! ```text
//! main      -> cli, settings, context, commands, error
//! commands  -> plan, steps, domain, tools, ui, context      observe, plan, act, report
//! steps     -> domain, tools, ui, context                   carry out one planned step
//! tools     -> process, domain value types                  one method per question to a tool
//! process   -> std, duct                                    a command as a value, and its runner
//! ui        -> console, indicatif, domain types             everything the user sees
//! domain    -> std, serde, templates                        pure: never tools, process, ui, cli
//! ```

pub mod archive;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod context;
pub mod diagnosis;
pub mod error;
pub mod images;
pub mod kube;
pub mod load;
pub mod machine;
pub mod milvus;
pub mod nearest;
pub mod process;
pub mod reach;
pub mod render;
pub mod settings;
pub mod smoke;
pub mod start;
pub mod status;
pub mod templates;
pub mod text;
pub mod toolbox;
pub mod tools;
pub mod ui;
pub mod up;
pub mod yaml;
