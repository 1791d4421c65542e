//! A PostgreSQL server of one test.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::common::{LIMIT, free_address, own_address, until};

/// A server with its data in a directory, stopped and removed when it is dropped.
pub(crate) struct Server {
    directory: PathBuf,
    pub(super) address: SocketAddr,
    process: Option<Child>,
    _template: Arc<Template>,
}

/// Returns the directory of the server's programs, or prints why a test is skipped.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.retain(|bin| bin.join("postgres").exists());
    versions.sort();
    let found = versions.pop();
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "PostgreSQL is not installed: run .ci/peers");
        eprintln!("skipped: PostgreSQL is not installed");
    }
    found
}

/// Returns a command that does not run as root, which the server refuses.
fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// A directory with a fresh database, which is copied for each server, and removed with the last one.
struct Template(PathBuf);

impl Drop for Template {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn template(bin: &Path) -> Arc<Template> {
    static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());
    let mut shared = TEMPLATE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(template) = shared.upgrade() {
        return template;
    }
    let directory = fresh("template");
    let status = unprivileged(&bin.join("initdb"))
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
        .arg("-D")
        .arg(directory.join("data"))
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("initdb").success());
    let template = Arc::new(Template(directory));
    *shared = Arc::downgrade(&template);
    template
}

/// Returns a new directory that the server may write.
pub(super) fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("raddle-{name}-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).expect("a directory");
    if geteuid().is_root() {
        let users = fs::read_to_string("/etc/passwd").expect("users");
        let user = users.lines().find(|line| line.starts_with("postgres:")).expect("user postgres");
        let mut ids = user.split(':').skip(2).map(|id| id.parse().expect("an id"));
        std::os::unix::fs::chown(&directory, ids.next(), ids.next()).expect("a directory of postgres");
    }
    directory
}

impl Server {
    /// Starts a server, or returns `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let bin = programs()?;
        let directory = fresh("server");
        let template = template(&bin);
        let copied = Command::new("cp").arg("-a").arg(template.0.join("data")).arg(&directory).status();
        assert!(copied.expect("cp").success());
        let address = free_address();
        let mut server = Self { directory, address, process: None, _template: template };
        server.run();
        Some(server)
    }

    /// Runs the server, which is not running, and waits until it accepts connections.
    pub(super) fn run(&mut self) {
        assert!(self.process.is_none());
        let bin = programs().expect("PostgreSQL");
        let deadline = raddle::time::now() + LIMIT;
        loop {
            let mut command = unprivileged(&bin.join("postgres"));
            command.arg("-D").arg(self.directory.join("data")).arg("-p").arg(self.address.port().to_string());
            command.arg("-c").arg(format!("listen_addresses={}", self.address.ip()));
            for setting in [
                "unix_socket_directories=",
                "shared_buffers=32MB",
                "max_connections=40",
                "logging_collector=off",
                // The tests do not include a crash of the machine.
                "fsync=off",
                "password_encryption=scram-sha-256",
            ] {
                command.arg("-c").arg(setting);
            }
            let log = self.directory.join("log");
            let log = fs::File::options().create(true).append(true).open(log).expect("a log");
            let mut child = command
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("postgres");
            loop {
                if Client::connect(&self.url(), NoTls).is_ok() {
                    self.process = Some(child);
                    return;
                }
                // It terminates at once if processes of a killed server still exist.
                if child.try_wait().expect("a status").is_some() {
                    break;
                }
                assert!(raddle::time::now() < deadline, "the server does not start");
                raddle::thread::sleep(Duration::from_millis(20));
            }
            assert!(
                raddle::time::now() < deadline,
                "{}",
                fs::read_to_string(self.directory.join("log")).unwrap_or_default()
            );
            raddle::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server in an orderly way; its connections are closed.
    pub(super) fn stop(&mut self) {
        let mut child = self.process.take().expect("a running server");
        kill_process(pid(&child), Signal::INT).expect("a signal");
        child.wait().expect("a status");
    }

    /// Kills the server and all its processes.
    pub(super) fn crash(&mut self) {
        let mut child = self.process.take().expect("a running server");
        let of_connections = children(child.id());
        kill_process(pid(&child), Signal::KILL).expect("a signal");
        for id in of_connections {
            let _ = kill_process(id, Signal::KILL);
        }
        child.wait().expect("a status");
    }

    /// Sends a signal to the server's processes of connections of the program.
    pub(super) fn signal_connections(&self, signal: Signal) {
        let mut client = self.client();
        let rows = client
            .query("SELECT pid FROM pg_stat_activity WHERE application_name = 'raddle'", &[])
            .expect("connections");
        for row in rows {
            kill_process(Pid::from_raw(row.get(0)).expect("a process id"), signal).expect("a signal");
        }
    }

    pub(super) fn url(&self) -> String {
        url(self.address)
    }

    pub(super) fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).expect("a connection")
    }

    pub(super) fn execute(&self, sql: &str) {
        self.client().batch_execute(sql).expect(sql);
    }

    pub(super) fn number(&self, sql: &str) -> i64 {
        self.client().query_one(sql, &[]).expect(sql).get(0)
    }

    /// Replaces the rules by which the server accepts logins.
    pub(super) fn set_logins(&self, rules: &str) {
        fs::write(self.directory.join("data/pg_hba.conf"), rules).expect("rules");
        self.reload();
    }

    pub(super) fn reload(&self) {
        let child = self.process.as_ref().expect("a running server");
        let before =
            fs::read_to_string(self.directory.join("log")).unwrap_or_default().matches("SIGHUP").count();
        kill_process(pid(child), Signal::HUP).expect("a signal");
        until(|| {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            log.matches("SIGHUP").count() > before
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &self.process {
            // A stopped process does not handle other signals.
            for id in children(child.id()) {
                let _ = kill_process(id, Signal::CONT);
            }
            self.stop();
        }
        if std::thread::panicking() {
            eprintln!("the server's log is in {}", self.directory.display());
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Returns the settings of a connection to a server at this address.
pub(super) fn url(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("host={host} port={port} user=postgres dbname=postgres connect_timeout=5")
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Returns the child processes.
fn children(parent: u32) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace()
        .map(|id| Pid::from_raw(id.parse().expect("a process id")).expect("a process id"))
        .collect()
}

/// The treatment of a COMMIT by a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Does not pass it on, and closes both sides.
    Before,
    /// Passes it on, and closes the client's side before the answer.
    After,
    /// Closes the client's side, and passes it on later.
    Late,
}

/// A proxy that passes on everything, except the COMMIT that it is to cut off.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    is_armed: Arc<AtomicBool>,
}

impl Proxy {
    pub(super) fn start(server: SocketAddr, cut: Cut) -> Self {
        let listener = TcpListener::bind(own_address()).unwrap();
        let address = listener.local_addr().unwrap();
        let is_armed = Arc::new(AtomicBool::new(false));
        let armed = is_armed.clone();
        raddle::Thread::new(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else {
                    return;
                };
                let (mut back, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                raddle::Thread::new(move || {
                    let _ = std::io::copy(&mut back, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                })
                .daemon(true)
                .start()
                .unwrap();
                let armed = armed.clone();
                raddle::Thread::new(move || forward(client, server, cut, &armed))
                    .daemon(true)
                    .start()
                    .unwrap();
            }
        })
        .daemon(true)
        .start()
        .unwrap();
        Self { address, is_armed }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.is_armed.load(Ordering::SeqCst)
    }

    /// Cuts off the next COMMIT.
    pub(super) fn cut_next(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }
}

fn forward(mut client: TcpStream, mut server: TcpStream, cut: Cut, armed: &AtomicBool) {
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let Ok(count @ 1..) = client.read(&mut buffer) else {
            let _ = server.shutdown(Shutdown::Both);
            return;
        };
        let bytes = &buffer[..count];
        // A message of its own, since the client waits for the answer to the messages before it.
        let is_commit = bytes.first() == Some(&b'Q') && bytes.ends_with(b"COMMIT\0");
        if is_commit && armed.swap(false, Ordering::SeqCst) {
            match cut {
                Cut::Before => {}
                Cut::After => server.write_all(bytes).unwrap(),
                Cut::Late => {
                    client.shutdown(Shutdown::Both).unwrap();
                    raddle::thread::sleep(Duration::from_millis(300));
                    let _ = server.write_all(bytes);
                    raddle::thread::sleep(Duration::from_millis(300));
                }
            }
            let _ = client.shutdown(Shutdown::Both);
            if cut == Cut::Before {
                let _ = server.shutdown(Shutdown::Both);
            }
            return;
        }
        if server.write_all(bytes).is_err() {
            return;
        }
    }
}
