//! The ways in which the server misbehaves.

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Demands a login and accepts none.
    RefusesLogin,
    /// Accepts the login but refuses everything else.
    RefusesRequests,
    /// Reports fewer inserted rows.
    InsertsFewer,
    /// Reports that the index could not be built.
    IndexFails,
    LoadFails,
    /// Never finishes loading.
    LoadHangs,
    /// Creates a collection but never answers the request.
    CreateHangs,
    /// Leaves out the best hit.
    MissesBest,
    /// Puts the last hit first.
    MixesRanks,
    /// Finds rows that do not exist.
    InventsRows,
    /// Gives rows the scores of others.
    MixesScores,
    /// Only finds rows of the second half of the IDs, except for exact matches.
    PoorRecall,
    /// Returns a different color than was written.
    PaintsRows,
    /// Returns a different vector than was written.
    BendsVectors,
    /// Returns a row that does not match a filter.
    FiltersTooMuch,
    /// Leaves out a row that matches a filter.
    FiltersTooLittle,
    ListsNothing,
    /// Describes a vector of another dimension.
    DescribesOtherDim,
    /// Describes an index with another metric.
    DescribesOtherMetric,
    /// Acknowledges deletes and does nothing.
    DeletesNothing,
    CountsOneMore,
    /// Acknowledges drops and does nothing.
    DropsNothing,
    /// Only shows writes to the fourth reader after them, unless asked for consistency.
    IsLate,
    /// Only shows writes to the fourth reader after them, even if asked for consistency.
    IsLateAlways,
    /// Repeats the login in its errors.
    EchoesLogin,
}
