//! Backup files. The input is what stands in one (encrypted here, or nothing would get past age's header), and as a file itself: an
//! error or lines that were all read, never a panic.
#![no_main]

use std::sync::LazyLock;

use hushd::clock::Timestamp;
use hushd::crypto::{EncryptedWriter, GeneratedIdentity, Identities};
use hushd::vault::backup::BackupReader;
use std::io::Write as _;

static IDENTITY: LazyLock<GeneratedIdentity> = LazyLock::new(|| GeneratedIdentity::generate(Timestamp::from_millis(1)));

libfuzzer_sys::fuzz_target!(|plain: &[u8]| {
    let identities = Identities::parse(IDENTITY.file_text().as_bytes(), &mut || None).expect("it is an identity");
    read(plain, &identities);
    let mut file = EncryptedWriter::new(&[IDENTITY.recipient()], Vec::new()).expect("it begins");
    file.write_all(plain).expect("memory is written");
    let file = file.finish().expect("it ends");
    read(&file, &identities);
});

fn read(file: &[u8], identities: &Identities) {
    if let Ok(mut backup) = BackupReader::open(file, identities) {
        while let Ok(Some(_)) = backup.next_secret() {}
    }
}
