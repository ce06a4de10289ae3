//! A backup over HTTP: a stream that a thread of its own writes, as fast as the client takes it.
//!
//! Invariants: memory holds a few pieces of it; a backup that fails, or whose client stalls or goes, ends the answer before
//! its end, which the client sees as a broken answer and nobody can take for a whole file.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use actix_web::http::header::{CONTENT_DISPOSITION, ContentType, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;

use crate::http::State;
use crate::http::caller::Administrator;
use crate::http::error::HttpError;
use crate::http::openapi::Refused;
use crate::http::query::Query;
use crate::metrics::COUNTS;

/// About how long the stream will be, in bytes, for those who show how far it is.
const EXPECTED_LENGTH: HeaderName = HeaderName::from_static("x-expected-length");
/// Backups that are written at once at most.
pub(super) const AT_ONCE: usize = 4;
/// Bytes that are sent at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for the client.
const PIECES: usize = 8;
/// How long a client may take none of them.
const STALLED: Duration = Duration::from_mins(1);

/// Backs up the whole vault, of one instant, as an age file
#[utoipa::path(get, path = "/api/backup", tag = "Operations",
    params(("recipient" = Option<Vec<String>>, Query,
        description = "Encrypt it to these age recipients or SSH keys instead of the vault's; repeatable")),
    responses((status = 200, description = "An age file of JSON lines", content_type = "application/octet-stream"), Refused,
        (status = 429, description = "Too many backups at once", body = crate::api::ErrorResponse)))]
pub(super) async fn backup(
    state: web::Data<State>,
    caller: Administrator,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let named = Query::of(&request)?.recipients()?;
    let keyring = state.vault()?.recipients();
    let permit = state.backups.clone().try_acquire_owned().map_err(|_| HttpError::TooManyBackups)?;
    let snapshot = state.vault()?.snapshot(&caller.0, Path::new(&state.setting.data_directory)).await?;
    let expected = snapshot.expected_length();
    let (sender, receiver) = channel(PIECES);
    let runtime = Handle::current();
    let request_id = caller.0.request_id.clone();
    // What it ends with is told by the stream.
    drop(tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let recipients = if named.is_empty() { &keyring } else { &named };
        let output = Pieces { sender: sender.clone(), runtime: runtime.clone(), piece: Vec::with_capacity(PIECE) };
        let written = snapshot.write(recipients, &keyring, output);
        if let Err(error) = written
            .and_then(|mut output| output.flush().map_err(|source| crate::vault::backup::BackupError::Write { source }))
        {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            COUNTS.backup_failures.increment();
            tracing::error!(%request_id, %error, cause, "a backup was not finished");
            let told = timeout(STALLED, sender.send(Err(io::Error::other("the backup was not finished"))));
            // A client that has gone knows already.
            drop(runtime.block_on(told));
        } else {
            COUNTS.backup_sent.set(u64::try_from(state.gate.clock().now().as_millis()).unwrap_or_default());
        }
    }));
    let pieces =
        stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|piece| (piece, receiver)) });
    Ok(HttpResponse::Ok()
        .content_type(ContentType::octet_stream())
        .insert_header((EXPECTED_LENGTH, expected.to_string()))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"hushd-backup.age\""))
        .streaming(pieces))
}

/// Writes into the stream.
struct Pieces {
    sender: Sender<Result<Bytes, io::Error>>,
    runtime: Handle,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)));
        match self.runtime.block_on(async { timeout(STALLED, self.sender.send(Ok(piece))).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")),
        }
    }
}
