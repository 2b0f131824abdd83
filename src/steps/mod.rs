//! Steps that change something, each carried out with progress; shared by commands.

pub(crate) mod check_machine;
pub(crate) mod install_tools;
pub(crate) mod observe_machine;
