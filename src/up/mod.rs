//! `up`: what is there is observed, what has to be done is planned, and each step is carried out or printed.

pub(crate) mod observe;
pub mod plan;
pub(crate) mod script;
