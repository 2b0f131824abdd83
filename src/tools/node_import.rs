//! Starts imports of image archives into a node's containerd, over a pipe or a connection from the node.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::node::{KindNode, change};
use crate::process::{Call, ExecError, Hold, Interrupt, Line, Running};

/// Runs a program with a connection to us as its standard input. The script reads the secret to send from its own
/// standard input and prints an empty line right before it connects. Host, port and program are arguments, not part of
/// the script.
///
/// Where a firewall drops packets, connecting takes about two minutes (`tcp_syn_retries` of tcp(7)), and nobody in the node
/// would end it. So the script ends itself after three seconds, or once its standard input ends, as it does with us.
const FROM_LINE: &str = r#"read -r secret && command -v "$3" >/dev/null && echo || exit 1
exec 4<&0
{ read -r -t 3 rest <&4; kill -KILL $$; } &
exec 4<&- 3<>"/dev/tcp/$1/$2" && kill $! && printf '%s\n' "$secret" >&3 || exit 1
shift 2
exec "$@" <&3 3>&-"#;
/// How long a node may take to start the script.
const BEGIN: Duration = Duration::from_secs(20);
/// How long it may then take to connect: a firewall may drop its packets.
const CALL: Duration = Duration::from_secs(1);

/// The flags that a node's `ctr images import` supports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportFlags {
    /// Bypasses the transfer service: not in containerd 1.6, the default in 1.7 and no longer in 2
    /// (cmd/ctr/commands/images/import.go).
    pub local: bool,
    pub no_unpack: bool,
}

/// What to do with the layers of an imported image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpacking<'a> {
    /// Unpack them into this snapshotter, or `ctr`'s default.
    Into(Option<&'a str>),
    /// Leave unpacking to the first container, if `ctr` supports that.
    Later,
}

/// A running import.
pub struct StartedImport {
    process: Box<dyn Running>,
    writer: Option<Box<dyn Write + Send>>,
    hold: Option<Hold>,
}

impl StartedImport {
    /// The writer for the archive, once; dropping it ends the archive.
    pub fn take_writer(&mut self) -> Box<dyn Write + Send> {
        self.writer.take().unwrap_or_else(|| Box::new(io::sink()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Fails with `ctr`'s error.
    pub fn wait(&mut self, interrupt: &Interrupt) -> Result<(), ExecError> {
        self.writer = None;
        self.process.wait(interrupt)
    }

    /// Stops it; a blocked write fails.
    pub fn stop(&mut self) {
        if let Some(hold) = &self.hold {
            hold.close();
        }
        self.process.stop();
    }
}

impl ImportFlags {
    /// Parses the help text: only a flag at the start of a line counts, not one mentioned in a description.
    pub(super) fn of(help: &str) -> Self {
        let knows = |flag| help.lines().any(|line| line.split_whitespace().next() == Some(flag));
        Self { local: knows("--local"), no_unpack: knows("--no-unpack") }
    }
}

impl KindNode {
    /// Starts importing the archive that is then written to the process's input.
    ///
    /// # Errors
    /// Fails when it cannot be started; errors in the archive only show when it ends.
    pub fn import(
        &self,
        flags: ImportFlags,
        unpacking: Unpacking<'_>,
        limit: Duration,
    ) -> Result<StartedImport, ExecError> {
        let mut process = self.runner.start(&change(&self.name, &import(flags, unpacking)).limit(limit))?;
        let writer = process.take_input();
        Ok(StartedImport { process, writer, hold: None })
    }

    /// Starts an import that reads the archive from a TCP connection to `gateway`, an address of this machine. This takes
    /// less work than a pipe, of which client, engine and shim each copy every byte.
    ///
    /// # Errors
    /// Fails with the reason if the node cannot connect.
    pub fn import_from(
        &self,
        gateway: IpAddr,
        flags: ImportFlags,
        unpacking: Unpacking<'_>,
        limit: Duration,
        interrupt: &Interrupt,
    ) -> Result<StartedImport, String> {
        let line = Line::open(gateway).map_err(|error| format!("{gateway}: {error}"))?;
        let (host, port) = (line.address().ip().to_string(), line.address().port().to_string());
        let mut args = vec!["bash", "-c", FROM_LINE, "bash", &host, &port];
        args.extend(import(flags, unpacking));
        let started = self.runner.start(&change(&self.name, &args).limit(limit));
        let mut process = started.map_err(|error| error.to_string())?;
        let mut input = process.take_input();
        if let Some(input) = &mut input {
            // If this fails, the script has ended and its error is reported below.
            _ = writeln!(input, "{}", line.secret());
        }
        let begun = process.take_output().map(begun);
        let (start, mut output, mut connects) = (Instant::now(), None, None);
        let call = line.accept(interrupt, &mut || {
            if let Some(begun) = begun.as_ref().and_then(|begun| begun.try_recv().ok()) {
                (output, connects) = (Some(begun), Some(Instant::now()));
            }
            let is_late = connects.map_or(start.elapsed() > BEGIN, |since| since.elapsed() > CALL);
            !is_late && !process.has_ended()
        });
        // The script would have ended with its input before it was connected.
        drop(input);
        let Some(Call { writer, hold }) = call else {
            process.stop();
            let ended = process.wait(interrupt).err().map(|error| error.last_words());
            return Err(ended.unwrap_or_else(|| "it did not connect".to_owned()));
        };
        // Printed before it connected, so it is here or about to be.
        if let Some(output) = output.or_else(|| begun?.recv_timeout(CALL).ok()) {
            end_with(output, hold.clone());
        }
        Ok(StartedImport { process, writer: Some(writer), hold: Some(hold) })
    }
}

/// The command line that imports the archive on standard input.
///
/// No `--all-platforms`, since the archive holds a single one. If not unpacked now, containerd unpacks the image for its
/// first container (`WithNewSnapshot` in its CRI plugin, 1.6 to 2.3).
fn import(flags: ImportFlags, unpacking: Unpacking<'_>) -> Vec<&str> {
    let mut args = vec!["ctr", "--namespace", "k8s.io", "images", "import"];
    if flags.local {
        // Otherwise containerd 2 uses its transfer service, which takes nearly twice the work and only unpacks into the
        // default snapshotter.
        args.push("--local");
    }
    match unpacking {
        Unpacking::Later if flags.no_unpack => args.push("--no-unpack"),
        Unpacking::Into(Some(snapshotter)) => args.extend(["--snapshotter", snapshotter]),
        Unpacking::Later | Unpacking::Into(None) => {}
    }
    args.push("-");
    args
}

/// Passes the output back once its first byte has arrived.
fn begun(mut output: Box<dyn Read + Send>) -> Receiver<Box<dyn Read + Send>> {
    let (sender, begun) = channel();
    std::thread::spawn(move || {
        if output.read_exact(&mut [0]).is_ok() {
            // The receiver may have given up.
            _ = sender.send(output);
        }
    });
    begun
}

/// Closes a connection when the program at its other end exits: a node that is killed may vanish without closing it.
fn end_with(mut output: Box<dyn Read + Send>, hold: Hold) {
    std::thread::spawn(move || {
        _ = io::copy(&mut output, &mut io::sink());
        hold.close();
    });
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::process::{Cmd, Deadline, Runner, SystemRunner};

    /// A listener whose queue is full, so that the kernel drops the packets of whoever connects, as a firewall does.
    fn dropping() -> (TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let in_time = |_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queued: Vec<TcpStream> = (0..10_000).map_while(in_time).collect();
        (listener, queued)
    }

    /// Runs the script on this machine, and returns how long it took, and its output.
    fn connecting(address: SocketAddr, closes_input: bool) -> (Duration, String) {
        let runner =
            SystemRunner::new(std::env::var_os("PATH"), None, Interrupt::default(), Deadline::default());
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let cmd = Cmd::write("bash", Duration::from_secs(60));
        let cmd = cmd.args(["-c", FROM_LINE, "bash", &host, &port, "cat"]);
        let began = Instant::now();
        let mut process = runner.start(&cmd).unwrap();
        let mut input = process.take_input();
        writeln!(input.as_mut().unwrap(), "secret").unwrap();
        if closes_input {
            input = None;
        }
        let mut text = String::new();
        process.take_output().unwrap().read_to_string(&mut text).unwrap();
        _ = process.wait(&Interrupt::default());
        drop(input);
        (began.elapsed(), text)
    }

    #[test]
    fn a_connection_whose_packets_are_dropped_is_given_up_in_the_node() {
        let (listener, _queued) = dropping();
        let address = listener.local_addr().unwrap();
        let (took, text) = connecting(address, false);
        assert!(took > Duration::from_secs(2) && took < Duration::from_secs(30), "{took:?}");
        assert_eq!(text, "\n");
        let (took, _) = connecting(address, true);
        assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn a_program_that_is_connected_has_all_the_time_it_needs() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            let served = scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut secret = [0; 7];
                stream.read_exact(&mut secret).unwrap();
                std::thread::sleep(Duration::from_millis(3500));
                stream.write_all(b"archive").unwrap();
                secret
            });
            let (_, text) = connecting(address, false);
            assert_eq!((served.join().unwrap(), text.as_str()), (*b"secret\n", "\narchive"));
        });
    }

    #[test]
    fn a_flag_mentioned_in_a_description_does_not_count() {
        let both = "OPTIONS:\n   --no-unpack  skip\n   --local      run import locally\n";
        assert_eq!(ImportFlags::of(both), ImportFlags { local: true, no_unpack: true });
        let one = "OPTIONS:\n   --no-unpack  skip, cannot be used with --local\n";
        assert_eq!(ImportFlags::of(one), ImportFlags { local: false, no_unpack: true });
        assert_eq!(ImportFlags::of(""), ImportFlags::default());
    }
}
