//! Senders that keep unacknowledged messages, and send them again.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use raddle::{JoinHandle, Thread, thread};

/// A sender on its way. Message number 7 of sender `s` has the text `s 7 .`.
pub(crate) struct Sender {
    name: String,
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sender {
    /// Sends over HTTP with numbers: each message is stored exactly once.
    pub(crate) fn numbered(name: &str, to: SocketAddr) -> Self {
        Self::start(name, to, http)
    }

    /// Sends over RELP: each message is stored at least once.
    pub(crate) fn relp(name: &str, to: SocketAddr) -> Self {
        Self::start(name, to, relp)
    }

    fn start(
        name: &str,
        to: SocketAddr,
        send: fn(&str, SocketAddr, &AtomicU64, &AtomicBool) -> io::Result<()>,
    ) -> Self {
        let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let name = name.to_owned();
        let run = {
            let (name, acknowledged, stop) = (name.clone(), acknowledged.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::SeqCst) {
                    // The server is killed again and again.
                    if send(&name, to, &acknowledged, &stop).is_err() {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            }
        };
        let thread = Thread::new(run).start().expect("a thread");
        Self { name, acknowledged, stop, thread }
    }

    /// Returns how many messages have been acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Stops it. Returns its name and how many messages were acknowledged: those from 1 on.
    pub(crate) fn stop(self) -> (String, u64) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("no panic");
        (self.name, self.acknowledged.load(Ordering::SeqCst))
    }
}

fn connect(to: SocketAddr) -> io::Result<(TcpStream, BufReader<TcpStream>)> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let reader = BufReader::new(stream.try_clone()?);
    Ok((stream, reader))
}

fn message(name: &str, number: u64) -> String {
    format!("{name} {number} {:.<150}", "")
}

fn http(name: &str, to: SocketAddr, acknowledged: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    const COUNT: u64 = 200;
    let (mut stream, mut reader) = connect(to)?;
    while !stop.load(Ordering::SeqCst) {
        let first = acknowledged.load(Ordering::SeqCst) + 1;
        let body: String = (first..first + COUNT)
            .flat_map(|number| ["{\"message\":\"".into(), message(name, number), "\"}\n".into()])
            .collect();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nRaddle-Sender: {name}\r\nRaddle-First: {first}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let (mut status, mut length) = (String::new(), 0);
        reader.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        match status.split(' ').nth(1) {
            Some("200") => acknowledged.fetch_add(COUNT, Ordering::SeqCst),
            Some("503") => return Err(io::Error::other("full, or stopping")),
            _ => panic!("{status}: {}", String::from_utf8_lossy(&answer)),
        };
    }
    Ok(())
}

fn relp(name: &str, to: SocketAddr, acknowledged: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    const WINDOW: u64 = 300;
    let (mut stream, mut reader) = connect(to)?;
    let offer = "relp_version=0\nrelp_software=trial\ncommands=syslog";
    writeln!(stream, "1 open {} {offer}", offer.len())?;
    read_response(&mut reader)?;
    let base = acknowledged.load(Ordering::SeqCst);
    let (mut sent, mut known) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let mut frames = Vec::new();
        while sent < known + WINDOW {
            sent += 1;
            let text = message(name, base + sent);
            writeln!(frames, "{} syslog {} {text}", sent + 1, text.len())?;
        }
        stream.write_all(&frames)?;
        for _ in 0..WINDOW / 2 {
            let (number, answer) = read_response(&mut reader)?;
            if !answer.starts_with("200") {
                return Err(io::Error::other(answer));
            }
            known += 1;
            assert_eq!(number, known + 1, "acknowledgements are in order");
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Reads `NUMBER rsp LENGTH DATA\n`.
fn read_response(reader: &mut BufReader<TcpStream>) -> io::Result<(u64, String)> {
    let mut word = || {
        let mut word = Vec::new();
        reader.read_until(b' ', &mut word)?;
        match word.pop() {
            Some(b' ') => Ok(String::from_utf8(word).expect("UTF-8")),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    let (number, command, length) = (word()?, word()?, word()?);
    if command != "rsp" {
        return Err(io::Error::other("closed by the server"));
    }
    let mut data = vec![0; length.parse::<usize>().expect("a length") + 1];
    reader.read_exact(&mut data)?;
    data.pop();
    Ok((number.parse().expect("a number"), String::from_utf8(data).expect("UTF-8")))
}
