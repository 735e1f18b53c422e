//! The least that an HTTP server of the same library can do: what the daemon is compared with.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Result;

/// A process of its own, like the daemon, that answers everything with the same JSON.
#[derive(Debug)]
pub struct Bare {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts this program once more as the server.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(body: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("bare").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(mut stdin) = process.stdin.take() {
            writeln!(stdin, "{body}")?;
        }
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self { process, address: line.trim().parse()? })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server: reads the body as a line, writes its address as a line, and answers until it is killed.
///
/// # Errors
/// If it cannot listen.
pub fn serve() -> Result<()> {
    let mut body = String::new();
    std::io::stdin().read_line(&mut body)?;
    let body = web::Bytes::from(body.trim().to_owned());
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(body.clone())).default_service(web::to(answer))
        });
        let server = server.bind(("127.0.0.1", 0))?;
        for address in server.addrs() {
            #[allow(clippy::print_stdout)]
            {
                println!("{address}");
            }
        }
        Ok(server.run().await?)
    })
}

async fn answer(body: web::Data<web::Bytes>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body.get_ref().clone())
}
