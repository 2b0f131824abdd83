//! The registry for tests behind TLS.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::fake::Fake;

impl Fake {
    /// The address at which the same registry speaks TLS, with a certificate that nobody else has signed.
    pub(crate) fn with_tls(&self) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["example.com".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plain = self.host.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, plain) = (Arc::clone(&config), plain.clone());
                std::thread::spawn(move || {
                    let connection = rustls::ServerConnection::new(config).unwrap();
                    let mut tls = rustls::StreamOwned::new(connection, stream);
                    let request = read_whole(&mut tls)?;
                    let mut far = TcpStream::connect(plain).ok()?;
                    far.write_all(&request).ok()?;
                    std::io::copy(&mut far, &mut tls).ok()?;
                    tls.conn.send_close_notify();
                    tls.flush().ok()
                });
            }
        });
        address
    }
}

/// A request with its body, as it came; `None` if it breaks off.
fn read_whole(stream: &mut impl std::io::Read) -> Option<Vec<u8>> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let fields = head.lines().filter_map(|field| field.split_once(": "));
    let length = fields.filter(|(name, _)| *name == "content-length").find_map(|(_, size)| size.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    bytes.extend(body);
    Some(bytes)
}
