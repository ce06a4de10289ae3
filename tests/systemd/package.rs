//! The package, built of `[package.metadata.deb]` as cargo-deb would, with the program under test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo-deb puts in the place of `$auto`, for this program.
const LIBRARIES: &str = "libc6, libgcc-s1";

/// Builds it with this version in the directory.
pub fn build(directory: &Path, version: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_BIN_EXE_hushd"));
    let manifest: toml::Table = fs::read_to_string(source.join("Cargo.toml")).unwrap().parse().unwrap();
    let package = manifest["package"].as_table().unwrap();
    let deb = package["metadata"]["deb"].as_table().unwrap();
    let root = directory.join(format!("root-{version}"));
    let assets = root.join("target/assets");
    make_assets(program, &assets);
    for asset in deb["assets"].as_array().unwrap() {
        let asset = asset.as_array().unwrap();
        let [from, to, mode] = [0, 1, 2].map(|index| asset[index].as_str().unwrap());
        for file in sources(source, program, &assets, from) {
            let name = file.file_name().unwrap();
            let target = if to.ends_with('/') { root.join(to).join(name) } else { root.join(to) };
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&file, &target).unwrap();
            if file == program {
                // Without what a debugger needs it is a quarter of the size.
                run(Command::new("strip").arg(&target));
            }
            fs::set_permissions(&target, fs::Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap())).unwrap();
        }
    }
    fs::remove_dir_all(root.join("target")).unwrap();
    let control = root.join("DEBIAN");
    fs::create_dir_all(&control).unwrap();
    for script in ["postinst", "prerm", "postrm"] {
        let from = source.join(deb["maintainer-scripts"].as_str().unwrap()).join(script);
        fs::copy(from, control.join(script)).unwrap();
        fs::set_permissions(control.join(script), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let conffiles: Vec<_> = deb["conf-files"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    fs::write(control.join("conffiles"), format!("{}\n", conffiles.join("\n"))).unwrap();
    let text = |key: &str| deb[key].as_str().unwrap();
    let depends = text("depends").replace("$auto", LIBRARIES);
    let fields = format!(
        "Package: hushd\nVersion: {version}\nArchitecture: {}\nMaintainer: {}\nSection: {}\nPriority: {}\nDepends: {depends}\n\
         Description: {}\n",
        architecture(),
        text("maintainer"),
        text("section"),
        text("priority"),
        package["description"].as_str().unwrap()
    );
    fs::write(control.join("control"), fields).unwrap();
    let built = directory.join(format!("hushd_{version}.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).arg(&root).arg(&built));
    fs::remove_dir_all(root).unwrap();
    built
}

/// The files of an asset; a `*` stands for all of a directory.
fn sources(source: &Path, program: &Path, assets: &Path, from: &str) -> Vec<PathBuf> {
    if from == "target/release/hushd" {
        return vec![program.to_owned()];
    }
    let path = from.strip_prefix("target/assets/").map_or_else(|| source.join(from), |rest| assets.join(rest));
    if path.file_name().unwrap() != "*" {
        return vec![path];
    }
    let mut found: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(!found.is_empty(), "{from} is nothing");
    found
}

/// As the README says.
fn make_assets(program: &Path, assets: &Path) {
    run(Command::new(program).args(["--quiet", "man", "--directory"]).arg(assets.join("man")));
    for (shell, file) in [("bash", "hushd.bash"), ("zsh", "_hushd"), ("fish", "hushd.fish")] {
        let output = Command::new(program).args(["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::write(assets.join(file), output.stdout).unwrap();
    }
}

fn architecture() -> String {
    let output = Command::new("dpkg").arg("--print-architecture").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
