//! Templates: which stats a group of one sort has.
//!
//! A template is a static table of names and kinds, made by
//! [`stat_template!`](crate::stat_template). A [`Group`](crate::Group) is one
//! instance of it under one [`ScopeName`](crate::ScopeName). The table owns the
//! relative names only; what comes before them belongs to the scope, and the
//! values belong to the group.
//!
//! Constants such as `cluster_stats::UPSTREAM_RQ_TOTAL` are indices into their
//! own template. Used on a group of another template they hit another stat or
//! nothing at all, never memory that is not theirs.

/// Index of a counter within its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counter(pub u16);

/// Index of a gauge within its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gauge(pub u16);

/// Index of a histogram within its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Histogram(pub u16);

/// Index of a text readout within its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Text(pub u16);

/// Index of a family of response-code counters within its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dynamic(pub u16);

/// What the values of a histogram measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A bare number.
    Unspecified,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
    /// A share of a whole. Recorded in millionths: 500,000 is one half, and is
    /// shown as 0.5. (Envoy's timeout budgets are plain numbers of percents.)
    Percent,
}

impl Unit {
    /// The power of ten by which a recorded value is divided before it is shown.
    #[must_use]
    pub const fn scale_exponent(self) -> u32 {
        match self {
            Self::Percent => 6,
            Self::Unspecified | Self::Milliseconds | Self::Microseconds | Self::Bytes => 0,
        }
    }
}

/// The kind of one stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram(Unit),
    /// A string.
    TextReadout,
}

/// One stat of a template.
#[derive(Clone, Copy, Debug)]
pub struct StatDef {
    /// Name within the scope; may contain dots.
    pub name: &'static str,
    /// Kind, and unit of a histogram.
    pub kind: Kind,
    /// Listed from the start (`true`) or only from the first value on.
    pub listed_unused: bool,
}

/// A family of counters by response code: `<name>_<code>`, `<name>_<n>xx` and
/// `<name>_completed`.
#[derive(Clone, Copy, Debug)]
pub struct CodeFamily {
    /// Name of the family, for example `external.upstream_rq`.
    pub name: &'static str,
    /// Whether `<name>_completed` is listed before the first response.
    pub completed_listed_unused: bool,
}

/// All stats that a group of one sort has.
#[derive(Debug)]
pub struct Template {
    /// Name of the template, for diagnostics only.
    pub name: &'static str,
    /// Counters in index order.
    pub counters: &'static [StatDef],
    /// Gauges in index order.
    pub gauges: &'static [StatDef],
    /// Histograms in index order.
    pub histograms: &'static [StatDef],
    /// Text readouts in index order.
    pub texts: &'static [StatDef],
    /// Families of response-code counters in index order.
    pub codes: &'static [CodeFamily],
    /// Listed behind all other numbers, unsorted, as Envoy does with the stats
    /// of endpoints.
    pub listed_last: bool,
}

impl Template {
    /// How many stats a group of this template lists at most, response codes
    /// not counted.
    #[must_use]
    pub const fn stat_count(&self) -> usize {
        self.counters.len() + self.gauges.len() + self.histograms.len() + self.texts.len()
    }
}
