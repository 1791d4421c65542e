//! Several protocols compete for a small queue: each of them makes progress.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use raddle::{Thread, thread};
use raddle_ingest::{Limits, Listener, ListenerKind, PipelineOptions, ServerOptions};

use crate::support::{Memory, Running, any_port, until, within_limit};

/// The messages that each protocol must have stored before the test ends.
const EACH: u64 = 1_000;

/// Calls `send`, which sends some messages, until `stop` is set or the connection is closed.
fn keep_sending(stop: &Arc<AtomicBool>, mut send: impl FnMut() -> std::io::Result<()> + Send + 'static) {
    let stop = stop.clone();
    let sender = Thread::new(move || while !stop.load(Ordering::SeqCst) && send().is_ok() {});
    drop(sender.daemon(true).start().expect("a thread"));
}

fn send_lines(stop: &Arc<AtomicBool>, to: SocketAddr) {
    let mut socket = TcpStream::connect(to).unwrap();
    let lines = format!("{}\n", "x".repeat(40)).repeat(3000);
    keep_sending(stop, move || socket.write_all(lines.as_bytes()));
}

fn send_relp(stop: &Arc<AtomicBool>, to: SocketAddr) {
    let mut socket = TcpStream::connect(to).unwrap();
    let mut replies = socket.try_clone().unwrap();
    let reader = Thread::new(move || drop(std::io::copy(&mut replies, &mut std::io::sink())));
    drop(reader.daemon(true).start().expect("a thread"));
    socket.write_all(b"1 open 0\n").unwrap();
    let mut number = 1_u32;
    keep_sending(stop, move || {
        let mut frames = Vec::new();
        for _ in 0..2000 {
            number = number % 900_000_000 + 1;
            writeln!(frames, "{number} syslog 10 <13>a text")?;
        }
        socket.write_all(&frames)
    });
}

fn send_requests(stop: &Arc<AtomicBool>, to: SocketAddr) {
    let body = "a line\n".repeat(50);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    keep_sending(stop, move || {
        let mut socket = TcpStream::connect(to)?;
        socket.write_all(request.as_bytes())?;
        socket.shutdown(Shutdown::Write)?;
        // Stored, or refused: then it is sent again.
        let _ = socket.read_to_end(&mut Vec::new());
        Ok(())
    });
}

fn send_datagrams(stop: &Arc<AtomicBool>, to: SocketAddr) {
    let socket = UdpSocket::bind(any_port()).unwrap();
    keep_sending(stop, move || {
        for _ in 0..100 {
            let _ = socket.send_to(b"<13>a datagram", to);
        }
        thread::yield_now();
        Ok(())
    });
}

#[test]
fn no_protocol_starves_while_all_compete_for_a_small_queue() {
    within_limit(|| {
        for threads in [1, 2] {
            let listeners = [
                ("tcp", ListenerKind::Tcp),
                ("relp", ListenerKind::Relp),
                ("http", ListenerKind::Http),
                ("udp", ListenerKind::Udp),
            ]
            .map(|(name, kind)| Listener::new(name, kind, any_port()));
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let mut pipeline = PipelineOptions::default();
            // Smaller than what one read takes.
            pipeline.queue = Limits { messages: 200, bytes: 1 << 20 };
            pipeline.batch.messages = 100;
            let sink =
                Memory { counts_only: true, pause: std::time::Duration::from_millis(1), ..Memory::new() };
            let running = Running::new(listeners.into(), &options, &pipeline, sink);
            let [tcp, relp, http, udp] = [0, 1, 2, 3].map(|index| running.server.addresses()[index].2);
            let stop = Arc::new(AtomicBool::new(false));
            for _ in 0..3 {
                send_lines(&stop, tcp);
                send_requests(&stop, http);
            }
            send_relp(&stop, relp);
            send_datagrams(&stop, udp);
            let counts = || running.pipeline.intake().books().accounts();
            until(|| counts().iter().filter(|(_, account)| account.stored >= EACH).count() == 4);
            stop.store(true, Ordering::SeqCst);
            // They would send on, since they are not read.
            let _ = running.stop_within(std::time::Duration::ZERO, std::time::Duration::from_mins(1));
        }
    });
}
