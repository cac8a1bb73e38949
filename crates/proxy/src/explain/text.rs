//! The report for people.

use std::fmt::{self, Display, Formatter};

use super::{Action, BudgetReport, ClusterReport, ForwardReport, Report};
use crate::route::{Explanation, Outcome, Verdict};

/// Routes that failed are shown up to so many; the rest is counted.
const ROUTES_SHOWN: usize = 20;
const HOSTS_SHOWN: usize = 20;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let listener = &self.listener;
        writeln!(f, "listener      {} on {}{}", listener.name, listener.address, at(listener.at.as_deref()))?;
        writeln!(f, "filter chain  {} (stat_prefix {})", listener.filter_chain, listener.stat_prefix)?;
        let request = &self.request;
        let client = request.client.as_deref().unwrap_or("unknown");
        let kind = if request.internal { "internal" } else { "external" };
        writeln!(f, "request       {} {}://{}{}", request.method, request.scheme, request.host, request.path)?;
        writeln!(f, "client        {client} ({kind})")?;
        if let Some(reply) = &self.refused {
            writeln!(f, "answer        {} before routing ({})", reply.status, reply.details)?;
        }
        if let Some(routing) = &self.routing {
            self.write_routing(routing, f)?;
        }
        match &self.action {
            None => Ok(()),
            Some(Action::Forward(forward)) => write_forward(forward, f),
            Some(Action::Redirect { status, location }) => writeln!(f, "answer        {status}, location: {location}"),
            Some(Action::Direct { status, body_bytes }) => {
                writeln!(f, "answer        {status} with {body_bytes} bytes, directly")
            }
            Some(Action::Nothing) => writeln!(f, "answer        404: the route forwards nothing"),
        }
    }
}

impl Report {
    fn write_routing(&self, routing: &Explanation, f: &mut Formatter<'_>) -> fmt::Result {
        let table = &self.listener.route_table;
        let Some(host) = &routing.virtual_host else {
            return writeln!(f, "answer        404: no virtual host of `{table}` has a domain for this host");
        };
        let place = at(self.virtual_host_at.as_deref());
        writeln!(f, "virtual host  {} by domain {} ({:?}){place}", host.name, host.domain, host.how)?;
        self.write_routes(routing, f)?;
        match routing.verdict {
            Verdict::NoRoute => writeln!(f, "answer        404: no route matches"),
            Verdict::NeedsTls => writeln!(f, "answer        301 to https: the virtual host requires TLS"),
            Verdict::MatcherLeadsNowhere => writeln!(f, "answer        404: the matcher leads to no route"),
            Verdict::NoVirtualHost | Verdict::Route(_) => Ok(()),
        }
    }

    fn write_routes(&self, routing: &Explanation, f: &mut Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        let mut hidden = 0;
        let mut behind = 0;
        for (index, route) in routing.routes.iter().enumerate() {
            let name = if route.name.is_empty() { String::new() } else { format!(" {}", route.name) };
            let place = at(self.routes_at.get(index).map(String::as_str));
            match &route.outcome {
                Outcome::Matched => {
                    if hidden > 0 {
                        writeln!(f, "              … and {hidden} more that do not match")?;
                    }
                    writeln!(f, "  => route {index}{name}: {}{place}", route.path)?;
                }
                Outcome::Failed { condition, wanted, found } if shown < ROUTES_SHOWN => {
                    shown += 1;
                    writeln!(f, "     route {index}{name}: {condition} wants {wanted}, found {found}{place}")?;
                }
                Outcome::Failed { .. } => hidden += 1,
                Outcome::NotReached => behind += 1,
            }
        }
        if behind > 0 {
            writeln!(f, "     {behind} further routes are not reached")?;
        }
        Ok(())
    }
}

fn write_forward(forward: &ForwardReport, f: &mut Formatter<'_>) -> fmt::Result {
    match &forward.cluster {
        None => writeln!(f, "cluster       none: the header that names it is missing")?,
        Some(name) => {
            let drawn = forward.weighted.map_or_else(String::new, |index| format!(" (weighted cluster {index})"));
            writeln!(f, "cluster       {name}{drawn}")?;
        }
    }
    writeln!(f, "upstream      {} {}", forward.host, forward.path)?;
    for (name, value) in &forward.headers {
        writeln!(f, "              {name}: {value}")?;
    }
    for mirror in &forward.mirrors {
        writeln!(f, "mirrored to   {mirror}")?;
    }
    writeln!(f, "settings")?;
    for setting in &forward.settings {
        writeln!(f, "  {:<26}{:<24}  {}", setting.name, setting.value, setting.from)?;
    }
    match (&forward.upstream, &forward.cluster) {
        (Some(cluster), _) => write_cluster(cluster, f),
        (None, Some(name)) => writeln!(f, "hosts         none: there is no cluster `{name}`"),
        (None, None) => Ok(()),
    }
}

fn write_cluster(cluster: &ClusterReport, f: &mut Formatter<'_>) -> fmt::Result {
    let ClusterReport { discovery, lb_policy, protocol, .. } = cluster;
    writeln!(f, "hosts         {discovery}, {lb_policy}, {protocol}{}", at(cluster.at.as_deref()))?;
    for host in cluster.hosts.iter().take(HOSTS_SHOWN) {
        let active = host.active_requests.map_or_else(String::new, |count| format!(", {count} active requests"));
        writeln!(
            f,
            "  {:<24}{} (priority {}, weight {}{active})",
            host.address, host.health, host.priority, host.weight
        )?;
    }
    if cluster.hosts.len() > HOSTS_SHOWN {
        writeln!(f, "  … and {} more", cluster.hosts.len() - HOSTS_SHOWN)?;
    }
    writeln!(f, "breakers")?;
    for breaker in &cluster.breakers {
        let in_use = breaker.in_use.map_or_else(String::new, |count| format!("{count} of "));
        write!(f, "  {:<10}", breaker.priority)?;
        match breaker.retry_budget {
            Some(BudgetReport { percent, at_least }) => {
                writeln!(f, "{:<24}{in_use}{percent} % of the requests, at least {at_least}", "retry_budget")?;
            }
            None => writeln!(f, "{:<24}{in_use}{}", breaker.name, breaker.limit)?,
        }
    }
    Ok(())
}

fn at(place: Option<&str>) -> String {
    place.filter(|place| !place.is_empty()).map_or_else(String::new, |place| format!("  [{place}]"))
}
