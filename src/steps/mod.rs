//! Steps that change something, each carried out with progress; shared by commands.

pub(crate) mod answer;
pub(crate) mod expose;
pub(crate) mod forward;
pub(crate) mod smoke;
pub(crate) mod surroundings;
