//! A TCP connection that a program in a container opens to us. Others could connect too, so nothing is sent until the
//! caller has shown a secret that only our program knows.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::pipe::is_ready;
use super::{Interrupt, WatchedWriter};

/// How long a caller may take to show the secret.
const SHOW: Duration = Duration::from_secs(1);
/// Random bytes in the secret.
const CHANCE: usize = 16;

/// A listener that accepts a single caller.
#[derive(Debug)]
pub struct Line {
    listener: TcpListener,
    address: SocketAddr,
    secret: String,
}

/// An accepted connection.
pub struct Call {
    /// Dropping it ends the stream.
    pub writer: Box<dyn Write + Send>,
    pub hold: Hold,
}

/// Closes a connection while another thread writes to it.
#[derive(Debug, Clone)]
pub struct Hold(Arc<TcpStream>);

impl Hold {
    /// Closes the connection; a blocked write fails.
    pub fn close(&self) {
        // It may be closed already.
        _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Ends the stream on drop: the socket itself stays open as long as there is a [`Hold`].
struct Ending(TcpStream);

impl Write for Ending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for Ending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        _ = self.0.shutdown(Shutdown::Write);
    }
}

impl Line {
    /// Listens on a random port of an address of this machine.
    ///
    /// # Errors
    /// Fails if the address is not local, as when the engine runs in a virtual machine.
    pub fn open(at: IpAddr) -> io::Result<Self> {
        let mut chance = [0; CHANCE];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut chance)?;
        let listener = TcpListener::bind((at, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let secret = format!("{:032x}", u128::from_le_bytes(chance));
        Ok(Self { listener, address, secret })
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The secret, which the caller sends first, followed by a newline.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Waits for the caller that knows the secret, until `goes_on` returns `false`.
    pub fn accept(self, interrupt: &Interrupt, goes_on: &mut dyn FnMut() -> bool) -> Option<Call> {
        while goes_on() && !interrupt.is_set() {
            if is_ready(self.listener.as_fd(), PollFlags::IN).ok()?
                && let Ok((stream, _)) = self.listener.accept()
                && self.knows_the_secret(&stream)
                && let Ok(kept) = stream.try_clone()
            {
                let writer = WatchedWriter::new(Ending(kept), interrupt.clone(), None);
                return Some(Call { writer: Box::new(writer), hold: Hold(Arc::new(stream)) });
            }
        }
        None
    }

    fn knows_the_secret(&self, mut stream: &TcpStream) -> bool {
        let end = Instant::now() + SHOW;
        let mut shown = vec![0; self.secret.len() + 1];
        let mut read = 0;
        while read < shown.len() {
            let left = end.saturating_duration_since(Instant::now());
            // A timeout of zero is an error.
            let is_limited = !left.is_zero()
                && stream.set_nonblocking(false).is_ok()
                && stream.set_read_timeout(Some(left)).is_ok();
            match is_limited.then(|| stream.read(&mut shown[read..])) {
                Some(Ok(more)) if more > 0 => read += more,
                _ => return false,
            }
        }
        shown.strip_suffix(b"\n") == Some(self.secret.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Ipv4Addr;

    use super::*;

    fn line() -> Line {
        Line::open(Ipv4Addr::LOCALHOST.into()).unwrap()
    }

    fn for_a_while() -> impl FnMut() -> bool {
        let end = Instant::now() + Duration::from_secs(5);
        move || Instant::now() < end
    }

    /// Connects and sends `word`.
    fn call(line: &Line, word: &str) -> TcpStream {
        let mut stream = TcpStream::connect(line.address()).unwrap();
        stream.write_all(word.as_bytes()).unwrap();
        stream
    }

    #[test]
    fn only_the_caller_with_the_secret_is_sent_anything() {
        let line = line();
        let strangers = [call(&line, "wrong\n"), call(&line, &format!("{}\n", "0".repeat(CHANCE * 2)))];
        let mut ours = call(&line, &format!("{}\n", line.secret()));
        let Call { mut writer, hold } = line.accept(&Interrupt::default(), &mut for_a_while()).unwrap();
        writer.write_all(b"layers").unwrap();
        drop(writer);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "layers");
        drop(hold);
        for mut stranger in strangers {
            let mut bytes = Vec::new();
            // Dropping a connection with unread data resets it.
            _ = stranger.read_to_end(&mut bytes);
            assert_eq!(bytes, b"");
        }
    }

    #[test]
    fn the_wait_for_a_caller_ends_when_asked() {
        let mut looks = 0;
        let came = line().accept(&Interrupt::default(), &mut || {
            looks += 1;
            looks < 3
        });
        assert!(came.is_none());
        let interrupt = Interrupt::default();
        interrupt.set();
        assert!(line().accept(&interrupt, &mut || true).is_none());
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        // TEST-NET-1 of RFC 5737.
        assert!(Line::open(Ipv4Addr::new(192, 0, 2, 1).into()).is_err());
    }

    #[test]
    fn a_blocked_write_fails_when_the_connection_is_closed() {
        let line = line();
        let _silent = call(&line, &format!("{}\n", line.secret()));
        let Call { mut writer, hold } = line.accept(&Interrupt::default(), &mut for_a_while()).unwrap();
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                loop {
                    if let Err(error) = writer.write(&[0; 1 << 12]) {
                        break error.kind();
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(200));
            hold.close();
            assert_eq!(writing.join().unwrap(), io::ErrorKind::BrokenPipe);
        });
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(line().secret(), line().secret());
    }
}
