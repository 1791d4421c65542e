//! Listeners: opening them, errors, and changes while the server runs.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use raddle_ingest::{
    Books, Listener, ListenerKind, ListenerOptions, Pipeline, PipelineOptions, Server, ServerOptions,
};

use crate::support::{Kept, Memory, Running, any_port, until, within_limit};

#[test]
fn address_in_use_is_an_error_that_names_it() {
    within_limit(|| {
        let taken = TcpListener::bind(any_port()).unwrap();
        let address = taken.local_addr().unwrap();
        let pipeline = Pipeline::start(
            Box::new(Memory::new()),
            Box::<Kept>::default(),
            Books::new(),
            &PipelineOptions::default(),
        )
        .unwrap();
        let listener = Listener::new("logs", ListenerKind::Tcp, address);
        let intake = pipeline.intake().clone();
        let error = Server::start(vec![listener], intake, &ServerOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot listen on {address} (tcp listener \"logs\"): ")), "{text}");
        assert!(text.ends_with(": another program or another listener uses this address"), "{text}");
        assert_eq!(error.io_error().kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.source().is_some());
        assert!(pipeline.finish(std::time::Duration::ZERO).is_good());
    });
}

#[test]
fn sockets_of_another_program_are_served() {
    within_limit(|| {
        let tcp = TcpListener::bind(any_port()).unwrap();
        let udp = UdpSocket::bind(any_port()).unwrap();
        let (to_tcp, to_udp) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        // The connection is in the backlog before the server begins.
        let mut peer = TcpStream::connect(to_tcp).unwrap();
        peer.write_all(b"early\n").unwrap();
        let listeners =
            vec![Listener::from_tcp("tcp", ListenerKind::Tcp, tcp), Listener::from_udp("udp", udp)];
        let running =
            Running::new(listeners, &ServerOptions::default(), &PipelineOptions::default(), Memory::new());
        assert_eq!(running.server.addresses()[1], ("udp".into(), ListenerKind::Udp, to_udp));
        until(|| running.received() == 1);
        UdpSocket::bind(any_port()).unwrap().send_to(b"datagram", to_udp).unwrap();
        until(|| running.received() == 2);
        running.stop_well();
    });
}

#[test]
fn socket_of_the_wrong_kind_is_an_error() {
    within_limit(|| {
        let pipeline = Pipeline::start(
            Box::new(Memory::new()),
            Box::<Kept>::default(),
            Books::new(),
            &PipelineOptions::default(),
        )
        .unwrap();
        let socket = TcpListener::bind(any_port()).unwrap();
        let listener = Listener::from_tcp("udp", ListenerKind::Udp, socket);
        let error = Server::start(vec![listener], pipeline.intake().clone(), &ServerOptions::default());
        let text = error.unwrap_err().to_string();
        assert!(text.ends_with("(udp listener \"udp\"): it needs a datagram socket"), "{text}");
        assert!(pipeline.finish(std::time::Duration::ZERO).is_good());
    });
}

#[test]
fn reload_adds_and_removes_listeners_and_keeps_connections() {
    within_limit(|| {
        for threads in [1, 2] {
            let place = any_port();
            let listener = |name: &str| Listener::new(name, ListenerKind::Tcp, place);
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let running = Running::new(
                vec![listener("kept"), listener("removed")],
                &options,
                &PipelineOptions::default(),
                Memory::new(),
            );
            let addresses = running.server.addresses();
            let (kept, removed) = (addresses[0].2, addresses[1].2);
            let mut old = [TcpStream::connect(kept).unwrap(), TcpStream::connect(removed).unwrap()];
            for peer in &mut old {
                peer.write_all(b"before\n").unwrap();
            }
            until(|| running.received() == 2);
            let shorter = ListenerOptions { max_message: 10, ..ListenerOptions::default() };
            let udp = Listener::new("udp", ListenerKind::Udp, any_port());
            running
                .server
                .reload(vec![listener("kept").options(shorter), listener("added"), udp], &options)
                .unwrap();
            let addresses = running.server.addresses();
            assert_eq!(addresses[0].2, kept, "the socket is the same");
            until(|| TcpStream::connect(removed).is_err());
            for peer in &mut old {
                peer.write_all(b"longer than ten bytes\n").unwrap();
            }
            until(|| running.received() == 4);
            assert_eq!(running.account().rejected, 0, "connections keep their options");
            // The loops reload one after the other.
            let mut sent = 0;
            while running.account().rejected == 0 {
                TcpStream::connect(kept).unwrap().write_all(b"longer than ten bytes\n").unwrap();
                sent += 1;
                until(|| running.received() == 4 + sent);
                until(|| running.account().stored + running.account().rejected == 4 + sent);
            }
            TcpStream::connect(addresses[1].2).unwrap().write_all(b"added\n").unwrap();
            let sender = UdpSocket::bind(any_port()).unwrap();
            sender.send_to(b"datagram", addresses[2].2).unwrap();
            until(|| running.received() == 6 + sent);
            drop(old);
            running.stop_well();
        }
    });
}

#[test]
fn listener_keeps_its_socket_under_another_name_or_kind() {
    within_limit(|| {
        for threads in [1, 2] {
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let udp = Listener::new("udp", ListenerKind::Udp, any_port());
            let running = Running::new(
                vec![
                    Listener::new("a", ListenerKind::Tcp, any_port()),
                    Listener::new("b", ListenerKind::Tcp, any_port()),
                    udp,
                ],
                &options,
                &PipelineOptions::default(),
                Memory::new(),
            );
            let [a, b, udp] = [0, 1, 2].map(|index| running.server.addresses()[index].2);
            let mut old = TcpStream::connect(a).unwrap();
            old.write_all(b"before\n").unwrap();
            until(|| running.received() == 1);
            // Two listeners exchange their addresses, one of them changes its kind, and a third gets another name.
            let listeners = vec![
                Listener::new("b", ListenerKind::Tcp, a),
                Listener::new("a", ListenerKind::Relp, b),
                Listener::new("datagrams", ListenerKind::Udp, udp),
            ];
            running.server.reload(listeners, &options).unwrap();
            assert_eq!([0, 1, 2].map(|index| running.server.addresses()[index].2), [a, b, udp]);
            let stored_for = |name: &str| {
                let accounts = running.pipeline.intake().books().accounts();
                accounts.iter().find(|(known, _)| **known == *name).map_or(0, |(_, it)| it.received)
            };
            // The loops reload one after the other.
            let mut sent = 0;
            while stored_for("b") == 0 {
                TcpStream::connect(a).unwrap().write_all(b"to the new name\n").unwrap();
                sent += 1;
                until(|| running.received() == 1 + sent);
            }
            let mut replies = [0; 2];
            while &replies != b"1 " {
                let mut peer = TcpStream::connect(b).unwrap();
                peer.write_all(b"1 open 0\n").unwrap();
                peer.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = peer.read_exact(&mut replies);
            }
            let sender = UdpSocket::bind(any_port()).unwrap();
            while stored_for("datagrams") == 0 {
                let before = running.received();
                sender.send_to(b"datagram", udp).unwrap();
                until(|| running.received() > before);
            }
            let before = stored_for("a");
            old.write_all(b"after\n").unwrap();
            until(|| stored_for("a") > before);
            drop(old);
            running.stop_well();
        }
    });
}

#[test]
fn all_addresses_of_both_families_have_a_listener_each() {
    within_limit(|| {
        if TcpListener::bind("[::1]:0").is_err() {
            return println!("skipped: this machine has no IPv6");
        }
        for kind in [ListenerKind::Tcp, ListenerKind::Udp] {
            let v4 = Listener::new("v4", kind, "0.0.0.0:0".parse().unwrap());
            let running =
                Running::new(vec![v4], &ServerOptions::default(), &PipelineOptions::default(), Memory::new());
            let port = running.address().port();
            // In either order, at the start or later.
            let both = |first: &str, second: &str| {
                [first, second].map(|address| {
                    let name = if address.starts_with('[') { "v6" } else { "v4" };
                    Listener::new(name, kind, format!("{address}:{port}").parse().unwrap())
                })
            };
            running.server.reload(both("[::]", "0.0.0.0").into(), &ServerOptions::default()).unwrap();
            for (address, count) in [("127.0.0.1", 1), ("[::1]", 2)] {
                let to = format!("{address}:{port}");
                if kind == ListenerKind::Udp {
                    let from = UdpSocket::bind(format!("{address}:0")).unwrap();
                    from.send_to(b"datagram", to).unwrap();
                } else {
                    TcpStream::connect(to).unwrap().write_all(b"line\n").unwrap();
                }
                until(|| running.received() == count);
            }
            running.stop_well();
            let opened = both("[::]", "0.0.0.0").map(|it| it.open().unwrap());
            let running = Running::new(
                opened.into(),
                &ServerOptions::default(),
                &PipelineOptions::default(),
                Memory::new(),
            );
            assert_eq!(running.server.addresses().len(), 2);
            running.stop_well();
        }
    });
}

#[test]
fn reload_that_fails_changes_nothing() {
    within_limit(|| {
        let running = Running::usual();
        let taken = TcpListener::bind(any_port()).unwrap();
        let mut peer = running.connect();
        let bad = Listener::new("bad", ListenerKind::Tcp, taken.local_addr().unwrap());
        let error = running.server.reload(vec![bad], &ServerOptions::default()).unwrap_err();
        assert!(error.to_string().contains("(tcp listener \"bad\")"), "{error}");
        peer.write_all(b"still served\n").unwrap();
        running.send(b"and accepted\n");
        until(|| running.received() == 2);
        running.stop_well();
    });
}

#[test]
fn limits_change_while_connections_are_open() {
    within_limit(|| {
        let running = Running::usual();
        let listener = || vec![Listener::new("tcp", ListenerKind::Tcp, running.address())];
        let open: Vec<TcpStream> = (0..3).map(|_| running.connect()).collect();
        until(|| running.counts().open == 3);
        let fewer = ServerOptions { max_connections: 3, max_per_peer: Some(3), ..ServerOptions::default() };
        running.server.reload(listener(), &fewer).unwrap();
        let mut refused = running.connect();
        refused.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        assert!(!matches!(refused.read(&mut [0; 1]), Ok(1..)));
        running.server.reload(listener(), &ServerOptions::default()).unwrap();
        running.send(b"served\n");
        until(|| running.received() == 1);
        drop(open);
        running.stop_well();
    });
}
