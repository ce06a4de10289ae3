//! Where those ask who hold connections for credentials ([`front`](super::front)).
//!
//! Invariants: only processes of root and of the daemon's own user are heard; nobody is turned away because there are many; an
//! answer that was begun is finished before the daemon stops, and whoever was not heard is heard by the next one.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::auth::Policies;
use crate::daemon::credentials::decide::Judge;
use crate::vault::Gate;

/// Questions that are decided at once; the others wait.
const AT_ONCE: usize = 16;
/// How long one may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the daemon waits for answers under way when it stops.
const LAST: Duration = Duration::from_secs(1);
/// How long after a failure to accept it is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Answers, until it is stopped.
#[derive(Debug)]
pub(in crate::daemon) struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Begins to answer on this socket.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(in crate::daemon) fn start(
        listener: UnixListener,
        gate: Arc<Gate>,
        policies: Arc<Policies>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let (stop, stopped) = watch::channel(false);
        let judge = Arc::new(Judge::new(gate, policies));
        Ok(Self { stop, task: tokio::spawn(serve(listener, judge, stopped)) })
    }

    /// Hears nobody any more, and finishes what was begun.
    pub(in crate::daemon) async fn stop(self) {
        self.stop.send_replace(true);
        // Whatever it ended with, it has ended.
        drop(self.task.await);
    }
}

async fn serve(listener: tokio::net::UnixListener, judge: Arc<Judge>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(_) = under_way.join_next(), if !under_way.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (judge, places) = (Arc::clone(&judge), Arc::clone(&places));
                under_way.spawn(async move {
                    match tokio::time::timeout(PATIENCE, answer(stream, judge, places)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::warn!(%error, "whoever held the connection for a credential has gone");
                        }
                        Err(_) => tracing::warn!("a credential was not taken in time"),
                    }
                });
            }
            Err(error) => {
                // Too many open files, most likely: those who wait are heard when there is room.
                tracing::warn!(%error, "a question for a credential has to wait");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    let rest = async { while under_way.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST, rest).await.is_err() {
        tracing::warn!("a credential was not taken before the daemon stopped");
    }
}

async fn answer(mut stream: UnixStream, judge: Arc<Judge>, places: Arc<Semaphore>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        tracing::warn!(uid, "somebody asks for credentials who is neither root nor the daemon's own user");
        return Ok(());
    }
    let connection = receive(&stream).await?;
    // Never closed.
    let Ok(place) = places.acquire_owned().await else { return Ok(()) };
    let decided = tokio::task::spawn_blocking(move || {
        let _place = place;
        judge.answer(connection)
    });
    let frame = decided.await.map_err(io::Error::other)?.frame();
    stream.write_all(&frame).await?;
    stream.shutdown().await
}

/// The connection that is asked for: one byte, with a descriptor.
async fn receive(stream: &UnixStream) -> io::Result<OwnedFd> {
    stream
        .async_io(Interest::READABLE, || {
            let mut byte = [0; 1];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let mut found = None;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(mut rights) = message {
                    found = rights.next();
                }
            }
            found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no connection came with the question"))
        })
        .await
}
