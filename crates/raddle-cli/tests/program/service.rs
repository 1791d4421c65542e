//! The program as a service of systemd: notifications, the watchdog, passed sockets, and the units.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::support::{Ingest, LIMIT, RADDLE, Scratch, text, within_limit};

/// Receives notifications until one has these words.
#[track_caller]
fn notified(socket: &UnixDatagram, words: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => panic!("no {words}: {error}"),
        };
        let notification = text(&buffer[..length]);
        if notification.contains(words) {
            return notification;
        }
    }
}

#[test]
fn service_manager_is_notified_of_each_state() {
    within_limit(|| {
        let scratch = Scratch::new("notify");
        std::fs::write(
            scratch.path("s.toml"),
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[status]\ninterval = \"50ms\"\n",
        )
        .unwrap();
        let socket = UnixDatagram::bind(scratch.path("notify")).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut command = scratch.raddle("ingest --config s.toml");
        command.env("NOTIFY_SOCKET", "notify").env("WATCHDOG_USEC", "600000");
        let mut ingest = Ingest::start(command);
        notified(&socket, "READY=1");
        notified(&socket, "WATCHDOG=1");
        notified(&socket, "STATUS=received 0 = stored 0 + rejected 0; ");
        ingest.signal("HUP");
        let reloading = notified(&socket, "RELOADING=1");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        notified(&socket, "READY=1");
        ingest.read_error_until("are in effect");
        // A database that fails does not make the writer stuck.
        let lock = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"one\n");
        ingest.read_error_until("cannot store messages: ");
        for _ in 0..5 {
            notified(&socket, "WATCHDOG=1");
        }
        lock.execute_batch("COMMIT").unwrap();
        ingest.signal("TERM");
        notified(&socket, "STOPPING=1");
        assert_eq!(ingest.end().last_line(), "received 1 = stored 1 + rejected 0");
    });
}

/// Starts the program with a socket that is listening, as systemd does.
fn start_with(scratch: &Scratch, socket: &TcpListener, options: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!(
        "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"{RADDLE}\" ingest {options}"
    );
    command.current_dir(scratch.path("")).args(["-c", &script]);
    command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    command
}

#[test]
fn passed_socket_keeps_its_backlog_over_a_restart() {
    within_limit(|| {
        let scratch = Scratch::new("activation");
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let options = format!("--listen {address}");
        let ingest = Ingest::start(start_with(&scratch, &socket, &options));
        assert_eq!(ingest.address, address);
        ingest.send(b"first\n");
        let ended = ingest.stop();
        assert_eq!(ended.last_line(), "received 1 = stored 1 + rejected 0", "{ended:?}");
        assert!(ended.err.contains("using the socket that systemd passes"), "{ended:?}");

        // No program runs, and yet the connection is completed.
        let mut early = TcpStream::connect(address).unwrap();
        early.write_all(b"early\n").unwrap();
        drop(early);
        let ingest = Ingest::start(start_with(&scratch, &socket, &options));
        let ended = ingest.stop();
        assert_eq!(ended.last_line(), "received 1 = stored 1 + rejected 0", "{ended:?}");
    });
}

#[test]
fn passed_socket_stays_open_over_a_reload() {
    within_limit(|| {
        let scratch = Scratch::new("activation-reload");
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = format!("[[listen]]\naddress = \"{}\"\n", socket.local_addr().unwrap());
        std::fs::write(scratch.path("s.toml"), settings).unwrap();
        let mut ingest = Ingest::start(start_with(&scratch, &socket, "--config s.toml"));
        ingest.signal("HUP");
        ingest.read_error_until("the settings in s.toml are in effect");
        ingest.send(b"one\n");
        assert_eq!(ingest.stop().last_line(), "received 1 = stored 1 + rejected 0");
    });
}

#[test]
fn passed_socket_without_a_listener_is_an_error() {
    within_limit(|| {
        let scratch = Scratch::new("activation-left");
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let output = start_with(&scratch, &socket, "--listen 127.0.0.1:0").output().unwrap();
        let (err, address) = (text(&output.stderr), socket.local_addr().unwrap());
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(
            err.contains(&format!("systemd passes a socket at {address} for which there is no listener")),
            "{err}"
        );
        assert!(!scratch.path("messages.db").exists());
    });
}

#[test]
fn units_are_valid() {
    let scratch = Scratch::new("units");
    let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
    let service = std::fs::read_to_string(format!("{packaging}/raddle-ingest.service")).unwrap();
    for line in [
        "ProtectSystem=strict",
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "UMask=0027",
    ] {
        assert!(service.lines().any(|it| it == line), "no {line:?}");
    }
    let socket = std::fs::read_to_string(format!("{packaging}/raddle-ingest.socket")).unwrap();
    let open = socket.lines().filter(|line| line.starts_with("Listen") || line.starts_with("#Listen"));
    assert!(open.into_iter().all(|line| line.contains("127.0.0.1:")), "loopback unless told otherwise");
    // The verification needs the program where the unit has it.
    std::fs::write(scratch.path("raddle-ingest.service"), service.replace("/usr/bin/raddle", RADDLE))
        .unwrap();
    std::fs::write(scratch.path("raddle-ingest.socket"), socket).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args([scratch.path("raddle-ingest.service"), scratch.path("raddle-ingest.socket")]);
    match verify.output() {
        Ok(output) => {
            let err = text(&output.stderr);
            let about = err.lines().filter(|line| line.contains("raddle-ingest")).collect::<Vec<_>>();
            assert_eq!(about, Vec::<&str>::new(), "{err}");
        }
        Err(error) => eprintln!("skipped: no systemd-analyze: {error}"),
    }
}
