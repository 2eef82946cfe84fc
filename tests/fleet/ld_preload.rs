//! Libraries of C that a gateway's process loads first: what they define stands for the system's.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a library in a folder, with a macro defined.
pub(crate) fn library(folder: &Path, name: &str, source: &str, define: &str) -> PathBuf {
    let file = folder.join(name).with_extension("c");
    let library = folder.join(name).with_extension("so");
    std::fs::write(&file, source).expect("room for the source");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-D", define, "-o"]);
    let status = compile.arg(&library).arg(&file).status();
    assert!(status.is_ok_and(|status| status.success()), "the tests need a C compiler");
    library
}
