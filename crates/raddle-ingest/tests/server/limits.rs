//! Limits: of connections, of one peer's connections, of descriptors and of memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use raddle_ingest::{
    Limits, Listener, ListenerKind, ListenerOptions, PipelineOptions, ServerOptions, raise_descriptor_limit,
};

use crate::common::LIMIT;
use crate::support::{ALONE, Memory, Running, any_port, connect_from, status, until, within_limit};

fn with(options: &ServerOptions) -> Running {
    let listener = Listener::new("tcp", ListenerKind::Tcp, any_port());
    Running::new(vec![listener], options, &PipelineOptions::default(), Memory::new())
}

/// Asserts that the server has closed the connection.
#[track_caller]
fn assert_closed(peer: &mut TcpStream) {
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match peer.read(&mut [0; 10]) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn peer_beyond_its_limit_is_refused_and_others_are_served() {
    within_limit(|| {
        let options = ServerOptions { max_connections: 8, ..ServerOptions::default() };
        let running = with(&options);
        let address = running.address();
        // Two connections are a quarter of eight.
        let open: Vec<TcpStream> = (0..2).map(|_| connect_from([127, 0, 0, 1], address)).collect();
        until(|| running.counts().open == 2);
        let mut refused = connect_from([127, 0, 0, 1], address);
        assert_closed(&mut refused);
        assert_eq!(running.counts().refused, 1);
        let mut other = connect_from([127, 0, 0, 2], address);
        other.write_all(b"served\n").unwrap();
        until(|| running.received() == 1);
        drop(open);
        until(|| running.counts().open == 1);
        let mut again = connect_from([127, 0, 0, 1], address);
        again.write_all(b"served again\n").unwrap();
        until(|| running.received() == 2);
        let counts = running.counts();
        assert_eq!((counts.accepted, counts.refused), (4, 1));
        running.stop_well();
    });
}

#[test]
fn connections_beyond_the_total_are_refused() {
    within_limit(|| {
        let options = ServerOptions { max_connections: 4, max_per_peer: Some(4), ..ServerOptions::default() };
        let running = with(&options);
        let open: Vec<TcpStream> = (0..4).map(|_| running.connect()).collect();
        until(|| running.counts().open == 4);
        for last in 1..10 {
            assert_closed(&mut connect_from([127, 0, 0, last], running.address()));
        }
        assert_eq!(running.counts().refused, 9);
        drop(open);
        running.stop_well();
    });
}

/// Runs a test in a process of its own, with these limits of the shell. Returns whether it is this process.
fn alone(test: &str, limits: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let binary = std::env::current_exe().unwrap();
    let script =
        format!("{limits} exec {} --exact limits::{test} --include-ignored --nocapture", binary.display());
    let child = Command::new("sh").arg("-c").arg(script).env(ALONE, "1").output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && out.contains("1 passed"), "{out}\n{errors}");
    false
}

#[test]
fn few_descriptors_limit_connections_instead_of_failing() {
    if !alone("few_descriptors_limit_connections_instead_of_failing", "ulimit -Sn 64; ulimit -Hn 100;") {
        return;
    }
    within_limit(|| {
        let running = with(&ServerOptions::default());
        let address = running.address();
        // The client's sockets are in the process, too.
        let mut peers: Vec<TcpStream> = (0..12).map(|_| TcpStream::connect(address).unwrap()).collect();
        until(|| running.counts().accepted + running.counts().refused == 12);
        assert!(running.counts().refused > 0, "the limit of open files is a limit of connections");
        for peer in &mut peers {
            let _ = peer.write_all(b"few\n");
        }
        until(|| running.received() == running.counts().accepted);
        // A file can be opened for the database.
        let files: Vec<_> = (0..8).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        drop((files, peers));
        assert!(running.stop_well().stored > 0);
    });
}

#[test]
fn accepting_pauses_without_descriptors_and_continues() {
    if !alone("accepting_pauses_without_descriptors_and_continues", "ulimit -n 64;") {
        return;
    }
    within_limit(|| {
        let options =
            ServerOptions { reserved_descriptors: 0, max_per_peer: Some(100), ..ServerOptions::default() };
        let running = with(&options);
        let mut peer = running.connect();
        peer.write_all(b"first\n").unwrap();
        until(|| running.received() == 1);
        let mut waiting = TcpStream::connect(running.address()).unwrap();
        until(|| running.counts().accepted == 2);
        // All descriptors but one, which a further client needs.
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        files.pop();
        let mut late = TcpStream::connect(running.address()).unwrap();
        late.write_all(b"third\n").unwrap();
        waiting.write_all(b"second\n").unwrap();
        until(|| running.received() == 2);
        assert_eq!(running.counts().accepted, 2, "the third waits");
        drop(files);
        until(|| running.received() == 3);
        running.stop_well();
    });
}

#[test]
fn soft_limit_is_raised_on_request_only() {
    if !alone("soft_limit_is_raised_on_request_only", "ulimit -Sn 64; ulimit -Hn 100;") {
        return;
    }
    assert_eq!(raise_descriptor_limit(80).unwrap(), 80);
    assert_eq!(raise_descriptor_limit(10).unwrap(), 80, "it is never lowered");
    assert_eq!(raise_descriptor_limit(u64::MAX).unwrap(), 100, "the hard limit remains");
}

/// Opens connections that do nothing, if it is started by the test below: a process may not have enough descriptors for both ends.
#[test]
fn child_with_idle_connections() {
    let Some(plan) = std::env::var_os("RADDLE_IDLE") else { return };
    let plan = plan.into_string().unwrap();
    let (address, count) = plan.split_once(' ').unwrap();
    raise_descriptor_limit(u64::MAX).unwrap();
    let peers: Vec<TcpStream> =
        (0..count.parse().unwrap()).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Until the parent closes its end, or terminates.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(peers);
}

/// Opens `idle` connections that do nothing, and sends over ten others. Returns the bytes of memory and the number of threads that this needs.
fn idle_and_busy(idle: usize) -> (u64, u64) {
    let options = ServerOptions {
        max_connections: idle + 20,
        max_per_peer: Some(idle + 20),
        ..ServerOptions::default()
    };
    let listener = Listener::new("tcp", ListenerKind::Tcp, any_port());
    let sink = Memory { counts_only: true, ..Memory::new() };
    let threads = status("Threads:");
    let before = status("VmRSS:");
    let running = Running::new(vec![listener], &options, &PipelineOptions::default(), sink);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "limits::child_with_idle_connections"])
        .env("RADDLE_IDLE", format!("{} {idle}", running.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(|| running.counts().open == idle as u64);
    let mut busy: Vec<TcpStream> = (0..10).map(|_| running.connect()).collect();
    let burst = "a message of two hundred bytes, more or less ".repeat(4) + "\n";
    for _ in 0..100 {
        for peer in &mut busy {
            peer.write_all(burst.repeat(50).as_bytes()).unwrap();
        }
    }
    until(|| running.received() == 50_000);
    let needed = (status("VmRSS:").saturating_sub(before) * 1024, status("Threads:") - threads);
    drop((child.stdin.take(), busy));
    assert!(child.wait().unwrap().success());
    assert_eq!(running.stop_well().stored, 50_000);
    needed
}

#[test]
fn idle_connections_need_little_memory_and_no_threads() {
    if !alone("idle_connections_need_little_memory_and_no_threads", "") {
        return;
    }
    within_limit(|| {
        let (bytes, threads) = idle_and_busy(400);
        assert!(threads <= 2, "{threads} threads");
        assert!(bytes < 40 << 20, "{bytes} bytes");
    });
}

/// The long form of the test above.
#[test]
#[ignore = "needs 10,100 descriptors; CONTRIBUTING.md has the command"]
fn ten_thousand_idle_connections_need_less_than_40_megabytes() {
    if !alone("ten_thousand_idle_connections_need_less_than_40_megabytes", "") {
        return;
    }
    within_limit(|| {
        let limit = raise_descriptor_limit(10_100).unwrap();
        assert!(limit >= 10_100, "the hard limit of open files is {limit}");
        let (bytes, threads) = idle_and_busy(10_000);
        assert!(threads <= 2, "{threads} threads");
        println!("10,000 idle and 10 busy connections: {} KiB, {threads} threads", bytes >> 10);
        assert!(bytes < 40 << 20, "{bytes} bytes");
    });
}

#[test]
fn connection_that_needs_too_much_memory_is_closed_and_counted() {
    within_limit(|| {
        // A message may be as long as 64 KiB, but a connection must not need as much.
        let options = ServerOptions { max_buffered: 20_000, ..ServerOptions::default() };
        let running = with(&options);
        let sink = running.sink.clone();
        let mut peer = running.connect();
        peer.write_all(b"before\n").unwrap();
        until(|| running.received() == 1);
        let _ = peer.write_all("x".repeat(60_000).as_bytes());
        assert_closed(&mut peer);
        until(|| running.counts().open == 0);
        assert_eq!(running.counts().closed_for_memory, 1);
        assert_eq!(running.server.counters().counts().buffered, 0);
        let account = running.stop_well();
        assert_eq!((account.stored, account.rejected), (1, 1));
        assert_eq!(sink.rejected()[0].0, "incomplete");
    });
}

#[test]
fn total_of_memory_is_bounded() {
    within_limit(|| {
        let options = ServerOptions { max_buffered_total: 200_000, ..ServerOptions::default() };
        let running = Running::new(
            vec![Listener::new("tcp", ListenerKind::Tcp, any_port()).options(ListenerOptions::default())],
            &options,
            &PipelineOptions::default(),
            Memory::new(),
        );
        let mut peers: Vec<TcpStream> = (0..10).map(|_| running.connect()).collect();
        for peer in &mut peers {
            let _ = peer.write_all("x".repeat(50_000).as_bytes());
        }
        until(|| running.counts().closed_for_memory > 0);
        assert!(running.server.counters().counts().buffered <= 200_000 + 300_000);
        let mut other = running.connect();
        other.write_all(b"short\n").unwrap();
        until(|| running.account().stored == 1);
        drop(peers);
        running.stop_well();
    });
}

#[test]
fn peers_that_wait_for_room_need_bounded_memory() {
    within_limit(|| {
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 100, bytes: 1 << 20 };
        let options = ServerOptions { max_per_peer: Some(1000), ..ServerOptions::default() };
        let listener = Listener::new("tcp", ListenerKind::Tcp, any_port());
        let sink = Memory::new();
        sink.block();
        let running = Running::new(vec![listener], &options, &pipeline, sink.clone());
        let each = 300;
        let text = ("x".repeat(999) + "\n").repeat(each);
        let senders: Vec<_> = (0..200)
            .map(|_| {
                let (mut peer, text) = (running.connect(), text.clone());
                raddle::Thread::new(move || peer.write_all(text.as_bytes()).unwrap()).start().unwrap()
            })
            .collect();
        // All of them wait, though a parcel each would be 25 MB.
        until(|| running.server.counters().counts().waiting == 200);
        let buffered = running.server.counters().counts().buffered;
        assert!(buffered < 8 << 20, "{buffered} bytes are buffered");
        // A request on the same listener is refused, not left without an answer.
        let mut client = running.connect();
        client
            .write_all(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nx\n",
            )
            .unwrap();
        client.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut reply = [0; 12];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"HTTP/1.1 503");
        sink.unblock();
        for sender in senders {
            sender.join().unwrap();
        }
        drop(client);
        assert_eq!(running.stop_well().stored, 200 * each as u64);
    });
}

/// The bound is counted in looks at the sockets, not in time. Time limits are checked ten times a second; a server that looks without a pause does so
/// tens of thousands of times in the second that the requests wait.
#[test]
fn waiting_connections_need_no_processor_time() {
    within_limit(|| {
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 100, bytes: 1 << 20 };
        let listeners = [ListenerKind::Tcp, ListenerKind::Udp].map(|kind| {
            let options = ListenerOptions { receive_buffer: 4096, ..ListenerOptions::default() };
            Listener::new(&kind.to_string(), kind, any_port()).options(options)
        });
        let sink = Memory::new();
        sink.block();
        let running = Running::new(listeners.into(), &ServerOptions::default(), &pipeline, sink.clone());
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nx\n";
        // Some are idle, some wait for a reply, and one of those has closed its side.
        let idle: Vec<TcpStream> = (0..20).map(|_| running.connect()).collect();
        let mut clients: Vec<TcpStream> = (0..5).map(|_| running.connect()).collect();
        for client in &mut clients {
            client.write_all(post).unwrap();
        }
        until(|| running.received() == 5);
        clients[0].shutdown(std::net::Shutdown::Write).unwrap();
        // Some wait for room.
        let mut busy: Vec<TcpStream> = (0..5).map(|_| running.connect()).collect();
        let datagrams = std::net::UdpSocket::bind(any_port()).unwrap();
        let to = running.server.addresses()[1].2;
        while running.server.counters().counts().waiting < 6 {
            for peer in &mut busy {
                peer.write_all("x\n".repeat(30).as_bytes()).unwrap();
            }
            datagrams.send_to(b"x", to).unwrap();
            raddle::thread::sleep(Duration::from_millis(1));
        }
        // A request waits for room, too, for a second.
        let mut refused = running.connect();
        refused.write_all(post).unwrap();
        let before = running.server.counters().counts().polls;
        refused.set_read_timeout(Some(LIMIT)).unwrap();
        let mut reply = [0; 12];
        refused.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"HTTP/1.1 503");
        let looks = running.server.counters().counts().polls - before;
        assert!(looks < 1000, "{looks} looks while nothing happened");
        sink.unblock();
        drop((idle, clients, busy, refused));
        running.stop_well();
    });
}
