//! Steps that change something, each carried out with progress; shared by commands.
