//! `RouteMatch`: what a route asks of a request.

use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{self as core, TypedExtensionConfig},
            route::v3 as pb,
        },
        extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig,
        r#type::matcher::v3 as matcher,
    },
    xds::core::v3::CidrRange,
};

use super::{
    Context,
    extension::type_name,
    value::{flag, runtime_fraction},
};
use crate::model::{
    metadata::{MetadataMatcher, ValueMatcher},
    report::Path,
    route::{CookieMatcher, FilterStateMatcher, FilterStateValue, PathMatch, RouteMatch, TlsMatch, template},
};

/// The only path matcher that Envoy has.
const URI_TEMPLATE: &str = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";

impl Context<'_> {
    /// Translates the conditions of a route.
    pub(super) fn route_match(&mut self, path: &Path<'_>, message: pb::RouteMatch) -> Option<RouteMatch> {
        let how = self.path_match(path, message.path_specifier);
        let headers = self.header_matchers(path, message.headers);
        let query_parameters = self.query_matchers(path, message.query_parameters);
        let cookies = message.cookies.into_iter().enumerate();
        let cookies =
            cookies.filter_map(|(index, cookie)| self.cookie_matcher(&path.item("cookies", index), cookie)).collect();
        let metadata = message.dynamic_metadata.into_iter().enumerate();
        let dynamic_metadata = metadata
            .filter_map(|(index, matcher)| self.metadata_matcher(&path.item("dynamic_metadata", index), matcher))
            .collect();
        let states = message.filter_state.into_iter().enumerate();
        let filter_state = states
            .filter_map(|(index, state)| self.filter_state_matcher(&path.item("filter_state", index), state))
            .collect();
        Some(RouteMatch {
            path: how?,
            case_sensitive: flag(message.case_sensitive, true),
            runtime_fraction: message.runtime_fraction.map(runtime_fraction),
            headers,
            query_parameters,
            cookies,
            grpc: message.grpc.is_some(),
            tls: message.tls_context.map(|tls| TlsMatch {
                presented: tls.presented.map(|flag| flag.value),
                validated: tls.validated.map(|flag| flag.value),
            }),
            dynamic_metadata,
            filter_state,
        })
    }

    fn path_match(&mut self, path: &Path<'_>, specifier: Option<pb::route_match::PathSpecifier>) -> Option<PathMatch> {
        use pb::route_match::PathSpecifier as By;
        Some(match specifier {
            Some(By::Prefix(prefix)) => PathMatch::Prefix(prefix),
            Some(By::Path(exact)) => PathMatch::Exact(exact),
            Some(By::PathSeparatedPrefix(prefix)) => {
                if !prefix.starts_with('/') || prefix.ends_with('/') || prefix.contains(['?', '#']) {
                    let message =
                        "`path_separated_prefix` starts with `/`, does not end with `/` and holds no `?` or `#`";
                    self.report.error(&path.field("path_separated_prefix"), "bad-path", message);
                    return None;
                }
                PathMatch::SeparatedPrefix(prefix)
            }
            Some(By::SafeRegex(regex)) => PathMatch::Regex(self.full_match(&path.field("safe_regex"), &regex)?),
            Some(By::ConnectMatcher(_)) => PathMatch::Connect,
            Some(By::PathMatchPolicy(policy)) => self.path_template(&path.field("path_match_policy"), policy)?,
            None => {
                let message = "a route needs one of `prefix`, `path`, `path_separated_prefix`, `safe_regex`, \
                               `connect_matcher`, `path_match_policy`";
                self.report.error(path, "missing-match", message);
                return None;
            }
        })
    }

    fn path_template(&mut self, path: &Path<'_>, policy: TypedExtensionConfig) -> Option<PathMatch> {
        let config = policy.typed_config.as_ref();
        let Some(any) = config.filter(|any| type_name(any) == URI_TEMPLATE) else {
            let built = ["envoy.path.match.uri_template.uri_template_matcher"];
            self.unknown_extension(path, "path matcher", &policy.name, config, &built);
            return None;
        };
        let path = path.field("typed_config");
        let message: UriTemplateMatchConfig = self.decode(&path, &any.value)?;
        match template::parse(&message.path_template) {
            Ok(template) => Some(PathMatch::Template(Box::new(template))),
            Err(reason) => {
                let text = format!("`{}` is no path template: {reason}", message.path_template);
                let help = "segments are text, `*`, `**` (last), `{name}` or `{name=pattern}`";
                self.report.error_with(&path.field("path_template"), "bad-path-template", text, help);
                None
            }
        }
    }

    fn cookie_matcher(&mut self, path: &Path<'_>, message: pb::CookieMatcher) -> Option<CookieMatcher> {
        let value = self.string_matcher(&path.field("string_match"), message.string_match.unwrap_or_default())?;
        Some(CookieMatcher { name: message.name, value, invert: message.invert_match })
    }

    fn filter_state_matcher(
        &mut self,
        path: &Path<'_>,
        message: matcher::FilterStateMatcher,
    ) -> Option<FilterStateMatcher> {
        use matcher::filter_state_matcher::Matcher as By;
        let value = match message.matcher {
            Some(By::StringMatch(text)) => {
                FilterStateValue::String(self.string_matcher(&path.field("string_match"), text)?)
            }
            Some(By::AddressMatch(address)) => {
                let range = |range: CidrRange| core::CidrRange {
                    address_prefix: range.address_prefix,
                    prefix_len: range.prefix_len,
                };
                let ranges = address.ranges.into_iter().map(range).collect();
                let ranges = self.cidrs(&path.field("address_match"), "ranges", ranges);
                FilterStateValue::Address { ranges, invert: address.invert_match }
            }
            None => {
                let text = "a filter state matcher needs `string_match` or `address_match`";
                self.report.error(path, "missing-matcher", text);
                return None;
            }
        };
        Some(FilterStateMatcher { key: message.key, value })
    }

    /// Translates a question about metadata.
    pub(super) fn metadata_matcher(
        &mut self,
        path: &Path<'_>,
        message: matcher::MetadataMatcher,
    ) -> Option<MetadataMatcher> {
        use matcher::metadata_matcher::path_segment::Segment;
        let value = self.value_matcher(&path.field("value"), message.value.unwrap_or_default())?;
        let key = |segment: matcher::metadata_matcher::PathSegment| {
            segment.segment.map(|Segment::Key(key)| key).unwrap_or_default()
        };
        let keys = message.path.into_iter().map(key).collect();
        Some(MetadataMatcher { filter: message.filter, path: keys, value, invert: message.invert })
    }

    fn value_matcher(&mut self, path: &Path<'_>, message: matcher::ValueMatcher) -> Option<ValueMatcher> {
        use matcher::{double_matcher, list_matcher, value_matcher::MatchPattern as By};
        Some(match message.match_pattern {
            Some(By::NullMatch(_)) => ValueMatcher::Null,
            Some(By::DoubleMatch(double)) => match double.match_pattern {
                Some(double_matcher::MatchPattern::Range(range)) => ValueMatcher::Range(range.start, range.end),
                Some(double_matcher::MatchPattern::Exact(number)) => ValueMatcher::Number(number),
                None => return self.no_value_matcher(&path.field("double_match")),
            },
            Some(By::StringMatch(text)) => {
                ValueMatcher::String(self.string_matcher(&path.field("string_match"), text)?)
            }
            Some(By::BoolMatch(flag)) => ValueMatcher::Bool(flag),
            Some(By::PresentMatch(present)) => ValueMatcher::Present(present),
            Some(By::ListMatch(list)) => match list.match_pattern {
                Some(list_matcher::MatchPattern::OneOf(one)) => {
                    ValueMatcher::AnyElement(Box::new(self.value_matcher(&path.field("list_match"), *one)?))
                }
                None => return self.no_value_matcher(&path.field("list_match")),
            },
            Some(By::OrMatch(or)) => {
                let path = path.field("or_match");
                let each = or.value_matchers.into_iter().enumerate();
                let all: Option<Vec<_>> =
                    each.map(|(index, one)| self.value_matcher(&path.item("value_matchers", index), one)).collect();
                ValueMatcher::Any(all?)
            }
            None => return self.no_value_matcher(path),
        })
    }

    fn no_value_matcher(&mut self, path: &Path<'_>) -> Option<ValueMatcher> {
        self.report.error(path, "missing-matcher", "what the value has to be is not said");
        None
    }
}
