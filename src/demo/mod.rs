//! stub
use crate::{cli::Demo, exit::Exit};
pub(crate) fn run(_: &Demo) -> Exit { Exit::Success }
