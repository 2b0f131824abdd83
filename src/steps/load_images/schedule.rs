//! Which image goes to which nodes next: first where pods wait, one image at a time into a node, and into
//! several nodes side by side.
//!
//! One at a time, because the next archive leaves out the layers that the one before brought. Decides only;
//! starts no thread and asks nobody.

use std::collections::{BTreeSet, VecDeque};

/// Who an image is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// The nodes on which pods wait for it.
    First,
    /// The other nodes that could run them.
    Then,
}

/// One image for some nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// The image's place in the list of loads.
    pub(super) image: usize,
    pub(super) round: Round,
    pub(super) nodes: Vec<String>,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Carry this out, and say when it has ended.
    Start(Task),
    /// Ask again when something has changed.
    Wait,
    /// All is done.
    Over,
}

/// The images that are in the engine, those that are still to come, and the nodes that are busy.
#[derive(Debug)]
pub(super) struct Board {
    to_come: usize,
    first: VecDeque<Task>,
    then: VecDeque<Task>,
    busy: BTreeSet<String>,
    running_first: usize,
}

impl Board {
    /// A board for `images` images, of which none is in the engine yet.
    pub(super) fn new(images: usize) -> Self {
        Self {
            to_come: images,
            first: VecDeque::new(),
            then: VecDeque::new(),
            busy: BTreeSet::new(),
            running_first: 0,
        }
    }

    /// Notes that an image is in the engine and where it goes.
    pub(super) fn arrived(&mut self, image: usize, first: &[String], then: &[String]) {
        self.to_come -= 1;
        for (round, nodes) in [(Round::First, first), (Round::Then, then)] {
            let queue = if round == Round::First { &mut self.first } else { &mut self.then };
            if !nodes.is_empty() {
                queue.push_back(Task { image, round, nodes: nodes.to_vec() });
            }
        }
    }

    /// Notes that an image is not going to come.
    pub(super) fn will_not_come(&mut self) {
        self.to_come -= 1;
    }

    /// Notes that a task has ended, well or badly.
    pub(super) fn ended(&mut self, task: &Task) {
        self.running_first -= usize::from(task.round == Round::First);
        for node in &task.nodes {
            self.busy.remove(node);
        }
    }

    /// Chooses what comes next.
    ///
    /// The nodes on which nobody waits get theirs only while nothing else could be done: they would take
    /// processor and disk from those that are waited for.
    pub(super) fn next(&mut self) -> Turn {
        let busy = &self.busy;
        let is_free = |task: &Task| task.nodes.iter().all(|node| !busy.contains(node));
        let queue = if let Some(place) = self.first.iter().position(is_free) {
            Some((&mut self.first, place))
        } else if self.first.is_empty() && self.running_first == 0 {
            self.then.iter().position(is_free).map(|place| (&mut self.then, place))
        } else {
            None
        };
        if let Some(task) = queue.and_then(|(queue, place)| queue.remove(place)) {
            self.busy.extend(task.nodes.iter().cloned());
            self.running_first += usize::from(task.round == Round::First);
            return Turn::Start(task);
        }
        let is_over = self.to_come == 0 && self.first.is_empty() && self.then.is_empty();
        if is_over { Turn::Over } else { Turn::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &str) -> Vec<String> {
        names.chars().map(String::from).collect()
    }

    fn task(image: usize, round: Round, names: &str) -> Task {
        Task { image, round, nodes: nodes(names) }
    }

    fn board(images: &[(&str, &str)]) -> Board {
        let mut board = Board::new(images.len());
        for (image, (first, then)) in images.iter().enumerate() {
            board.arrived(image, &nodes(first), &nodes(then));
        }
        board
    }

    #[test]
    fn nodes_on_which_pods_wait_are_served_side_by_side_and_before_the_others() {
        let mut board = board(&[("a", "bc"), ("b", "ac")]);
        let (one, two) = (task(0, Round::First, "a"), task(1, Round::First, "b"));
        assert_eq!(board.next(), Turn::Start(one.clone()));
        assert_eq!(board.next(), Turn::Start(two.clone()));
        assert_eq!(board.next(), Turn::Wait);
        board.ended(&one);
        assert_eq!(board.next(), Turn::Wait, "b is still being waited for");
        board.ended(&two);
        assert_eq!(board.next(), Turn::Start(task(0, Round::Then, "bc")));
    }

    #[test]
    fn a_node_takes_one_image_at_a_time() {
        let mut board = board(&[("a", ""), ("a", "")]);
        let one = task(0, Round::First, "a");
        assert_eq!(board.next(), Turn::Start(one.clone()));
        assert_eq!(board.next(), Turn::Wait);
        board.ended(&one);
        assert_eq!(board.next(), Turn::Start(task(1, Round::First, "a")));
        assert_eq!(board.next(), Turn::Over);
    }

    #[test]
    fn an_image_whose_node_is_busy_lets_the_next_pass() {
        let mut board = board(&[("a", ""), ("ab", ""), ("c", "")]);
        assert_eq!(board.next(), Turn::Start(task(0, Round::First, "a")));
        assert_eq!(board.next(), Turn::Start(task(2, Round::First, "c")));
        assert_eq!(board.next(), Turn::Wait);
    }

    #[test]
    fn the_other_nodes_are_served_while_images_are_still_being_pulled() {
        let mut board = Board::new(2);
        assert_eq!(board.next(), Turn::Wait);
        board.arrived(1, &[], &nodes("b"));
        let task = task(1, Round::Then, "b");
        assert_eq!(board.next(), Turn::Start(task.clone()));
        board.ended(&task);
        assert_eq!(board.next(), Turn::Wait);
        board.will_not_come();
        assert_eq!(board.next(), Turn::Over);
    }
}
