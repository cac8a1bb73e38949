//! `VirtualHost.matcher`: a tree that leads to routes.
//!
//! Envoy allows few inputs here: request headers, filter state and environment variables; and no
//! `keep_matching`. Both are checked as it does.

use envoy_types::pb::{
    envoy::{
        config::route::v3 as pb,
        extensions::matching::{
            common_inputs::{environment_variable::v3 as environment, network::v3 as network},
            input_matchers::ip::v3::Ip,
        },
        r#type::matcher::v3::HttpRequestHeaderMatchInput,
    },
    google::protobuf::Any,
    xds::{core::v3::TypedExtensionConfig, r#type::matcher::v3 as xds},
};
use xds::matcher::{
    self as wire,
    matcher_list::{self as list, predicate},
    matcher_tree::TreeType,
};

use super::{
    Context,
    extension::type_name,
    route::{HostPolicies, TableRules, routes_of_action},
};
use crate::model::{
    matcher::{Case, StringMatcher},
    report::Path,
    route::{InputMatcher, MatchInput, MatchTree, OnMatch, Predicate, TreeKind},
};

const HEADER: &str = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput";
const FILTER_STATE: &str = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput";
const ENVIRONMENT: &str = "envoy.extensions.matching.common_inputs.environment_variable.v3.Config";
const IP: &str = "envoy.extensions.matching.input_matchers.ip.v3.Ip";
const ROUTE: &str = "envoy.config.route.v3.Route";
const ROUTE_LIST: &str = "envoy.config.route.v3.RouteList";

/// A tree's surroundings.
#[derive(Clone, Copy)]
pub(super) struct TreeRules<'a> {
    pub(super) rules: TableRules,
    pub(super) policies: &'a HostPolicies,
    pub(super) buffer_limit: Option<u64>,
}

impl Context<'_> {
    /// Translates a tree and all routes it leads to.
    pub(super) fn match_tree(
        &mut self,
        path: &Path<'_>,
        message: xds::Matcher,
        rules: TreeRules<'_>,
    ) -> Option<MatchTree> {
        let kind = match message.matcher_type {
            None => Some(TreeKind::Nothing),
            Some(xds::matcher::MatcherType::MatcherList(list)) => {
                self.matcher_list(&path.field("matcher_list"), list, rules)
            }
            Some(xds::matcher::MatcherType::MatcherTree(tree)) => {
                self.matcher_map(&path.field("matcher_tree"), tree, rules)
            }
        };
        let on_no_match = match message.on_no_match {
            None => None,
            Some(leads) => Some(Box::new(self.on_match(&path.field("on_no_match"), *leads, rules)?)),
        };
        Some(MatchTree { kind: kind?, on_no_match })
    }

    fn on_match(&mut self, path: &Path<'_>, message: wire::OnMatch, rules: TreeRules<'_>) -> Option<OnMatch> {
        if message.keep_matching {
            let text = "`keep_matching` cannot be used in the matcher of a virtual host";
            self.report.error(&path.field("keep_matching"), "bad-matcher", text);
        }
        match message.on_match {
            Some(wire::on_match::OnMatch::Matcher(tree)) => {
                Some(OnMatch::Tree(Box::new(self.match_tree(&path.field("matcher"), *tree, rules)?)))
            }
            Some(wire::on_match::OnMatch::Action(action)) => self.tree_action(&path.field("action"), action, rules),
            None => {
                self.report.error(path, "bad-matcher", "one of `action` and `matcher` is needed");
                None
            }
        }
    }

    fn tree_action(&mut self, path: &Path<'_>, action: TypedExtensionConfig, rules: TreeRules<'_>) -> Option<OnMatch> {
        let name = action.typed_config.as_ref().map(type_name).unwrap_or_default();
        let inner = path.field("typed_config");
        let bytes = action.typed_config.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
        match name {
            ROUTE => {
                let route: pb::Route = self.decode(&inner, bytes)?;
                Some(OnMatch::Routes(routes_of_action(self, &[inner], vec![route], rules)))
            }
            ROUTE_LIST => {
                let list: pb::RouteList = self.decode(&inner, bytes)?;
                let paths: Vec<_> = (0..list.routes.len()).map(|index| inner.item("routes", index)).collect();
                Some(OnMatch::Routes(routes_of_action(self, &paths, list.routes, rules)))
            }
            _ => {
                self.unknown_extension(
                    path,
                    "action",
                    &action.name,
                    action.typed_config.as_ref(),
                    &[ROUTE, ROUTE_LIST],
                );
                None
            }
        }
    }

    fn matcher_list(&mut self, path: &Path<'_>, message: wire::MatcherList, rules: TreeRules<'_>) -> Option<TreeKind> {
        let mut matchers = Vec::with_capacity(message.matchers.len());
        for (index, matcher) in message.matchers.into_iter().enumerate() {
            let path = path.item("matchers", index);
            let predicate = self.predicate(&path.field("predicate"), matcher.predicate.unwrap_or_default());
            let leads = self.on_match(&path.field("on_match"), matcher.on_match.unwrap_or_default(), rules);
            matchers.push((predicate?, leads?));
        }
        Some(TreeKind::List(matchers))
    }

    fn predicate(&mut self, path: &Path<'_>, message: list::Predicate) -> Option<Predicate> {
        use predicate::MatchType as Kind;
        Some(match message.match_type {
            Some(Kind::SinglePredicate(single)) => self.single(&path.field("single_predicate"), single)?,
            Some(Kind::OrMatcher(list)) => Predicate::Any(self.predicates(&path.field("or_matcher"), list)?),
            Some(Kind::AndMatcher(list)) => Predicate::All(self.predicates(&path.field("and_matcher"), list)?),
            Some(Kind::NotMatcher(inner)) => {
                Predicate::Not(Box::new(self.predicate(&path.field("not_matcher"), *inner)?))
            }
            None => {
                let text = "one of `single_predicate`, `or_matcher`, `and_matcher`, `not_matcher` is needed";
                self.report.error(path, "bad-matcher", text);
                return None;
            }
        })
    }

    fn predicates(&mut self, path: &Path<'_>, message: predicate::PredicateList) -> Option<Vec<Predicate>> {
        let each = message.predicate.into_iter().enumerate();
        each.map(|(index, one)| self.predicate(&path.item("predicate", index), one)).collect()
    }

    fn single(&mut self, path: &Path<'_>, message: predicate::SinglePredicate) -> Option<Predicate> {
        use predicate::single_predicate::Matcher as By;
        let input = self.match_input(&path.field("input"), message.input);
        let matcher = match message.matcher {
            Some(By::ValueMatch(text)) => InputMatcher::String(self.xds_string(&path.field("value_match"), text)?),
            Some(By::CustomMatch(custom)) => self.input_matcher(&path.field("custom_match"), custom)?,
            None => {
                self.report.error(path, "bad-matcher", "one of `value_match` and `custom_match` is needed");
                return None;
            }
        };
        Some(Predicate::Single(input?, matcher))
    }

    fn input_matcher(&mut self, path: &Path<'_>, custom: TypedExtensionConfig) -> Option<InputMatcher> {
        match custom.typed_config.as_ref() {
            Some(any) if type_name(any) == IP => {
                let path = path.field("typed_config");
                let message: Ip = self.decode(&path, &any.value)?;
                Some(InputMatcher::Address(self.cidrs(&path, "cidr_ranges", message.cidr_ranges)))
            }
            any => {
                self.unknown_extension(path, "input matcher", &custom.name, any, &["envoy.matching.matchers.ip"]);
                None
            }
        }
    }

    fn matcher_map(&mut self, path: &Path<'_>, message: wire::MatcherTree, rules: TreeRules<'_>) -> Option<TreeKind> {
        let input = self.match_input(&path.field("input"), message.input);
        let (field, map, exact) = match message.tree_type {
            Some(TreeType::ExactMatchMap(map)) => ("exact_match_map", map, true),
            Some(TreeType::PrefixMatchMap(map)) => ("prefix_match_map", map, false),
            Some(TreeType::CustomMatch(custom)) => {
                let path = path.field("custom_match");
                self.unknown_extension(&path, "custom matcher", &custom.name, custom.typed_config.as_ref(), &[]);
                return None;
            }
            None => {
                self.report.error(path, "bad-matcher", "one of `exact_match_map` and `prefix_match_map` is needed");
                return None;
            }
        };
        let path = path.field(field);
        let mut keys: Vec<_> = map.map.into_iter().collect();
        keys.sort_by(|one, other| one.0.cmp(&other.0));
        let leads: Option<_> = keys
            .into_iter()
            .map(|(key, leads)| {
                let leads = self.on_match(&path.key("map", &key), leads, rules);
                Some((key, leads?))
            })
            .collect();
        Some(if exact { TreeKind::Exact(input?, leads?) } else { TreeKind::Prefix(input?, leads?) })
    }

    fn match_input(&mut self, path: &Path<'_>, input: Option<TypedExtensionConfig>) -> Option<MatchInput> {
        let input = input.unwrap_or_default();
        let name = input.typed_config.as_ref().map(type_name).unwrap_or_default();
        let inner = path.field("typed_config");
        let bytes = input.typed_config.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
        match name {
            HEADER => {
                let message: HttpRequestHeaderMatchInput = self.decode(&inner, bytes)?;
                Some(MatchInput::Header(self.matched_header(&inner.field("header_name"), &message.header_name)?))
            }
            FILTER_STATE => {
                let message: network::FilterStateInput = self.decode(&inner, bytes)?;
                Some(MatchInput::FilterState(message.key))
            }
            ENVIRONMENT => {
                let message: environment::Config = self.decode(&inner, bytes)?;
                Some(MatchInput::Constant(std::env::var(message.name).ok()))
            }
            _ if is_other_input(name) => {
                let text = format!("the matcher of a virtual host can look at request headers only, not at {name}");
                self.report.error(path, "bad-matcher-input", text);
                None
            }
            _ => {
                let any: Option<&Any> = input.typed_config.as_ref();
                self.unknown_extension(path, "input", &input.name, any, &[HEADER, FILTER_STATE, ENVIRONMENT]);
                None
            }
        }
    }

    fn xds_string(&mut self, path: &Path<'_>, message: xds::StringMatcher) -> Option<StringMatcher> {
        use xds::string_matcher::MatchPattern as By;
        let case = if message.ignore_case { Case::Insensitive } else { Case::Sensitive };
        Some(match message.match_pattern {
            Some(By::Exact(text)) => StringMatcher::Exact(text, case),
            Some(By::Prefix(text)) => StringMatcher::Prefix(text, case),
            Some(By::Suffix(text)) => StringMatcher::Suffix(text, case),
            Some(By::Contains(text)) => StringMatcher::Contains(text, case),
            Some(By::SafeRegex(regex)) => {
                let regex = envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher {
                    regex: regex.regex,
                    ..Default::default()
                };
                StringMatcher::Regex(self.full_match(&path.field("safe_regex"), &regex)?)
            }
            Some(By::Custom(custom)) => {
                let path = path.field("custom");
                self.unknown_extension(&path, "string matcher", &custom.name, custom.typed_config.as_ref(), &[]);
                return None;
            }
            None => {
                let text = "a string matcher needs one of `exact`, `prefix`, `suffix`, `contains`, `safe_regex`";
                self.report.error(path, "missing-matcher", text);
                return None;
            }
        })
    }
}

/// Inputs that Envoy has, but not for routes.
fn is_other_input(name: &str) -> bool {
    name.starts_with("envoy.type.matcher.v3.Http")
        || name.starts_with("envoy.extensions.matching.common_inputs.")
        || name == "xds.type.matcher.v3.HttpAttributesCelMatchInput"
}
