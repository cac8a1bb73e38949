//! What the route does with the request: the same planning and rewriting, put into words.

use std::{sync::Arc, time::Duration};

use nuncio_api::names;
use nuncio_config::model::{
    HttpConnectionManager,
    route::{Forward, MirrorPolicy, PathMatch, Route, RouteAction, VirtualHost},
};

use super::{
    Action, ForwardReport, Question, Report, Sources,
    arrive::{Arrived, place},
    settings::{self, Roots},
};
use crate::{
    headers,
    reply::is_grpc_request,
    route::{MatchContext, Matched, Verdict},
    router::{
        plan::{self, Circumstances},
        redirect, retry,
    },
    stream::weighted_of,
    stream_info::StreamInfo,
};

pub(super) fn report(arrived: Arrived, question: &Question, sources: Sources<'_>) -> Report {
    let Arrived { listener, manager, base, routes, mut info, request, refused } = arrived;
    let mut report = Report {
        listener,
        request,
        refused,
        routing: None,
        virtual_host_at: None,
        routes_at: Vec::new(),
        action: None,
    };
    let Some(head) = info.request.clone().filter(|_| report.refused.is_none()) else { return report };
    let context = MatchContext {
        is_https: head.headers.get(&names::X_FORWARDED_PROTO).is_some_and(|value| value == "https"),
        is_internal: info.internal,
        runtime: Some(sources.runtime),
        ..MatchContext::new(question.random)
    };
    let explanation = routes.explain(&head, context);
    let root = explanation.virtual_host.as_ref();
    let root = root.map(|host| format!("{base}.route_config.virtual_hosts[{}]", host.index));
    if let Some(root) = &root {
        report.virtual_host_at = place(sources, root);
        let places = (0..explanation.routes.len()).map(|index| place(sources, &format!("{root}.routes[{index}]")));
        report.routes_at = places.collect::<Option<_>>().unwrap_or_default();
    }
    if let (Matched::Route(host, route), Verdict::Route(index), Some(root)) =
        (routes.find(&head, context), explanation.verdict, root)
    {
        let roots = Roots { manager: base, route: format!("{root}.routes[{index}].route"), host: root };
        let taken = Chosen { manager: &manager, table: routes.table(), host, route, roots };
        report.action = Some(taken.action(&mut info, question, sources));
    }
    report.routing = Some(explanation);
    report
}

/// The route that was chosen.
struct Chosen<'a> {
    manager: &'a HttpConnectionManager,
    table: &'a nuncio_config::model::RouteTable,
    host: &'a Arc<VirtualHost>,
    route: &'a Arc<Route>,
    roots: Roots,
}

impl Chosen<'_> {
    fn action(&self, info: &mut StreamInfo, question: &Question, sources: Sources<'_>) -> Action {
        info.virtual_host = Some(Arc::clone(self.host));
        info.route = Some(Arc::clone(self.route));
        match &self.route.action {
            RouteAction::Forward(forward) => Action::Forward(Box::new(self.forward(forward, info, question, sources))),
            RouteAction::Redirect(redirect) => {
                if let Some(path) = redirect::rewritten(&redirect.path, &self.route.matches, info) {
                    headers::replace_path(info, path, true);
                }
                let location = redirect::location(Some(redirect), info).unwrap_or_default();
                Action::Redirect { status: redirect.status.as_u16(), location }
            }
            RouteAction::Direct(direct) => {
                Action::Direct { status: direct.status.as_u16(), body_bytes: direct.body.len() }
            }
            RouteAction::NonForwarding => Action::Nothing,
        }
    }

    fn forward(
        &self,
        forward: &Forward,
        info: &mut StreamInfo,
        question: &Question,
        sources: Sources<'_>,
    ) -> ForwardReport {
        let Some(before) = info.request.clone() else { return nowhere() };
        let given = Circumstances {
            manager: self.manager,
            runtime: sources.runtime,
            random: question.random,
            is_grpc: is_grpc_request(&before.headers),
        };
        let plan = plan::plan(forward, &before, info, given);
        let settings = settings::collect(forward, self.manager, &plan, &before, &self.roots, sources);
        let weighted = weighted_of(forward, plan.weighted);
        let taken = headers::Taken { table: self.table, host: self.host, route: self.route, forward, weighted };
        headers::towards_upstream(info, taken, &plan, Duration::ZERO, &self.manager.router);
        if let Some(request) = &mut info.request {
            retry::strip(&mut request.headers);
        }
        let after = info.request.as_ref().unwrap_or(&before);
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        ForwardReport {
            upstream: plan.cluster.as_deref().and_then(|name| sources.clusters.describe(name)),
            cluster: plan.cluster.as_deref().map(str::to_owned),
            weighted: plan.weighted,
            host: after.authority.to_string(),
            path: match self.route.matches.path {
                PathMatch::Connect => String::new(),
                _ => after.path.to_string(),
            },
            headers: after.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            mirrors: forward.mirrors.iter().map(mirror).collect(),
            settings,
        }
    }
}

fn mirror(policy: &MirrorPolicy) -> String {
    let cluster = policy
        .cluster_header
        .as_ref()
        .map_or_else(|| policy.cluster.to_string(), |header| format!("the cluster that {header} names"));
    match &policy.fraction {
        None => cluster,
        Some(part) => format!("{cluster}, {} of {}", part.numerator, part.denominator),
    }
}

/// A request without a head goes nowhere.
fn nowhere() -> ForwardReport {
    ForwardReport {
        cluster: None,
        weighted: None,
        upstream: None,
        host: String::new(),
        path: String::new(),
        headers: Vec::new(),
        mirrors: Vec::new(),
        settings: Vec::new(),
    }
}
