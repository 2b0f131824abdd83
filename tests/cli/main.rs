//! The real binary against fake tools: what a user types, and what is answered, called and left alone.

mod down;
mod fixture;
