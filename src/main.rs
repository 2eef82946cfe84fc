//! The `munjigi` binary: reads the command line and exits with what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    munjigi::cli::main()
}
