use super::*;

const CONTENT: &str = include_str!("../../tests/fixtures/ctr-content-ls.ctr-1.6.20.txt");
const CHECK: &str = include_str!("../../tests/fixtures/ctr-images-check.ctr-1.6.20.txt");
const CONFIG: &str = include_str!("../../tests/fixtures/containerd-config-dump.containerd-1.6.20.toml");

fn digest(text: &str) -> Digest {
    format!("sha256:{text}").parse().unwrap()
}

fn two_manifest() -> Digest {
    digest("14e88d34c65b5a6a4a2387d408e1ccf645483b327cc751699a72296b86a24701")
}

#[test]
fn a_compressed_blob_is_found_by_its_diff_id() {
    let holds = NodeHolds::parse(CONTENT).unwrap();
    let compressed = digest("7d7ec8f8ed93df9e1fc3e6c6a702e87d1ebd6257bd51c0044bf9b650dda9375c");
    let diff_id = digest("8292e1301615513be9591de54bde2528ac3e9e776c0b41e5af0081f204e85e2f");
    assert_eq!(holds.layer(&diff_id), Some(HeldLayer { blob: compressed, size: 95 }));
    assert!(holds.has_blob(&compressed) && !holds.has_blob(&diff_id));
}

#[test]
fn an_uncompressed_blob_is_its_own_diff_id() {
    let holds = NodeHolds::parse(CONTENT).unwrap();
    let etcd = digest("2f5eb618829eb92b4d41cfc81ec49cb9f7fa7fd9ccb706c69223982efe40156c");
    assert_eq!(holds.layer(&etcd), Some(HeldLayer { blob: etcd, size: 23_690_000 }));
}

#[test]
fn an_empty_store_holds_nothing() {
    assert_eq!(NodeHolds::parse("DIGEST\tSIZE\tAGE\tLABELS\n"), Ok(NodeHolds::nothing()));
}

#[test]
fn a_blob_without_labels_and_one_of_another_algorithm_are_no_error() {
    let blob = Digest::of(b"x");
    let listing = format!("DIGEST\tSIZE\tAGE\tLABELS\n{blob}\t1.5kB\t2 days\t-\nsha512:ab\t1B\t2 days\t-\n");
    let holds = NodeHolds::parse(&listing).unwrap();
    assert_eq!(holds.layer(&blob), Some(HeldLayer { blob, size: 1500 }));
    assert_eq!(holds.blobs.len(), 1);
}

#[test]
fn text_that_is_no_listing_is_refused() {
    let error = |text| NodeHolds::parse(text).unwrap_err().to_string();
    assert_eq!(
        error("ctr: connection refused"),
        "could not read what `ctr content ls` printed: no heading, line 1: `ctr: connection refused`"
    );
    assert!(error("").contains("no heading"));
    assert!(error("DIGEST\tSIZE\nsha256:ab\n").contains("no size, line 2"));
    assert!(error("DIGEST\tSIZE\nx\t1B\n").contains("no digest, line 2"));
    assert!(parse_images_check("REF\nx y z\n").unwrap_err().to_string().contains("line 2"));
    assert!(parse_images_check("nothing").is_err());
}

#[test]
fn names_lead_to_their_manifests() {
    // The columns of `ctr images ls`, from containerd's cmd/ctr/commands/images/images.go.
    let target = two_manifest();
    let listing = format!(
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\ndocker.io/test/two:1 \
         application/vnd.docker.distribution.manifest.v2+json {target} 5.5 KiB linux/amd64 \
         io.cri-containerd.image=managed \n"
    );
    assert_eq!(parse_images_list(&listing), Ok([("docker.io/test/two:1".to_owned(), target)].into()));
    assert!(parse_images_list("REF\nx y z\n").unwrap_err().to_string().contains("no digest, line 2"));
    assert!(parse_images_list("ctr: connection refused").is_err());
}

#[test]
fn images_are_complete_unpacked_or_neither() {
    let images = parse_images_check(CHECK).unwrap();
    let two = NodeImage { target: two_manifest(), complete: true, unpacked: true };
    assert_eq!(images["docker.io/test/two:1"], two);
    let missing = digest("0e734138b578ff2ab1f87f196d5efcbe4d1dce0df22d44b5d85040b875dcf540");
    let missing = NodeImage { target: missing, complete: false, unpacked: false };
    assert_eq!(images["docker.io/exp/missing:1"], missing);
    assert!(!missing.can_run() && two.can_run());
    assert_eq!(images.len(), CHECK.lines().count() - 1);
}

#[test]
fn an_image_whose_content_is_gone_is_neither() {
    let row = format!("REF\nx:1 type {} unavailable (0/?) -/? false\n", Digest::of(b"x"));
    let gone = NodeImage { target: Digest::of(b"x"), complete: false, unpacked: false };
    assert_eq!(parse_images_check(&row), Ok(BTreeMap::from([("x:1".to_owned(), gone)])));
}

#[test]
fn snapshotter_is_the_cri_plugins() {
    assert_eq!(parse_snapshotter(CONFIG).as_deref(), Some("overlayfs"));
    let version_3 = "[plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'fuse-overlayfs'\n";
    assert_eq!(parse_snapshotter(version_3).as_deref(), Some("fuse-overlayfs"));
    let elsewhere = "[plugins.\"io.containerd.internal.v1.tracing\"]\n  snapshotter = \"native\"\n";
    assert_eq!(parse_snapshotter(elsewhere), None);
    assert_eq!(
        parse_snapshotter("[plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"\""),
        None
    );
}

#[test]
fn sizes_are_read_in_every_unit() {
    for (text, bytes) in [
        ("0B", Some(0)),
        ("999B", Some(999)),
        ("23.69MB", Some(23_690_000)),
        ("1.5kB", Some(1500)),
        ("5.0 MiB", Some(5 << 20)),
        ("1.25GiB", Some(5 << 28)),
        ("12", None),
        ("-", None),
        ("1.2.3MB", None),
        ("1XB", None),
        ("99999999999999TB", None),
    ] {
        assert_eq!(parse_size(text), bytes, "{text}");
    }
}
