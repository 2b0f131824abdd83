//! Several nodes at once: each gets its own archive, none harms another, and memory stays bounded.

use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::super::digest::Hasher;
use super::super::tar;
use super::super::{Digest, Limits, NodeError, NodeHolds, Sink, TransferProgress, contents, transfer};
use super::support::{Broken, Hanging, Kept, LIMITS, config, fixture, holding, image, layout};

const OLD_TWO: &[u8] = fixture!("two-layers.docker-20.10");

fn sink(node: &str, writer: impl Write + Send + 'static) -> Sink {
    Sink { node: node.to_owned(), writer: Box::new(writer), holds: NodeHolds::nothing(), wants: Vec::new() }
}

#[test]
fn each_node_gets_what_it_lacks() {
    let expected = contents(OLD_TWO).unwrap();
    let held = expected[0].diff_ids[0];
    let (empty, half) = (Kept::default(), Kept::default());
    let sinks = vec![empty.sink("empty", NodeHolds::nothing()), half.sink("half", holding(&[(held, held)]))];
    let done = transfer(OLD_TWO, &expected, sinks, LIMITS, &|_| ()).unwrap();
    let counts: Vec<_> =
        done.nodes.iter().map(|node| (&node.node[..], node.layers_sent, node.layers_left_out)).collect();
    assert_eq!(counts, [("empty", 2, 0), ("half", 1, 1)]);
    for (kept, sent) in [(empty, [true, true]), (half, [false, true])] {
        let layers = layout(&kept.bytes()).unwrap().images().remove(0).layers;
        assert_eq!(layers.iter().map(|layer| layer.2).collect::<Vec<_>>(), sent);
    }
}

#[test]
fn a_broken_node_and_a_hanging_one_do_not_hold_back_a_good_one() {
    let (_held, end) = mpsc::channel();
    let kept = Kept::default();
    let sinks =
        vec![sink("broken", Broken), sink("hanging", Hanging(end)), kept.sink("good", NodeHolds::nothing())];
    let limits = Limits { queue_bytes: 1024, stall: Duration::from_millis(500) };
    let done = transfer(OLD_TWO, &[], sinks, limits, &|_| ()).unwrap();
    let errors: Vec<_> = done.nodes.iter().map(|node| node.error.as_ref()).collect();
    assert!(
        matches!(errors[..], [Some(NodeError::Write(_)), Some(NodeError::Stalled(_)), None]),
        "{errors:?}"
    );
    assert_eq!(layout(&kept.bytes()).unwrap().images().len(), 1);
}

#[test]
fn progress_only_grows_and_ends_with_all_bytes() {
    let seen = Mutex::new(Vec::new());
    let kept = Kept::default();
    let sinks = vec![kept.sink("node", NodeHolds::nothing())];
    transfer(OLD_TWO, &[], sinks, LIMITS, &|progress| seen.lock().unwrap().push(progress)).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted_by(|a, b| a.bytes_read <= b.bytes_read && a.bytes_sent <= b.bytes_sent));
    let all = TransferProgress { bytes_read: OLD_TWO.len() as u64, bytes_sent: kept.bytes().len() as u64 };
    assert_eq!(seen.last(), Some(&all));
}

/// An archive with one layer of zeros, generated as it is read.
fn synthetic(size: u64) -> impl Read {
    let mut hasher = Hasher::default();
    let block = vec![0; 1 << 20];
    (0..size >> 20).for_each(|_| hasher.feed(&block));
    let diff_id = hasher.finish();
    let config = String::from_utf8(config("amd64", &[b"x"])).unwrap();
    let config = config.replace(&Digest::of(b"x").to_string(), &diff_id.to_string()).into_bytes();
    let path = format!("{}.json", Digest::of(&config).hex());
    let saved = format!(r#"[{{"Config":"{path}","RepoTags":["test/image:1"],"Layers":["a/layer.tar"]}}]"#);
    let tail = [&tar::file(&path, &config)[..], &tar::file("manifest.json", saved.as_bytes()), &tar::end()];
    io::Cursor::new(tar::header("a/layer.tar", size).to_vec())
        .chain(io::repeat(0).take(size))
        .chain(io::Cursor::new(tail.concat()))
}

/// Counts the bytes written, slowly at first.
struct Slow(Arc<AtomicUsize>, Duration);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.fetch_add(bytes.len(), Ordering::Relaxed) < 4 << 20 {
            std::thread::sleep(self.1);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_was_read_and_not_yet_taken_stays_within_the_queue() {
    const SIZE: u64 = 256 << 20;
    let taken = Arc::new(AtomicUsize::new(0));
    let slow = sink("slow", Slow(Arc::clone(&taken), Duration::from_millis(5)));
    let sinks = vec![slow, sink("fast", io::sink())];
    let widest = Mutex::new(0);
    let gap = |progress: TransferProgress| {
        let taken = taken.load(Ordering::Relaxed) as u64;
        let mut widest = widest.lock().unwrap();
        *widest = progress.bytes_read.saturating_sub(taken).max(*widest);
    };
    let done = transfer(synthetic(SIZE), &[image()], sinks, LIMITS, &gap).unwrap();
    assert!(done.nodes.iter().all(|node| node.error.is_none() && node.bytes_sent > SIZE), "{done:?}");
    // The queue, the piece being written, the one just read, and headers.
    let bound = (LIMITS.queue_bytes + 3 * tar::CHUNK) as u64;
    let widest = widest.into_inner().unwrap();
    assert!(widest <= bound, "{widest} bytes were held, expected at most {bound}");
}

#[test]
fn a_layer_that_nobody_needs_is_read_past() {
    const SIZE: u64 = 64 << 20;
    let expected = contents(synthetic(SIZE)).unwrap();
    assert_eq!(expected[0].diff_ids.len(), 1);
    let done = transfer(synthetic(SIZE), &[], Vec::new(), LIMITS, &|_| ()).unwrap();
    assert!(done.nodes.is_empty() && done.bytes_read > SIZE);
}
