//! `VirtualHost.matcher`: a tree of questions about the request that leads to routes.
//!
//! Envoy lets such a tree ask for request headers, filter state and the environment only, and
//! knows no `keep_matching` here.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::Route;
use crate::model::{StringMatcher, matcher::MatchedHeader};

/// `xds.type.matcher.v3.Matcher`.
#[derive(Clone, Debug, Default)]
pub struct MatchTree {
    /// The question.
    pub kind: TreeKind,
    /// `on_no_match`
    pub on_no_match: Option<Box<OnMatch>>,
}

/// The question of a tree's root.
#[derive(Clone, Debug, Default)]
pub enum TreeKind {
    /// None: straight to `on_no_match`.
    #[default]
    Nothing,
    /// `matcher_list`: the first whose predicate holds and that leads to routes.
    List(Vec<(Predicate, OnMatch)>),
    /// `matcher_tree.exact_match_map`
    Exact(MatchInput, BTreeMap<String, OnMatch>),
    /// `matcher_tree.prefix_match_map`: longest first, shorter ones when it leads nowhere.
    Prefix(MatchInput, BTreeMap<String, OnMatch>),
}

/// Where a match leads.
#[derive(Clone, Debug)]
pub enum OnMatch {
    /// `matcher`: a further tree.
    Tree(Box<MatchTree>),
    /// `action`: a route, or a list of them of which the first that matches is taken.
    Routes(Vec<Arc<Route>>),
}

/// `Matcher.MatcherList.Predicate`.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// `single_predicate`
    Single(MatchInput, InputMatcher),
    /// `or_matcher`
    Any(Vec<Predicate>),
    /// `and_matcher`
    All(Vec<Predicate>),
    /// `not_matcher`
    Not(Box<Predicate>),
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchInput {
    /// `HttpRequestHeaderMatchInput`: all values, joined with commas.
    Header(MatchedHeader),
    /// `FilterStateInput`
    FilterState(String),
    /// `environment_variable`, read when the configuration was loaded.
    Constant(Option<String>),
}

/// How it is judged. What is not there fails every judgement.
#[derive(Clone, Debug)]
pub enum InputMatcher {
    /// `value_match`
    String(StringMatcher),
    /// `envoy.matching.matchers.ip`: an address in one of these networks.
    Address(Vec<(IpAddr, u8)>),
}

impl MatchTree {
    /// All routes of the tree, in the order written.
    pub fn routes(&self) -> Vec<&Arc<Route>> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Arc<Route>>) {
        let mut each = |leads: &'a OnMatch| match leads {
            OnMatch::Tree(tree) => tree.collect(found),
            OnMatch::Routes(routes) => found.extend(routes),
        };
        match &self.kind {
            TreeKind::Nothing => {}
            TreeKind::List(list) => list.iter().for_each(|(_, leads)| each(leads)),
            TreeKind::Exact(_, map) | TreeKind::Prefix(_, map) => map.values().for_each(&mut each),
        }
        self.on_no_match.iter().for_each(|leads| each(leads));
    }
}
