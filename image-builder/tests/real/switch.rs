//! A network of guests: a switch in this process, and QEMU once more, without a machine
//! in it, as a router that answers and leads nowhere. It needs no privilege, and nothing
//! of it is in the host's own network but the ports that ssh is forwarded from.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// An Ethernet address.
type Mac = [u8; 6];

/// Longest frame that is believed; with a jumbo's MTU it would have 9018 bytes.
const LONGEST: usize = 16 << 10;

/// A running switch. Its router ends with the value.
pub(crate) struct Switch {
    router: Child,
    ports: Vec<Port>,
    _dir: tempfile::TempDir,
}

/// Where one node is plugged in.
pub(crate) struct Port {
    node: Ipv4Addr,
    /// For [`imgbuild::qemu::Lan::Switch`].
    pub(crate) socket: PathBuf,
    /// Where its ssh is forwarded from, on 127.0.0.1.
    pub(crate) ssh: u16,
}

impl Switch {
    /// In the lab's subnet, for these nodes.
    pub(crate) fn of(nodes: &[Ipv4Addr]) -> Self {
        // The path of a socket has 107 bytes at most (unix(7)).
        let dir = tempfile::tempdir().expect("directory");
        let plugged = Arc::new(Plugged::default());
        let listen = |number: usize| {
            let socket = dir.path().join(number.to_string());
            let listener = UnixListener::bind(&socket).expect("a socket");
            let plugged = Arc::clone(&plugged);
            thread::spawn(move || {
                // One after the other: a machine that is started again.
                for cable in listener.incoming().flatten() {
                    plugged.serve(number, cable);
                }
            });
            socket
        };
        let port = |(number, node): (usize, &Ipv4Addr)| Port {
            node: *node,
            socket: listen(number),
            ssh: free_port(),
        };
        let ports: Vec<Port> = nodes.iter().enumerate().map(port).collect();
        let mut user = "user,id=router,restrict=on,ipv6=off,net=192.168.4.0/24,host=192.168.4.1,\
             dns=192.168.4.2,dhcpstart=192.168.4.200"
            .to_owned();
        for Port { node, ssh, .. } in &ports {
            user += &format!(",hostfwd=tcp:127.0.0.1:{ssh}-{node}:22");
        }
        let socket = listen(nodes.len());
        let cable = format!(
            "stream,id=cable,server=off,addr.type=unix,addr.path={}",
            socket.display()
        );
        let mut command = Command::new("qemu-system-aarch64");
        command.args(["-M", "none", "-nodefaults", "-display", "none"]);
        command.args(["-monitor", "none", "-netdev", &user, "-netdev", &cable]);
        for end in ["router", "cable"] {
            let hub = format!("hubport,id=to-{end},hubid=0,netdev={end}");
            command.args(["-netdev", &hub]);
        }
        // It warns that no card is in it.
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Self {
            router: command.spawn().expect("QEMU"),
            ports,
            _dir: dir,
        }
    }

    pub(crate) fn port(&self, node: Ipv4Addr) -> &Port {
        let port = self.ports.iter().find(|port| port.node == node);
        port.expect("a node of this network")
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = self.router.kill();
        let _ = self.router.wait();
    }
}

/// Who is plugged in where.
#[derive(Default)]
struct Plugged(Mutex<Table>);

#[derive(Default)]
struct Table {
    cables: HashMap<usize, UnixStream>,
    /// Behind which port an address was seen.
    seen: HashMap<Mac, usize>,
}

impl Plugged {
    /// Until it is unplugged.
    fn serve(&self, port: usize, mut cable: UnixStream) {
        let Ok(out) = cable.try_clone() else { return };
        self.table(|table| table.cables.insert(port, out));
        while let Ok(frame) = read_frame(&mut cable) {
            self.table(|table| table.pass_on(port, &frame));
        }
        self.table(|table| table.cables.remove(&port));
    }

    fn table<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    /// To whom it is for alone: QEMU's router answers for everybody whose frames it
    /// gets. Nobody asks for an address that was not heard of by ARP.
    fn pass_on(&mut self, from: usize, frame: &[u8]) {
        let [to, source] = [0, 6].map(|at| frame[at..at + 6].first_chunk().copied());
        let (Some(to), Some(source)) = (to, source) else {
            return;
        };
        self.seen.insert(source, from);
        let is_for_all = to[0] & 1 == 1;
        let only = self.seen.get(&to).copied();
        for (port, cable) in &mut self.cables {
            if *port != from && (is_for_all || only == Some(*port)) {
                // Whoever is gone is unplugged by who reads from it.
                let _ = write_frame(cable, frame);
            }
        }
    }
}

fn read_frame(cable: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    cable.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if !(14..=LONGEST).contains(&len) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; len];
    cable.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(cable: &mut UnixStream, frame: &[u8]) -> io::Result<()> {
    let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
    cable.write_all(&[&len.to_be_bytes(), frame].concat())
}

/// One that nobody listens at now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    listener.local_addr().expect("address").port()
}
