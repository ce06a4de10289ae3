//! The limit of a request: the same actix-web with two workers and a handler that answers a constant.
//!
//! It runs in a process of its own, as the daemon does, and tells in the same way that it is ready.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use actix_web::{App, HttpResponse, HttpServer, web};
use sd_notify::NotifyState;

use crate::Result;
use crate::fixture::{KEY_DIGITS, Scratch, VALUE_SIZE};
use crate::system::Process;

/// What it answers to; nothing in it has to be matched.
pub const PATH: &str = "/api/constant";
/// Workers of either server.
pub const WORKERS: usize = 2;

/// Starts it beside the daemon.
pub fn start(scratch: &Scratch) -> Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--limit").arg(scratch.path().join("limit.sock"));
    Process::start(command, scratch.path())
}

/// Serves, in the process that [`start`] starts.
pub fn serve(socket: &Path) -> Result<()> {
    if socket.exists() {
        std::fs::remove_file(socket)?;
    }
    let unix = UnixListener::bind(socket)?;
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let status = format!("listening on unix://{} http://{}", socket.display(), tcp.local_addr()?);
    // As long as what hushd answers.
    let answer = format!(r#"{{"key":"KEY_{:0>KEY_DIGITS$}","value":"{}"}}"#, 0, "v".repeat(VALUE_SIZE));
    let answer: &'static str = answer.leak();
    actix_web::rt::System::new().block_on(async move {
        let app = move || {
            let constant = move || async move { HttpResponse::Ok().content_type("application/json").body(answer) };
            App::new().route(PATH, web::get().to(constant))
        };
        let server = HttpServer::new(app).workers(WORKERS).listen(tcp)?.listen_uds(unix)?.run();
        sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)])?;
        Ok(server.await?)
    })
}
