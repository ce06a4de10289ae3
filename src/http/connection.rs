//! What is known of a connection: over which kind of socket, and who is at the other end.

use std::any::Any;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;

use crate::auth::Peer;

/// A connection's kind. One that nothing is known of counts as TCP, the stricter kind.
#[derive(Clone, Debug)]
pub(super) enum Connection {
    /// Over TCP: anybody on this machine, a web page among them.
    Tcp,
    /// Over the Unix socket, with the peer's credentials where the kernel gave them.
    Unix(Option<Arc<Peer>>),
}

impl Connection {
    /// Notes what a new connection is. Runs once for each.
    pub(super) fn note(io: &dyn Any, data: &mut Extensions) {
        if let Some(stream) = io.downcast_ref::<tokio::net::UnixStream>() {
            let peer = stream.peer_cred().ok();
            let peer = peer.map(|peer| Arc::new(Peer::of(stream, peer.uid(), peer.gid(), peer.pid())));
            data.insert(Self::Unix(peer));
        }
    }

    /// The connection of a request.
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.conn_data::<Self>().cloned().unwrap_or(Self::Tcp)
    }

    /// Who is at the other end, where the kernel vouches for it.
    pub(super) fn peer(self) -> Option<Arc<Peer>> {
        match self {
            Self::Tcp => None,
            Self::Unix(peer) => peer,
        }
    }
}
