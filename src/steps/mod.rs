//! Steps that change something, each carried out with progress; shared by commands.

pub(crate) mod answer;
pub(crate) mod check_machine;
pub(crate) mod create_cluster;
pub(crate) mod creation_mark;
pub(crate) mod expose;
pub(crate) mod find_images;
pub(crate) mod forward;
pub(crate) mod gather_diagnosis;
pub(crate) mod install_tools;
pub(crate) mod load_archive;
pub(crate) mod load_images;
pub(crate) mod mirrors;
pub(crate) mod observe_cluster;
pub(crate) mod observe_machine;
pub(crate) mod observe_up;
pub(crate) mod planned_images;
pub(crate) mod pull_image;
pub(crate) mod push_images;
pub(crate) mod reach_external;
pub(crate) mod remove_installed;
pub(crate) mod smoke;
pub(crate) mod surroundings;
pub(crate) mod wait_healthy;
