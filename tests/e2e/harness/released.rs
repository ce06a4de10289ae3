//! The vaults of released formats, which every later build opens.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{Sandbox, Vault, cli};

/// The secret that they sign tokens with.
pub const JWT_SECRET: &str = "5f0c1f9d6b3a4e7f8091a2b3c4d5e6f7a8b9cadbecfd0e1f2031425364758697";
/// Their API key.
pub const API_KEY: &str = "ik_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A value of more than one chunk.
pub fn large() -> String {
    (0..66_000).map(|index| char::from(b'a' + u8::try_from(index % 26).unwrap())).collect()
}

/// The file of the vault of a format.
pub fn archive(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/vault-{format}/vault.tar.gz"))
}

/// The backup that was made of the vault of a format.
pub fn backup(format: u32) -> PathBuf {
    archive(format).with_file_name("backup.age")
}

/// Unpacks the vault of a format.
pub fn unpack(format: u32) -> Vault {
    let sandbox = Sandbox::new();
    unpack_into(&sandbox, format);
    Vault { sandbox, jwt_secret: JWT_SECRET.to_owned(), api_key: API_KEY.to_owned() }
}

/// Unpacks the vault of a format into a user's directories, in the place of what he has there.
pub fn unpack_into(sandbox: &Sandbox, format: u32) {
    for there in [sandbox.config(), sandbox.data()] {
        if there.exists() {
            fs::remove_dir_all(there).unwrap();
        }
    }
    let mut tar = sandbox.command(Path::new("tar"));
    tar.arg("--extract").arg("--gzip").arg("--no-same-owner").arg("--preserve-permissions");
    tar.arg("--file").arg(archive(format)).arg("--directory").arg(sandbox.path(""));
    cli::run(&mut tar, b"").exits(0);
    for name in ["config", "data"] {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
}
