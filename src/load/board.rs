//! Schedules which images go to which nodes next: first where pods wait, and to several nodes in parallel.
//!
//! A node takes one archive at a time, because the next one leaves out layers brought by the previous.
//! Meanwhile the engine prepares the next archive: the classic image store collects all of it in a folder
//! before sending the first byte. Only decides; starts no threads and runs nothing.

use std::collections::{BTreeSet, VecDeque};

/// The maximum number of images per archive, since the engine needs disk space to assemble it.
const BATCH: usize = 8;

/// The nodes that images are loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Nodes with pods waiting for them.
    First,
    /// Other nodes that could run them.
    Then,
}

/// An image and its target nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadPart {
    /// The image's index in the list of loads.
    pub(super) image: usize,
    pub(super) nodes: Vec<String>,
}

/// An archive for some nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) round: Round,
    /// The images in it, at least one, ordered by index.
    pub(super) parts: Vec<LoadPart>,
}

impl Task {
    /// The nodes that get any of it.
    fn nodes(&self) -> BTreeSet<&String> {
        self.parts.iter().flat_map(|part| &part.nodes).collect()
    }

    fn needs_any_of(&self, nodes: &BTreeSet<String>) -> bool {
        self.nodes().into_iter().any(|node| nodes.contains(node))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Run this task, and report when it ends.
    Start(Task),
    /// Request this from the engine, and run it once [`Board::claim`] grants the nodes.
    Prepare(Task),
    /// Ask again after a change.
    Wait,
    Over,
}

/// The images that have arrived, those still to come, and the busy nodes.
#[derive(Debug)]
pub(super) struct Board {
    to_come: usize,
    first: VecDeque<LoadPart>,
    then: VecDeque<LoadPart>,
    busy: BTreeSet<String>,
    /// A task requested before its nodes were free, which no other task may take.
    prepared: Option<Task>,
    running_first: usize,
    /// All images go in one archive once the last has arrived, as they are read from a single file.
    together: bool,
}

impl Board {
    /// A board for `images` images, none of which has arrived.
    pub(super) fn new(images: usize) -> Self {
        Self {
            to_come: images,
            first: VecDeque::new(),
            then: VecDeque::new(),
            busy: BTreeSet::new(),
            prepared: None,
            running_first: 0,
            together: false,
        }
    }

    /// A board for images from a file that is read once for all of them.
    pub(super) fn together(images: usize) -> Self {
        Self { together: true, ..Self::new(images) }
    }

    /// Records that an image has arrived, and its nodes.
    pub(super) fn arrived(&mut self, image: usize, first: &[String], then: &[String]) {
        self.to_come -= 1;
        if self.together {
            let nodes: BTreeSet<&String> = first.iter().chain(then).collect();
            self.first.push_back(LoadPart { image, nodes: nodes.into_iter().cloned().collect() });
            return;
        }
        for (queue, nodes) in [(&mut self.first, first), (&mut self.then, then)] {
            if !nodes.is_empty() {
                queue.push_back(LoadPart { image, nodes: nodes.to_vec() });
            }
        }
    }

    /// Records that an image will not arrive.
    pub(super) fn will_not_come(&mut self) {
        self.to_come -= 1;
    }

    /// Claims the nodes of a prepared task; returns `false` while one of them is busy.
    pub(super) fn claim(&mut self, task: &Task) -> bool {
        if task.needs_any_of(&self.busy) {
            return false;
        }
        self.prepared.take_if(|prepared| prepared == task);
        self.busy.extend(task.nodes().into_iter().cloned());
        true
    }

    /// Records the end of a task, successful or not; a prepared one may end before it got its nodes.
    pub(super) fn ended(&mut self, task: &Task) {
        self.running_first -= usize::from(task.round == Round::First);
        if self.prepared.take_if(|prepared| prepared == task).is_none() {
            for node in task.nodes() {
                self.busy.remove(node);
            }
        }
    }

    /// Chooses the next task.
    ///
    /// Nodes without waiting pods are served only when nothing else can be done: they would take CPU and disk
    /// from those that pods wait for.
    pub(super) fn next(&mut self) -> Turn {
        if let Some(task) = self.take(|board, task| {
            let reserved = board
                .prepared
                .as_ref()
                .is_some_and(|prepared| prepared.nodes().into_iter().any(|node| task.nodes().contains(node)));
            !reserved && !task.needs_any_of(&board.busy)
        }) {
            self.claim(&task);
            return Turn::Start(task);
        }
        if self.prepared.is_none()
            && let Some(task) = self.take(|_, _| true)
        {
            self.prepared = Some(task.clone());
            return Turn::Prepare(task);
        }
        let is_over = self.to_come == 0 && self.first.is_empty() && self.then.is_empty();
        if is_over { Turn::Over } else { Turn::Wait }
    }

    /// Takes the first task that `suits` off the queues.
    fn take(&mut self, suits: impl Fn(&Self, &Task) -> bool) -> Option<Task> {
        if self.together {
            if self.to_come > 0 || self.first.is_empty() {
                return None;
            }
            let mut parts: Vec<LoadPart> = self.first.drain(..).collect();
            parts.sort_by_key(|part| part.image);
            self.running_first += 1;
            return Some(Task { round: Round::First, parts });
        }
        for (place, part) in self.first.iter().enumerate() {
            let task = Task { round: Round::First, parts: vec![part.clone()] };
            if suits(self, &task) {
                self.first.remove(place);
                self.running_first += 1;
                return Some(task);
            }
        }
        if !self.first.is_empty() || self.running_first > 0 || self.then.is_empty() {
            return None;
        }
        // Nobody waits for these, so send them together: shared layers are read from the engine once.
        let mut parts: Vec<LoadPart> = self.then.iter().take(BATCH).cloned().collect();
        parts.sort_by_key(|part| part.image);
        let task = Task { round: Round::Then, parts };
        if !suits(self, &task) {
            return None;
        }
        self.then.drain(..task.parts.len());
        Some(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    fn task(round: Round, parts: &[(usize, &str)]) -> Task {
        let part = |(image, names): &(usize, &str)| LoadPart { image: *image, nodes: nodes(names) };
        Task { round, parts: parts.iter().map(part).collect() }
    }

    fn first(image: usize, names: &str) -> Task {
        task(Round::First, &[(image, names)])
    }

    fn board(images: &[(&str, &str)]) -> Board {
        let mut board = Board::new(images.len());
        for (image, (first, then)) in images.iter().enumerate() {
            board.arrived(image, &nodes(first), &nodes(then));
        }
        board
    }

    #[test]
    fn the_images_of_a_file_are_sent_together() {
        let mut board = Board::together(2);
        board.arrived(1, &nodes("a"), &nodes("bc"));
        assert_eq!(board.next(), Turn::Wait);
        board.arrived(0, &nodes("ab"), &nodes(""));
        let all = task(Round::First, &[(0, "ab"), (1, "abc")]);
        assert_eq!(board.next(), Turn::Start(all.clone()));
        board.ended(&all);
        assert_eq!(board.next(), Turn::Over);
    }

    #[test]
    fn nodes_with_waiting_pods_are_served_first_and_in_parallel() {
        let mut board = board(&[("a", "bc"), ("b", "ac")]);
        assert_eq!(board.next(), Turn::Start(first(0, "a")));
        assert_eq!(board.next(), Turn::Start(first(1, "b")));
        assert_eq!(board.next(), Turn::Wait);
        board.ended(&first(0, "a"));
        assert_eq!(board.next(), Turn::Wait, "b is still being waited for");
        board.ended(&first(1, "b"));
        assert_eq!(board.next(), Turn::Start(task(Round::Then, &[(0, "bc"), (1, "ac")])));
    }

    #[test]
    fn the_next_image_for_a_busy_node_is_prepared_ahead() {
        let mut board = board(&[("a", ""), ("a", ""), ("a", ""), ("b", "")]);
        assert_eq!(board.next(), Turn::Start(first(0, "a")));
        assert_eq!(board.next(), Turn::Start(first(3, "b")));
        assert_eq!(board.next(), Turn::Prepare(first(1, "a")));
        assert_eq!(board.next(), Turn::Wait, "one is prepared at a time");
        assert!(!board.claim(&first(1, "a")));
        board.ended(&first(0, "a"));
        assert_eq!(board.next(), Turn::Wait, "a free node belongs to what was prepared for it");
        assert!(board.claim(&first(1, "a")));
        assert_eq!(board.next(), Turn::Prepare(first(2, "a")));
        board.ended(&first(1, "a"));
        assert!(board.claim(&first(2, "a")));
        assert_eq!(board.next(), Turn::Over);
    }

    #[test]
    fn an_image_for_a_busy_node_lets_the_next_one_pass() {
        let mut board = board(&[("ab", ""), ("bc", ""), ("c", "")]);
        assert_eq!(board.next(), Turn::Start(first(0, "ab")));
        assert_eq!(board.next(), Turn::Start(first(2, "c")));
        assert_eq!(board.next(), Turn::Prepare(first(1, "bc")));
    }

    #[test]
    fn other_nodes_are_served_during_pulls() {
        let mut board = Board::new(2);
        board.arrived(0, &nodes("a"), &nodes("b"));
        assert_eq!(board.next(), Turn::Start(first(0, "a")));
        board.ended(&first(0, "a"));
        assert_eq!(board.next(), Turn::Start(task(Round::Then, &[(0, "b")])));
        board.arrived(1, &nodes("a"), &[]);
        assert_eq!(board.next(), Turn::Start(first(1, "a")));
    }

    #[test]
    fn a_prepared_task_that_ends_early_does_not_free_a_busy_node() {
        let mut board = board(&[("a", ""), ("a", ""), ("a", "")]);
        assert_eq!(board.next(), Turn::Start(first(0, "a")));
        assert_eq!(board.next(), Turn::Prepare(first(1, "a")));
        board.ended(&first(1, "a"));
        assert_eq!(board.next(), Turn::Prepare(first(2, "a")));
        assert!(!board.claim(&first(2, "a")));
    }

    #[test]
    fn images_nobody_waits_for_are_batched_up_to_a_limit() {
        let images: Vec<(&str, &str)> = vec![("", "ab"); BATCH + 1];
        let mut board = board(&images);
        let together: Vec<(usize, &str)> = (0..BATCH).map(|image| (image, "ab")).collect();
        assert_eq!(board.next(), Turn::Start(task(Round::Then, &together)));
        let last = task(Round::Then, &[(BATCH, "ab")]);
        assert_eq!(board.next(), Turn::Prepare(last.clone()));
        board.ended(&task(Round::Then, &together));
        assert!(board.claim(&last));
        board.ended(&last);
        assert_eq!(board.next(), Turn::Over);
    }

    #[test]
    fn the_board_is_not_over_while_images_are_outstanding() {
        let mut board = Board::new(2);
        assert_eq!(board.next(), Turn::Wait);
        board.arrived(1, &nodes("a"), &[]);
        assert_eq!(board.next(), Turn::Start(first(1, "a")));
        board.ended(&first(1, "a"));
        assert_eq!(board.next(), Turn::Wait);
        board.will_not_come();
        assert_eq!(board.next(), Turn::Over);
    }
}
