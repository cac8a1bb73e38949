//! What the levels of a route say about one HTTP filter, most specific first.

use nuncio_config::model::route::{FilterOverride, PerFilter};

/// The `typed_per_filter_config`s that hold for a request.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a> {
    /// Of the weighted cluster that was drawn, if one was.
    pub weighted: Option<&'a PerFilter>,
    /// Of the route.
    pub route: &'a PerFilter,
    /// Of its virtual host.
    pub virtual_host: &'a PerFilter,
    /// Of the table.
    pub table: &'a PerFilter,
}

/// What they say about one filter.
pub type FilterLevels<'a> = smallvec::SmallVec<[&'a FilterOverride; 4]>;

impl<'a> Levels<'a> {
    /// Everything said about the filter of this name, most specific first.
    pub fn of(&self, filter: &str) -> FilterLevels<'a> {
        let levels = [self.weighted, Some(self.route), Some(self.virtual_host), Some(self.table)];
        levels.into_iter().flatten().filter_map(|level| level.get(filter)).collect()
    }

    /// The config that the filter works with, when a level has one.
    pub fn config(&self, filter: &str) -> Option<&'a FilterOverride> {
        self.of(filter).into_iter().find(|said| !said.type_url.is_empty())
    }

    /// Whether the filter is turned off (true) or on (false) for this request; `None` leaves that
    /// to the chain. The most specific level decides. A weighted cluster has no say: it is drawn
    /// when the chain is already made, as in Envoy.
    pub fn disabled(&self, filter: &str) -> Option<bool> {
        let levels = Self { weighted: None, ..*self };
        levels.of(filter).first().map(|said| said.disabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(disabled: bool, config: &str) -> PerFilter {
        let said =
            FilterOverride { disabled, is_optional: false, type_url: config.into(), config: bytes::Bytes::new() };
        PerFilter::from([("f".to_owned(), said)])
    }

    #[test]
    fn the_most_specific_level_has_its_way() {
        let none = PerFilter::new();
        let (table, host, route) = (level(false, "t"), level(true, ""), level(false, "r"));
        let levels = Levels { weighted: None, route: &none, virtual_host: &host, table: &table };
        assert_eq!(levels.disabled("f"), Some(true));
        assert_eq!(levels.config("f").map(|said| said.type_url.as_str()), Some("t"));
        let levels = Levels { route: &route, weighted: Some(&host), ..levels };
        assert_eq!(levels.disabled("f"), Some(false));
        assert_eq!(levels.config("f").map(|said| said.type_url.as_str()), Some("r"));
        assert_eq!(levels.of("f").len(), 4);
        assert_eq!(levels.disabled("g"), None);
    }
}
