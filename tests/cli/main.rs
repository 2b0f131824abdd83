//! The real binary against fake tools: what a user types, and what is answered, called and left alone.

mod down;
mod fixture;
mod help;
mod interrupt;
mod layers;
mod render;
mod snapshot;
mod tools_missing;
mod usage;
