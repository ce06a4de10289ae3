//! How the program is linked, for the sake of the client, which starts before every program that `hushd run` starts.
//!
//! The unwinder of GCC's shared library comes with a constructor that asks the processor what it is, a dozen times; in a
//! virtual machine each of these questions is answered by the host. It is linked in statically, where the C compiler has
//! it: the same code without the constructor. Relocations of the program's own addresses are packed, where the linker can.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by its environment where to write what")]

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) != ("linux", "gnu") {
        return Ok(());
    }
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let unwinder = "libgcc_eh.a";
    let asked = Command::new(linker).arg(format!("-print-file-name={unwinder}")).output();
    // A compiler that does not know it says its name and no more.
    let found = asked.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).trim().contains('/'));
    if let (true, Some(directory)) = (found, env::var_os("OUT_DIR")) {
        // What the linker takes for the shared library is a script that names the static one.
        let script = Path::new(&directory).join("libgcc_s.so");
        fs::write(&script, format!("INPUT(-l:{unwinder} -lgcc)\n"))?;
        println!("cargo:rustc-link-search=native={}", directory.display());
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    Ok(())
}
