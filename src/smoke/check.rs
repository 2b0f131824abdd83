//! Decides whether an answer is right. Pure: takes the written data and an answer, and returns a verdict.
//!
//! One long file, since all checks share the tolerances for scores and ranks, and each is best read against
//! its tests.

use std::collections::BTreeSet;

use super::data::Dataset;
use super::{Index, Metric, Options};

/// The tolerated difference from a score computed here: servers sum in single precision.
const SCORE_TOLERANCE: f64 = 1e-3;

/// The tolerated change of a vector element between write and read: some servers normalise vectors again,
/// which can change the last bits.
const NUMBER_TOLERANCE: f32 = 1e-5;

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The answer was right before a recent write; a weak consistency level allows it for a while.
    #[error("{0}")]
    Stale(String),
    /// The answer was never right.
    #[error("{0}")]
    False(String),
}

/// A row that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The primary key.
    pub id: i64,
    /// The score according to the server.
    pub score: f64,
}

/// A row returned by a read. Fields not requested are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRow {
    /// The primary key.
    pub id: i64,
    pub color: Option<String>,
    pub vector: Option<Vec<f32>>,
}

/// The minimum share of true neighbours that a search with this index must find, from 0 to 1.
///
/// `FLAT` compares every vector, so anything missing is an error. The others may miss neighbours by design;
/// with the parameters and data of the smoke test they miss almost none. Nine in ten leaves room for an
/// unlucky graph and still tells a broken index from a working one.
pub const fn least_recall(index: Index) -> f64 {
    match index {
        Index::Flat => 1.0,
        Index::AutoIndex | Index::Hnsw | Index::IvfFlat => 0.9,
    }
}

/// Whether scores must match ours: the index behind `AUTOINDEX` may quantise vectors.
const fn scores_are_exact(index: Index) -> bool {
    !matches!(index, Index::AutoIndex)
}

/// Checks the hits of one query on their own: their number, that each is a known row without duplicates, and
/// that scores are right and sorted.
///
/// # Errors
/// [`Wrong::Stale`] when there are fewer hits than `limit`, [`Wrong::False`] otherwise.
pub fn hits(
    data: &Dataset,
    options: &Options,
    query: &[f32],
    limit: usize,
    hits: &[Hit],
) -> Result<(), Wrong> {
    let (metric, index) = (options.metric, options.index);
    let mut seen = BTreeSet::new();
    let mut last: Option<f64> = None;
    for hit in hits {
        let Some(ours) = data.score(metric, query, hit.id) else {
            return Err(Wrong::False(format!("the search found row {}, which was never inserted", hit.id)));
        };
        if !seen.insert(hit.id) {
            return Err(Wrong::False(format!("the search found row {} twice", hit.id)));
        }
        // Written to reject NaN scores too.
        let agrees = (hit.score - ours).abs() <= SCORE_TOLERANCE;
        if !agrees && scores_are_exact(index) {
            return Err(Wrong::False(format!(
                "the search gave row {} the score {}, but its {metric:?} score is {ours:.6}",
                hit.id, hit.score
            )));
        }
        if let Some(last) = last
            && metric.is_nearer(hit.score, last)
            && (hit.score - last).abs() > SCORE_TOLERANCE
        {
            return Err(Wrong::False(format!(
                "the search ranked row {} after one that is farther away",
                hit.id
            )));
        }
        last = Some(hit.score);
    }
    match hits.len() {
        found if found < limit => {
            Err(Wrong::Stale(format!("the search found {found} rows, {limit} were asked for and are there")))
        }
        found if found > limit => {
            Err(Wrong::False(format!("the search found {found} rows, only {limit} were asked for")))
        }
        _ => Ok(()),
    }
}

/// Checks that a search for the vector of row `id` found that row first.
///
/// Another row may only come first if it is equally near, to the precision of scores.
///
/// # Errors
/// [`Wrong::Stale`] when the row is not among the hits at all, [`Wrong::False`] when it is but not first.
pub fn finds_itself(data: &Dataset, metric: Metric, id: i64, hits: &[Hit]) -> Result<(), Wrong> {
    let unknown = || Wrong::False(format!("row {id} was never inserted"));
    let vector = data.row(id).ok_or_else(unknown)?.vector;
    let own = data.score(metric, vector, id).ok_or_else(unknown)?;
    let first = hits.first().map(|hit| hit.id);
    let as_near = first.and_then(|first| data.score(metric, vector, first)).is_some_and(|score| {
        first == Some(id) || (score - own).abs() <= f64::from(NUMBER_TOLERANCE) * f64::from(NUMBER_TOLERANCE)
    });
    if as_near {
        return Ok(());
    }
    let nearest = first.map_or("none".to_owned(), |first| format!("row {first}"));
    let message =
        format!("the nearest neighbour of row {id} is itself, but the search found {nearest} first");
    if hits.iter().any(|hit| hit.id == id) { Err(Wrong::False(message)) } else { Err(Wrong::Stale(message)) }
}

/// The share of the true `limit` nearest rows of `query` that are among `hits`, from 0 to 1.
///
/// A hit counts if it is as near as the last true neighbour, so that ties do not matter.
pub fn recall(data: &Dataset, metric: Metric, query: &[f32], limit: usize, hits: &[Hit]) -> f64 {
    let truth = data.nearest_scores(metric, query, limit);
    let Some(&worst) = truth.last() else { return 1.0 };
    let near_enough = hits
        .iter()
        .map(|hit| hit.id)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|id| data.score(metric, query, id))
        .filter(|&score| !metric.is_nearer(worst, score) || (score - worst).abs() <= 1e-6)
        .count()
        .min(truth.len());
    #[expect(clippy::cast_precision_loss, reason = "both are at most the limit of a search")]
    let share = near_enough as f64 / truth.len() as f64;
    share
}

/// Checks the mean recall of several queries.
///
/// # Errors
/// [`Wrong::Stale`] when it is below [`least_recall`]: missing rows are one reason for that.
pub fn mean_recall(index: Index, recalls: &[f64]) -> Result<(), Wrong> {
    #[expect(clippy::cast_precision_loss, reason = "a handful of queries")]
    let mean = recalls.iter().sum::<f64>() / recalls.len().max(1) as f64;
    let least = least_recall(index);
    if mean + 1e-9 >= least {
        return Ok(());
    }
    Err(Wrong::Stale(format!(
        "the search found {:.1}% of the true nearest neighbours, at least {:.0}% are expected of {index:?}",
        mean * 100.0,
        least * 100.0
    )))
}

/// Checks that reading `ids` returned exactly these rows, with the color and vector as written.
///
/// # Errors
/// [`Wrong::Stale`] when a row is missing, [`Wrong::False`] when one is wrong or was not asked for.
pub fn rows(data: &Dataset, ids: &[i64], found: &[ReadRow]) -> Result<(), Wrong> {
    let wanted: BTreeSet<i64> = ids.iter().copied().collect();
    let seen = each_once(found)?;
    for row in found {
        let Some(ours) = data.row(row.id).filter(|_| wanted.contains(&row.id)) else {
            return Err(Wrong::False(format!(
                "reading by id returned row {}, which was not asked for",
                row.id
            )));
        };
        if row.color.as_deref() != Some(ours.color) {
            let color = row.color.as_deref().unwrap_or("none");
            return Err(Wrong::False(format!(
                "row {} was written with color `{}` and read with `{color}`",
                row.id, ours.color
            )));
        }
        let same = row.vector.as_ref().is_some_and(|vector| {
            vector.len() == ours.vector.len()
                && vector.iter().zip(ours.vector).all(|(a, b)| (a - b).abs() <= NUMBER_TOLERANCE)
        });
        if !same {
            return Err(Wrong::False(format!(
                "row {} was read with another vector than was written",
                row.id
            )));
        }
    }
    match wanted.difference(&seen).next() {
        Some(id) => Err(Wrong::Stale(format!("reading by id did not return row {id}"))),
        None => Ok(()),
    }
}

/// Checks that a filter on `color` among the ids from `low` up to, not including, `high` returned exactly
/// the rows that match.
///
/// # Errors
/// [`Wrong::Stale`] when a row is missing, [`Wrong::False`] when one does not match.
pub fn filtered(data: &Dataset, color: &str, low: i64, high: i64, found: &[ReadRow]) -> Result<(), Wrong> {
    let wanted: BTreeSet<i64> = data
        .ids()
        .filter(|id| (low..high).contains(id) && data.row(*id).is_some_and(|row| row.color == color))
        .collect();
    let seen = each_once(found)?;
    for row in found {
        if !wanted.contains(&row.id) || row.color.as_deref() != Some(color) {
            let shown = row.color.as_deref().unwrap_or("none");
            return Err(Wrong::False(format!(
                "the filter for color `{color}` returned row {} with color `{shown}`, which does not match",
                row.id
            )));
        }
    }
    match wanted.difference(&seen).count() {
        0 => Ok(()),
        missing => Err(Wrong::Stale(format!(
            "the filter for color `{color}` returned {} rows, {missing} that match are missing",
            seen.len()
        ))),
    }
}

/// Checks that none of `deleted` came back.
///
/// # Errors
/// [`Wrong::Stale`] when one did.
pub fn gone(deleted: &[i64], found: &[ReadRow]) -> Result<(), Wrong> {
    match found.iter().find(|row| deleted.contains(&row.id)) {
        Some(row) => Err(Wrong::Stale(format!("row {} was deleted and can still be read", row.id))),
        None if found.is_empty() => Ok(()),
        None => Err(Wrong::False("reading deleted rows returned others".into())),
    }
}

/// Checks a count after `deleted` of `inserted` rows were deleted.
///
/// # Errors
/// [`Wrong::Stale`] when the count lies between the true one and the one before, [`Wrong::False`] otherwise.
pub fn count(inserted: usize, deleted: usize, counted: i64) -> Result<(), Wrong> {
    let left = inserted - deleted;
    let message =
        format!("{inserted} rows were inserted and {deleted} deleted, but {counted} are counted, not {left}");
    match usize::try_from(counted) {
        Ok(counted) if counted == left => Ok(()),
        Ok(counted) if counted <= inserted => Err(Wrong::Stale(message)),
        _ => Err(Wrong::False(message)),
    }
}

/// Checks that the server says it took `sent` rows.
///
/// # Errors
/// [`Wrong::False`] when it says another number.
pub fn taken(what: &str, sent: usize, acknowledged: i64) -> Result<(), Wrong> {
    if usize::try_from(acknowledged) == Ok(sent) {
        return Ok(());
    }
    Err(Wrong::False(format!("{sent} rows were sent to be {what}, the server says it {what} {acknowledged}")))
}

/// Checks that the list of collections contains `name`.
///
/// # Errors
/// [`Wrong::False`] when it does not.
pub fn listed(name: &str, names: &[String]) -> Result<(), Wrong> {
    if names.iter().any(|listed| listed == name) {
        return Ok(());
    }
    Err(Wrong::False(format!("the list of collections does not contain `{name}`, which was created")))
}

/// The properties of a collection field that the smoke test checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// The type, in the client's spelling.
    pub kind: String,
    /// Whether it is the primary key.
    pub primary: bool,
    /// The number of dimensions; 0 for a scalar.
    pub dim: u32,
}

/// Checks a described schema against the created one; the order of the fields does not matter.
///
/// # Errors
/// [`Wrong::False`] naming the field that differs.
pub fn described(created: &[Field], described: &[Field]) -> Result<(), Wrong> {
    for ours in created {
        match described.iter().find(|theirs| theirs.name == ours.name) {
            Some(theirs) if theirs == ours => {}
            Some(theirs) => {
                return Err(Wrong::False(format!(
                    "the field `{}` was created as {} and is described as {}",
                    ours.name,
                    ours.describe(),
                    theirs.describe()
                )));
            }
            None => {
                return Err(Wrong::False(format!("the described collection has no field `{}`", ours.name)));
            }
        }
    }
    match described.iter().find(|theirs| created.iter().all(|ours| ours.name != theirs.name)) {
        Some(extra) => {
            Err(Wrong::False(format!("the described collection has a field `{}` of its own", extra.name)))
        }
        None => Ok(()),
    }
}

impl Field {
    fn describe(&self) -> String {
        let primary = if self.primary { ", primary key" } else { "" };
        let dim = if self.dim > 0 { format!(" of {} dimensions", self.dim) } else { String::new() };
        format!("{}{dim}{primary}", self.kind)
    }
}

fn each_once(found: &[ReadRow]) -> Result<BTreeSet<i64>, Wrong> {
    let mut seen = BTreeSet::new();
    for row in found {
        if !seen.insert(row.id) {
            return Err(Wrong::False(format!("row {} was returned twice", row.id)));
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(index: Index) -> Options {
        Options { rows: 50, dim: 8, index, ..Options::new("http://localhost:19530") }
    }

    /// The true ten nearest rows of row `id`.
    fn truth(data: &Dataset, metric: Metric, id: i64) -> Vec<Hit> {
        let query = data.row(id).unwrap().vector;
        let mut all: Vec<Hit> =
            data.ids().map(|id| Hit { id, score: data.score(metric, query, id).unwrap() }).collect();
        all.sort_by(|a, b| {
            if metric.is_nearer(a.score, b.score) {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Greater
            }
        });
        all.truncate(10);
        all
    }

    fn found(data: &Dataset, ids: &[i64]) -> Vec<ReadRow> {
        ids.iter()
            .map(|&id| {
                let row = data.row(id).unwrap();
                ReadRow { id, color: Some(row.color.into()), vector: Some(row.vector.into()) }
            })
            .collect()
    }

    fn of_color(data: &Dataset, color: &str) -> Vec<i64> {
        data.ids().filter(|id| data.row(*id).unwrap().color == color).collect()
    }

    fn stale(result: Result<(), Wrong>) -> String {
        match result {
            Err(Wrong::Stale(message)) => message,
            other => panic!("expected a stale answer, found {other:?}"),
        }
    }

    fn false_(result: Result<(), Wrong>) -> String {
        match result {
            Err(Wrong::False(message)) => message,
            other => panic!("expected a false answer, found {other:?}"),
        }
    }

    #[test]
    fn true_hits_pass_for_every_metric() {
        for metric in [Metric::Cosine, Metric::L2, Metric::Ip] {
            let options = Options { metric, ..options(Index::Flat) };
            let data = Dataset::generate(&options);
            let answer = truth(&data, metric, 7);
            let query = data.row(7).unwrap().vector;
            assert_eq!(hits(&data, &options, query, 10, &answer), Ok(()));
            assert_eq!(finds_itself(&data, metric, 7, &answer), Ok(()));
            assert!((recall(&data, metric, query, 10, &answer) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_hit_that_was_never_inserted_is_false() {
        let options = options(Index::AutoIndex);
        let data = Dataset::generate(&options);
        let mut answer = truth(&data, Metric::Cosine, 7);
        answer[3].id = 4711;
        assert_eq!(
            false_(hits(&data, &options, data.row(7).unwrap().vector, 10, &answer)),
            "the search found row 4711, which was never inserted"
        );
    }

    #[test]
    fn a_hit_that_comes_twice_is_false() {
        let options = options(Index::AutoIndex);
        let data = Dataset::generate(&options);
        let mut answer = truth(&data, Metric::Cosine, 7);
        answer[1] = answer[0];
        assert_eq!(
            false_(hits(&data, &options, data.row(7).unwrap().vector, 10, &answer)),
            "the search found row 7 twice"
        );
    }

    #[test]
    fn a_wrong_score_is_false_unless_the_index_may_round() {
        let data = Dataset::generate(&options(Index::Flat));
        let mut answer = truth(&data, Metric::Cosine, 7);
        answer[0].score += 0.01;
        let query = data.row(7).unwrap().vector;
        assert!(false_(hits(&data, &options(Index::Flat), query, 10, &answer)).contains("the score"));
        assert_eq!(hits(&data, &options(Index::AutoIndex), query, 10, &answer), Ok(()));
    }

    #[test]
    fn a_score_that_is_not_a_number_is_false() {
        let data = Dataset::generate(&options(Index::Flat));
        let mut answer = truth(&data, Metric::Cosine, 7);
        answer[0].score = f64::NAN;
        false_(hits(&data, &options(Index::Flat), data.row(7).unwrap().vector, 10, &answer));
    }

    #[test]
    fn hits_in_the_wrong_order_are_false() {
        let options = options(Index::Flat);
        let data = Dataset::generate(&options);
        let mut answer = truth(&data, Metric::Cosine, 7);
        answer.swap(0, 9);
        assert!(false_(hits(&data, &options, data.row(7).unwrap().vector, 10, &answer)).contains("ranked"));
    }

    #[test]
    fn too_few_hits_are_stale_and_too_many_false() {
        let options = options(Index::Flat);
        let data = Dataset::generate(&options);
        let answer = truth(&data, Metric::Cosine, 7);
        let query = data.row(7).unwrap().vector;
        assert_eq!(
            stale(hits(&data, &options, query, 10, &answer[..4])),
            "the search found 4 rows, 10 were asked for and are there"
        );
        false_(hits(&data, &options, query, 5, &answer));
    }

    #[test]
    fn a_row_that_is_not_its_own_nearest_neighbour_is_wrong() {
        let data = Dataset::generate(&options(Index::Flat));
        let mut answer = truth(&data, Metric::L2, 7);
        let own = answer.remove(0);
        stale(finds_itself(&data, Metric::L2, 7, &answer));
        stale(finds_itself(&data, Metric::L2, 7, &[]));
        answer.push(own);
        false_(finds_itself(&data, Metric::L2, 7, &answer));
    }

    #[test]
    fn recall_is_the_share_of_true_neighbours() {
        let data = Dataset::generate(&options(Index::Flat));
        let query = data.row(7).unwrap().vector;
        let mut answer = truth(&data, Metric::L2, 7);
        let far = data.ids().find(|id| answer.iter().all(|hit| hit.id != *id)).unwrap();
        answer[9].id = far;
        answer[8].id = 0;
        answer.truncate(8);
        assert!((recall(&data, Metric::L2, query, 10, &answer) - 0.8).abs() < 1e-12);
        answer.push(Hit { id: far, score: 0.0 });
        assert!((recall(&data, Metric::L2, query, 10, &answer) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn an_exact_index_may_miss_nothing_and_an_approximate_one_a_tenth() {
        assert_eq!(mean_recall(Index::Hnsw, &[0.9, 0.9, 0.9]), Ok(()));
        assert_eq!(
            stale(mean_recall(Index::Hnsw, &[1.0, 0.7])),
            "the search found 85.0% of the true nearest neighbours, at least 90% are expected of Hnsw"
        );
        assert_eq!(mean_recall(Index::Flat, &[1.0, 1.0]), Ok(()));
        stale(mean_recall(Index::Flat, &[1.0, 0.9]));
    }

    #[test]
    fn rows_as_written_pass_in_any_order() {
        let data = Dataset::generate(&options(Index::Flat));
        assert_eq!(rows(&data, &[1, 2, 3], &found(&data, &[3, 1, 2])), Ok(()));
    }

    #[test]
    fn rows_that_differ_from_what_was_written_are_refused() {
        let data = Dataset::generate(&options(Index::Flat));
        let mut other_color = found(&data, &[1, 2]);
        other_color[1].color = Some("mauve".into());
        let mut other_vector = found(&data, &[1, 2]);
        other_vector[0].vector.as_mut().unwrap()[0] += 0.5;
        let mut no_vector = found(&data, &[1, 2]);
        no_vector[0].vector = None;
        assert!(false_(rows(&data, &[1, 2], &other_color)).contains("read with `mauve`"));
        assert!(false_(rows(&data, &[1, 2], &other_vector)).contains("another vector"));
        assert!(false_(rows(&data, &[1, 2], &no_vector)).contains("another vector"));
        assert!(false_(rows(&data, &[1, 2], &found(&data, &[1, 2, 3]))).contains("not asked for"));
        assert!(false_(rows(&data, &[1, 2], &found(&data, &[1, 1]))).contains("twice"));
        assert_eq!(stale(rows(&data, &[1, 2], &found(&data, &[1]))), "reading by id did not return row 2");
    }

    #[test]
    fn a_filter_must_return_all_that_match_and_nothing_else() {
        let data = Dataset::generate(&options(Index::Flat));
        let (pink, red) = (of_color(&data, "pink"), of_color(&data, "red"));
        assert_eq!(filtered(&data, "pink", 0, 50, &found(&data, &pink)), Ok(()));
        assert_eq!(filtered(&data, "mauve", 0, 50, &[]), Ok(()));
        let mut more = pink.clone();
        more.push(red[0]);
        assert!(false_(filtered(&data, "pink", 0, 50, &found(&data, &more))).contains("does not match"));
        let mut painted = found(&data, &more);
        painted.last_mut().unwrap().color = Some("pink".into());
        false_(filtered(&data, "pink", 0, 50, &painted));
        assert!(stale(filtered(&data, "pink", 0, 50, &found(&data, &pink[1..]))).contains("1 that match"));
    }

    #[test]
    fn a_filter_on_a_range_leaves_out_the_rest() {
        let data = Dataset::generate(&options(Index::Flat));
        let pink = of_color(&data, "pink");
        let below: Vec<i64> = pink.iter().copied().filter(|id| *id < 25).collect();
        assert_eq!(filtered(&data, "pink", 0, 25, &found(&data, &below)), Ok(()));
        false_(filtered(&data, "pink", 0, 25, &found(&data, &pink)));
    }

    #[test]
    fn counts_are_exact_and_only_late_ones_are_stale() {
        assert_eq!(count(100, 10, 90), Ok(()));
        stale(count(100, 10, 100));
        stale(count(100, 10, 89));
        false_(count(100, 10, 101));
        false_(count(100, 10, -1));
    }

    #[test]
    fn deleted_rows_must_not_come_back() {
        let data = Dataset::generate(&options(Index::Flat));
        assert_eq!(gone(&[1, 2], &[]), Ok(()));
        assert_eq!(stale(gone(&[1, 2], &found(&data, &[2]))), "row 2 was deleted and can still be read");
        false_(gone(&[1, 2], &found(&data, &[3])));
    }

    #[test]
    fn an_acknowledgement_of_another_number_is_false() {
        assert_eq!(taken("inserted", 5, 5), Ok(()));
        assert_eq!(
            false_(taken("inserted", 5, 4)),
            "5 rows were sent to be inserted, the server says it inserted 4"
        );
    }

    #[test]
    fn a_collection_must_be_listed() {
        assert_eq!(listed("a", &["b".into(), "a".into()]), Ok(()));
        false_(listed("a", &["b".into()]));
    }

    #[test]
    fn a_schema_must_be_described_as_created() {
        let field =
            |name: &str, dim| Field { name: name.into(), kind: "FloatVector".into(), primary: false, dim };
        let created = [field("a", 8), field("b", 4)];
        assert_eq!(described(&created, &[field("b", 4), field("a", 8)]), Ok(()));
        assert_eq!(
            false_(described(&created, &[field("a", 8), field("b", 5)])),
            "the field `b` was created as FloatVector of 4 dimensions and is described as FloatVector of 5 dimensions"
        );
        assert!(false_(described(&created, &[field("a", 8)])).contains("no field `b`"));
        assert!(false_(described(&created, &[field("a", 8), field("b", 4), field("c", 1)])).contains("`c`"));
    }
}
