//! Registries on loopback addresses, which need not say whether they speak TLS.

use crate::registries::{answer, machine, serve, tls_registry};

#[test]
fn a_registry_on_a_loopback_address_may_speak_tls_with_any_certificate() {
    let (with_tls, _) = tls_registry(None);
    let without = serve(|mut stream| answer(&mut stream, None));
    for port in [with_tls, without] {
        let machine = machine();
        let image = format!("127.0.0.1:{port}/test/one:1");
        let args = ["images", "save", "-o", "one.tar", &image, "--pull-with", "registry"];
        machine.milvusctl(&[&args[..], &["--mirror-preset", "none"]].concat()).ends_with(0);
        assert!(machine.path("one.tar").is_file());
    }
}
