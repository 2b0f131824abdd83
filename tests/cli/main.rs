//! The real binary against fake tools: what a user types, and what is printed, called and left alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

mod breakdowns;
mod ci_examples;
mod completions;
mod diagnose;
mod disk;
mod doctor;
mod down;
mod down_existing;
mod faults;
mod fixture;
mod forward;
mod helm_stopped;
mod help;
mod hostile;
mod images_list;
mod images_load;
mod images_save;
mod interrupt;
mod kind_file;
mod layers;
mod man;
mod node_network;
mod ownership;
mod races;
mod readme;
mod registries;
mod registry_here;
mod render;
mod secrets;
#[path = "../signals.rs"]
mod signals;
mod smoke;
mod snapshot;
mod status;
mod terminal;
mod tools_missing;
mod troubleshooting;
mod up;
mod upgrade;
mod usage;
mod variables;
